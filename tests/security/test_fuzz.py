"""Whatever is sent, the answer says what is wrong with it: never an internal error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pss_outside.openapi import filled, operations, path_of, wrong_bodies

pytestmark = [pytest.mark.xdist_group("security")]

_TEXTS = ("%00", "%20", "..", "%F0%9F%9B%AB", "é" * 3000, "'", "-1", "9" * 30, "%FF", "null")
_RAW = (
    b"",
    b"\xff",
    b"{",
    b'{"a": NaN}',
    b"[1e999]",
    b"Infinity",
    b'"\\ud800"',
    b"[" * 5_000 + b"]" * 5_000,
    b"{" * 100_000,
    b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
)


def _found(answer: Any, operation: Any, sent: Any) -> list[Any]:
    """What is wrong with an answer: an internal error, or a refusal that is no problem."""
    kind = answer.headers.get("content-type", "")
    refused = answer.status_code >= 400
    if answer.status_code >= 500 or (refused and not kind.startswith("application/problem+json")):
        return [(str(operation), repr(sent)[:120], answer.status_code, answer.text[:200])]
    return []


async def test_spoiled_bodies(victim: Any, belongings: Any, document: Any) -> None:
    """Each field of each body in turn: of another type, huge, empty, nested, too large a number."""
    wrong = []
    for operation in operations(document):
        if operation.body is None:
            continue
        named = belongings.named
        if operation.path.endswith("/payments"):
            named = named | {"order_id": named["held_order_id"]}  # one that can be paid
        path = path_of(operation, named)
        good = filled(operation.body, document, named)
        for body in wrong_bodies(good):
            answer = await victim.staff.request(operation.method, path, json=body)
            wrong += _found(answer, operation, body)
    assert [] == wrong


async def test_bodies_that_are_no_json(victim: Any, belongings: Any, document: Any) -> None:
    """Bytes that JSON does not know, or that nest too deeply, are refused as such."""
    wrong = []
    for operation in operations(document):
        if operation.method == "GET":
            continue
        path = path_of(operation, belongings.named)
        for content in _RAW:
            for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
                answer = await victim.staff.request(
                    operation.method, path, content=content, headers={"Content-Type": kind}
                )
                wrong += _found(answer, operation, content[:40])
    assert [] == wrong


async def test_odd_parameters(victim: Any, belongings: Any, document: Any) -> None:
    """Paths and queries with anything in them are 404 or 422."""
    wrong = []
    for operation in operations(document):
        good = path_of(operation, belongings.named)
        for text in _TEXTS:
            targets = [f"{good}?{name}={text}" for name in operation.in_query]
            targets += [operation.path.replace(f"{{{one}}}", text) for one in operation.in_path]
            for target in targets:
                answer = await victim.staff.request(operation.method, target)
                wrong += _found(answer, operation, target)
    assert [] == wrong


async def test_odd_headers(victim: Any) -> None:
    """Headers with anything in them are refused, or ignored."""
    values = ("", "\x7f", "x" * 8000, "é".encode(), b"\xff\xfe", "Bearer", "Bearer  ", "Basic x")
    wrong = []
    for name in ("PSS-Tenant", "Authorization", "Idempotency-Key", "PSS-Request-Id", "Host"):
        for value in values:
            answer = await victim.guest.post(
                "/v1/offer-requests",
                content=json.dumps({}).encode(),
                headers={name: value, "Content-Type": "application/json"},
            )
            wrong += _found(answer, name, value)
    assert [] == wrong
