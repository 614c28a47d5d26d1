"""Whatever is sent, the answer is a problem document that says what is wrong; never a 500."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pss_api import create_app
from pss_kernel import Conflict, Problem, Tenant
from pss_kernel.testing import TestKit


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(installation: Any) -> tuple[Tenant, httpx.AsyncClient]:
    """A tenant with notes and a client with all its permissions."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(plugins=["notes"])
    headers = {
        "PSS-Tenant": tenant.code,
        "Authorization": f"Bearer {await kit.api_key(tenant, ['*'])}",
    }
    transport = httpx.ASGITransport(create_app(installation), raise_app_exceptions=False)
    return tenant, httpx.AsyncClient(
        transport=transport, base_url="http://test.invalid", headers=headers
    )


def _problem(answer: httpx.Response) -> dict[str, Any]:
    """The document, checked for what RFC 9457 and we ask of it."""
    assert "application/problem+json" == answer.headers["content-type"].partition(";")[0]
    document = answer.json()
    assert {"type", "title", "status", "detail", "code", "request_id", "retryable"} <= set(document)
    assert (answer.status_code, answer.headers["PSS-Request-Id"]) == (
        document["status"],
        document["request_id"],
    )
    assert document["type"] == f"/problems/{document['code']}"
    return document


async def test_every_failing_field(shared: Any) -> None:
    """A body with many mistakes hears of all of them, each with its pointer."""
    _, client = shared
    body = {
        "lines": [
            {"kind": "italic", "on": "2026-13-01", "count": 0},
            {"on": "2026-01-01"},
            {"kind": "bold", "on": "2026-01-01", "count": "1"},
        ],
        "price": {"amount": 12.5},
        "at": "noon",
        "tags": {"a/b": "x"},
        "extra": 1,
    }
    document = _problem(await client.post("/v1/forms", json=body))
    assert (422, "invalid") == (document["status"], document["code"])
    expected = {
        "/lines/0/kind", "/lines/0/on", "/lines/0/count", "/lines/1/kind", "/lines/2/count",
        "/price/amount", "/price/currency", "/at", "/tags/a~1b", "/extra",
    }  # fmt: skip
    assert expected == {one["pointer"] for one in document["errors"]}
    assert all(one["detail"] for one in document["errors"])


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "not-json"),
        (b"{", "not-json"),
        (b"lines=1", "not-json"),
        (b"\xff\xfe", "not-json"),
        (b'{"lines": "\xff"}', "not-json"),
        (b'{"lines": [}', "not-json"),
        (b"{'lines': []}", "not-json"),
        (b'{"lines": "\\ud800"}', "not-json"),
        (b"[" * 100_000, "not-json"),
        (b"null", "invalid"),
        (b"[]", "invalid"),
        (b'"text"', "invalid"),
        (b"1e999", "not-json"),
        (b'{"lines": NaN}', "not-json"),
    ],
)
async def test_bodies_that_are_none(shared: Any, raw: bytes, code: str) -> None:
    """What is not JSON is 400, what is another JSON is 422."""
    _, client = shared
    headers = {"Content-Type": "application/json"}
    document = _problem(await client.post("/v1/forms", content=raw, headers=headers))
    assert (code, {"not-json": 400, "invalid": 422}[code]) == (document["code"], document["status"])


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""]
)
async def test_the_content_type_does_not_matter(shared: Any, kind: str) -> None:
    """The body is JSON whatever the header calls it, or refused; never a 500."""
    _, client = shared
    answer = await client.post(
        "/v1/forms",
        content=b'{"lines": [{"kind": "bold", "on": "2026-01-01"}]}',
        headers={"Content-Type": kind},
    )
    assert answer.status_code in {200, 400, 415, 422}


