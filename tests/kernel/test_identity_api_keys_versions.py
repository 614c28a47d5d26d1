"""A request of an older version: its body, its answer, its errors, and its repetition."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_api.versions import Change, at
from pss_kernel.api_versions import NEWEST, OLDEST
from pss_kernel.testing import TestKit

pytestmark = [pytest.mark.xdist_group("versions")]


def _renamed(now: str, before: str) -> Any:
    def rename(value: dict[str, Any]) -> dict[str, Any]:
        return {(before if name == now else name): one for name, one in value.items()}

    return rename


_CHANGES = (
    Change(
        version=NEWEST,
        summary="A note's `text` is called `body`.",
        operations=frozenset({"notes_write_note", "notes_show_note"}),
        request=at("", _renamed("text", "body")),
        response=at("", _renamed("body", "text")),
        pointers={"/body": "/text"},
    ),
)


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def both(installation: Any) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Two callers with one key: one knows the newest version, one the oldest."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(plugins=["notes"])
    key = await kit.api_key(tenant, ["*"])
    headers = {"PSS-Tenant": tenant.code, "Authorization": f"Bearer {key}"}
    app: Any = create_app(installation, changes=_CHANGES)

    def client(version: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test.invalid",
            headers=headers | {"PSS-Version": version},
        )

    async with client(NEWEST) as new, client(OLDEST) as old:
        yield new, old


async def test_each_in_its_own_words(both: Any) -> None:
    """What one writes the other reads, each in the form of its version."""
    new, old = both
    written = await old.post("/v1/notes", json={"text": "hello"})
    assert (201, "hello", OLDEST) == (
        written.status_code,
        written.json()["text"],
        written.headers["PSS-Version"],
    )
    # What is shown was polished by another plugin.
    path = f"/v1/notes/{written.json()['id']}"
    assert "hello." == (await new.get(path)).json()["body"]
    assert {"id", "text"} == (await old.get(path)).json().keys()
    assert len((await old.get(path)).content) == int(
        (await old.get(path)).headers["Content-Length"]
    )


async def test_errors_point_at_what_was_sent(both: Any) -> None:
    """A wrong field is named as its caller has named it."""
    new, old = both
    for client, field in ((new, "body"), (old, "text")):
        for body in ({field: ""}, {field: 7}):
            answer = await client.post("/v1/notes", json=body)
            pointers = [one["pointer"] for one in answer.json()["errors"]]
            assert (422, [f"/{field}"]) == (answer.status_code, pointers)
    broken = await old.post("/v1/notes", content=b"{", headers={"Content-Type": "application/json"})
    assert (400, "not-json") == (broken.status_code, broken.json()["code"])


async def test_repeated_requests(both: Any) -> None:
    """A repetition is answered in its own version, whichever that is, with one effect."""
    new, old = both
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = await old.post("/v1/notes", json={"text": "once"}, headers=key)
    again = await old.post("/v1/notes", json={"text": "once"}, headers=key)
    assert first.json() == again.json()
    assert "true" == again.headers["Idempotent-Replayed"]
    other = await new.post("/v1/notes", json={"body": "once"}, headers=key)
    assert (422, "idempotency-key-reused") == (other.status_code, other.json()["code"])
    # The same bytes, as both versions take them: kept in the newest form, answered in each.
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = await new.post("/v1/notes", json={"body": "same"}, headers=key)
    again = await old.post("/v1/notes", json={"body": "same"}, headers=key)
    assert first.json()["id"] == again.json()["id"]
    assert ("same", "same") == (first.json()["body"], again.json()["text"])


async def test_kept_before_an_upgrade(both: Any, installation: Any) -> None:
    """An answer that was kept before there was the newest version is given as it was."""
    _, old = both
    key = {"Idempotency-Key": secrets.token_hex(8)}
    first = await old.post("/v1/notes", json={"text": "old"}, headers=key)
    tenant = installation.directory.by_code(old.headers["PSS-Tenant"])
    digest = hashlib.sha256(b"/v1/notes?\0" + first.request.content).digest()
    async with installation.unit_of_work(tenant) as uow:
        await uow.hot(
            "UPDATE idempotency SET fingerprint = $2, body = $3, data_key = NULL WHERE key = $1",
            *(key["Idempotency-Key"], digest, first.content.replace(b'"body"', b'"text"')),
        )
    again = await old.post("/v1/notes", json={"text": "old"}, headers=key)
    assert ("true", first.json()) == (again.headers["Idempotent-Replayed"], again.json())


async def test_what_has_not_changed_is_left_alone(both: Any) -> None:
    """An operation without changes answers the same bytes in every version."""
    new, old = both
    listed = [(await one.get("/v1/notes?limit=100")).content for one in (new, old)]
    assert listed[0] == listed[1]
    assert re.search(rb'"body"', listed[1])