@pytest.mark.parametrize("known_length", [True, False])
@pytest.mark.parametrize("path", [b"/v1/forms", b"/v1/counters/c/takes"])
async def test_a_hundred_megabytes(
    installation: Any, shared: Any, known_length: bool, path: bytes
) -> None:
    """413, after at most a little more than the limit has been read."""
    _, client = shared
    limit, chunk = installation.config.max_body_bytes, b"x" * 65_536
    sent = 0
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal sent
        sent += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": sent < 100_000_000}

    async def send(message: Any) -> None:
        answers.append(message)

    headers = {name.encode(): value.encode() for name, value in client.headers.items()}
    headers |= {b"host": b"test.invalid", b"idempotency-key": b"big"}
    if known_length:
        headers[b"content-length"] = b"100000000"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path.decode(),
        "raw_path": path,
        "query_string": b"",
        "headers": list(headers.items()),
        "server": ("test.invalid", 80),
        "client": ("127.0.0.1", 1),
        "state": {},
    }
    await create_app(installation)(scope, receive, send)
    assert 413 == answers[0]["status"]
    assert "too-large" == msgspec.json.decode(answers[1]["body"])["code"]
    assert sent <= limit + 2 * len(chunk)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/", 404),
        ("GET", "/v1/notes/", 200),
        ("GET", "/v1/notes/a/b", 404),
        ("GET", "/v1/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/v1/notes/%00", 422),
        ("GET", "/v1/notes/%ff%fe", 404),
        ("PUT", "/v1/notes", 405),
        ("DELETE", "/health", 405),
        ("PROPFIND", "/v1/notes", 405),
    ],
)
async def test_unknown_places(shared: Any, method: str, path: str, status: int) -> None:
    """Places and methods that are not there."""
    _, client = shared
    answer = await client.request(method, path)
    assert status == answer.status_code
    if status >= 400:
        _problem(answer)


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=many", {"/limit"}),
        ("limit=many&erased=perhaps", {"/limit", "/erased"}),
        ("limit=", {"/limit"}),
        ("limit=99999999999999999999", {"/limit"}),
        ("limit=-1", {"/limit"}),
        ("unknown=1", set()),
        ("limit=1&limit=2", None),
        ("%ff=%00", set()),
    ],
)
async def test_query_parameters(shared: Any, query: str, pointers: set[str] | None) -> None:
    """Every wrong parameter is named; those that nobody knows are left alone."""
    _, client = shared
    answer = await client.get(f"/v1/notes?{query}")
    if pointers == set():
        assert 200 == answer.status_code
    elif pointers:
        assert pointers == {one["pointer"] for one in _problem(answer)["errors"]}
        assert 422 == answer.status_code
    else:
        assert answer.status_code in {200, 422}


@pytest.mark.parametrize("text", ["nul \0", "\U0001f600", "a" * 10_000, "\u202e", "';--"])
async def test_texts(shared: Any, text: str) -> None:
    """Any text is kept as it is; only U+0000, which PostgreSQL can't hold, is refused."""
    _, client = shared
    answer = await client.post("/v1/notes", json={"body": text})
    if "\0" in text:
        assert (422, "invalid-text") == (answer.status_code, _problem(answer)["code"])
    else:
        assert (201, text) == (answer.status_code, answer.json()["body"])


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["lines", "kind", "on", "count", "price", "at", "tags", "ratio", "x"]
                ),
                inner,
                max_size=5,
            )
        ),
    )
)
async def test_any_json(shared: Any, value: Any) -> None:
    """Any JSON whatever is understood or refused with reasons."""
    _, client = shared
    answer = await client.post("/v1/forms", content=msgspec.json.encode(value))
    assert answer.status_code in {200, 422}
    if answer.status_code == 422:
        assert _problem(answer)["errors"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ZeroDivisionError("Ada Lovelace"), 500, "internal"),
        (ConnectionAbortedError("a socket"), 503, "database-unavailable"),
        (Conflict("No.", code="no-way", mend="Ask again."), 409, "no-way"),
        (Problem("Odd."), 500, "internal"),
        (RecursionError(), 500, "internal"),
        (TimeoutError(), 500, "internal"),
    ],
)
async def test_what_a_plugin_raises(
    shared: Any, scripts: dict[str, Any], error: Exception, status: int, code: str
) -> None:
    """Problems are told as they are; anything else is a bare 500 without its words."""
    _, client = shared

    async def fail(_: Any) -> None:
        raise error

    scripts["raise"] = fail
    document = _problem(await client.get("/v1/faults/raise"))
    assert (status, code) == (document["status"], document["code"])
    assert "Lovelace" not in str(document)


async def test_a_plugins_missing_file(shared: Any) -> None:
    """A file that a plugin misses is its own fault, not 'the database can't be reached'."""
    _, client = shared
    assert "internal" == _problem(await client.get("/v1/faults/missing-file"))["code"]


async def test_too_many_wait_for_the_database(
    shared: Any, installation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the pool is empty for too long: 503, retryable, with Retry-After."""
    _, client = shared
    pool = installation.database.engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.05)
    held = [await installation.database.engine.connect() for _ in range(24)]
    try:
        answer = await client.get("/v1/notes")
    finally:
        await asyncio.gather(*(one.close() for one in held))
    document = _problem(answer)
    assert (503, "database-busy", True) == (
        document["status"],
        document["code"],
        document["retryable"],
    )
    assert "1" == answer.headers["Retry-After"]
    assert 200 == (await client.get("/v1/notes")).status_code


async def test_request_ids(shared: Any) -> None:
    """A sane id of the caller's is kept, another one is replaced."""
    _, client = shared
    kept = await client.get("/v1/notes", headers={"PSS-Request-Id": "caller-0001"})
    assert "caller-0001" == kept.headers["PSS-Request-Id"]
    replaced = await client.get("/v1/notes", headers={"PSS-Request-Id": "<script>alert(1)"})
    assert replaced.headers["PSS-Request-Id"].startswith("req_")
    assert "nosniff" == replaced.headers["X-Content-Type-Options"]


async def test_something_that_is_not_json(shared: Any) -> None:
    """A route may answer an image."""
    _, client = shared
    answer = await client.get("/v1/pictures/dot.svg")
    assert ("image/svg+xml", 'inline; filename="dot.svg"') == (
        answer.headers["content-type"],
        answer.headers["content-disposition"],
    )
