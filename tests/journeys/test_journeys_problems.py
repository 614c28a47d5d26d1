"""What a client gets that does it wrong: problem documents that name every fault."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.xdist_group("journeys")]

_MEMBERS = {"type", "title", "status", "detail", "code", "request_id", "retryable"}


def _day(days: int) -> str:
    return (date.today() + timedelta(days=days)).isoformat()  # noqa: DTZ011 - any near day


def _slice(**more: Any) -> dict[str, Any]:
    return {"origin": "VIE", "destination": "LHR", "departure_date": _day(2)} | more


def _request(**more: Any) -> dict[str, Any]:
    return {"slices": [_slice()], "passengers": [{"type": "adult"}]} | more


def _check_problem(answer: Any, status: int) -> dict[str, Any]:
    """Check the shape that every problem has; gives it."""
    assert status == answer.status_code, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem: dict[str, Any] = answer.json()
    assert problem.keys() >= _MEMBERS
    assert (status, answer.headers["PSS-Request-Id"]) == (problem["status"], problem["request_id"])
    assert problem["type"].endswith(problem["code"])
    assert problem["detail"].strip()
    assert isinstance(problem["retryable"], bool)
    for one in problem.get("errors", []):
        assert {"pointer", "detail", "code"} <= one.keys()
    return problem


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (
            {"slices": [{}], "passengers": [{}]},
            {
                "/slices/0/origin",
                "/slices/0/destination",
                "/slices/0/departure_date",
                "/passengers/0/type",
            },
        ),
        ({}, {"/slices", "/passengers"}),
        (_request(slices=[_slice(origin="XXX")]), {"/slices/0/origin"}),
        (_request(slices=[_slice(origin="VIENNA")]), {"/slices/0/origin"}),
        (_request(slices=[_slice(destination="VIE")]), {"/slices/0/destination"}),
        (_request(slices=[_slice(departure_date=_day(-3))]), {"/slices/0/departure_date"}),
        (_request(slices=[_slice(departure_date="tomorrow")]), {"/slices/0/departure_date"}),
        (_request(slices=[_slice(departure_date="2027-02-30")]), {"/slices/0/departure_date"}),
        (
            _request(slices=[_slice(departure_date=_day(4)), _slice(departure_date=_day(3))]),
            {"/slices/1/departure_date"},
        ),
        (_request(slices=[_slice()] * 7), {"/slices"}),
        (_request(passengers=[]), {"/passengers"}),
        (_request(passengers=[{"type": "adult"}] * 10), {"/passengers"}),
        (_request(passengers=[{"type": "child"}]), {"/passengers"}),
        (_request(passengers=[{"type": "adult"}, *[{"type": "infant"}] * 2]), {"/passengers"}),
        (_request(passengers=[{"type": "dog"}, {"type": "adult"}]), {"/passengers/0/type"}),
        (_request(cabin="cargo"), {"/cabin"}),
        (
            {
                "slices": [_slice(origin="QQQ", departure_date=_day(-9)), _slice(origin="ZZZ")],
                "passengers": [{"type": "cat"}],
                "cabin": "hold",
            },
            {
                "/slices/0/origin",
                "/slices/0/departure_date",
                "/slices/1/origin",
                "/passengers/0/type",
                "/cabin",
            },
        ),
    ],
)
async def test_wrong_offer_request(aurelis: Any, body: dict[str, Any], faults: set[str]) -> None:
    """Every wrong field of a request for offers is named at once."""
    problem = _check_problem(await aurelis.guest.post("/offer-requests", body), 422)
    assert faults == {one["pointer"] for one in problem["errors"]}


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"slices": "VIE-LHR", "passengers": 1}, {"/slices", "/passengers"}),
        ({"slices": [1], "passengers": [None]}, {"/slices/0", "/passengers/0"}),
        (
            {"slices": [{"origin": 1, "destination": []}], "passengers": [{"type": {}}]},
            {"/slices/0/origin", "/slices/0/destination", "/passengers/0/type"},
        ),
        (_request(cabin=7), {"/cabin"}),
    ],
)
async def test_wrong_shapes(aurelis: Any, body: Any, faults: set[str]) -> None:
    """Every value of a wrong JSON type is named at once."""
    problem = _check_problem(await aurelis.guest.post("/offer-requests", body), 422)
    assert faults == {one["pointer"] for one in problem["errors"]}


async def test_wrong_order(aurelis: Any) -> None:
    """Every fault of an order's passengers is named at once, and nothing is made."""
    offer = await aurelis.guest.bookable(*aurelis.market, "adult", "child")
    passengers = [
        {"type": "adult", "given_name": "", "family_name": "1234", "email": "no"},
        {
            "type": "child",
            "given_name": "Mio",
            "family_name": "Ek",
            "born_on": "1950-01-01",
            "phone": "call me",
        },
    ]
    answer = await aurelis.guest.post(
        "/orders", {"offer_id": offer["id"], "passengers": passengers}
    )
    problem = _check_problem(answer, 422)
    assert {
        "/passengers/0/given_name",
        "/passengers/0/family_name",
        "/passengers/0/email",
        "/passengers/1/born_on",
        "/passengers/1/phone",
    } == {one["pointer"] for one in problem["errors"]}


async def test_other_passengers_than_offered(aurelis: Any) -> None:
    """An order is for the passengers that the offer was priced for."""
    offer = await aurelis.guest.bookable(*aurelis.market, "adult")
    person = {"type": "adult", "given_name": "Ada", "family_name": "Ek"}
    for passengers in ([], [person, person], [person | {"type": "child"}]):
        answer = await aurelis.guest.post(
            "/orders", {"offer_id": offer["id"], "passengers": passengers}
        )
        _check_problem(answer, 422)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/offers/{ord}"),
        ("GET", "/v1/offers/off_nothing"),
        ("GET", "/v1/orders/{off}"),
        ("GET", "/v1/orders/%00"),
        ("GET", "/v1/payments/{ord}"),
        ("POST", "/v1/payments/{ord}/confirmations"),
        ("POST", "/v1/cancellations/{ord}/confirm"),
        ("GET", "/v1/flights/{ord}"),
        ("GET", "/v1/flights/{ord}/boardings"),
        ("GET", "/v1/flights/{ord}/no-shows"),
        ("GET", "/v1/flights/{ord}/check-ins"),
        ("GET", "/v1/seat-maps?order_id={off}"),
        ("GET", "/v1/seat-maps?offer_id={ord}"),
        ("DELETE", "/v1/check-ins/{ord}"),
        ("GET", "/v1/boarding-passes/{ord}"),
        ("GET", "/v1/tickets/{ord}"),
        ("GET", "/v1/nothing"),
    ],
)
async def test_id_of_the_wrong_kind(aurelis: Any, method: str, path: str) -> None:
    """An id of another kind is an id of nothing."""
    ids = {"ord": "ord_00000000000000000000000000", "off": "off_00000000000000000000000000"}
    answer = await aurelis.staff.http.request(method, path.format(**ids))
    problem = _check_problem(answer, 404)
    assert (False, "not-found") == (problem["retryable"], problem["code"])


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"not json", 400),
        (b'{"slices": NaN}', 400),
        (b"\xff\xfe\x00", 400),
        (b'{"a": "\\ud800"}', 400),
        (b"[" * 100_000, 400),
        (b"null", 422),
        (b"[]", 422),
        (b'"slices"', 422),
        (b"123456789012345678901234567890", 422),
    ],
    ids=lambda value: repr(value)[:20],
)
async def test_not_json(aurelis: Any, content: bytes, status: int) -> None:
    """A body that can't be read is 400, one of another type 422; never worse."""
    answer = await aurelis.guest.http.post(
        "/v1/offer-requests", content=content, headers={"Content-Type": "application/json"}
    )
    _check_problem(answer, status)


async def test_hundred_megabytes_announced(running: Any, aurelis: Any) -> None:
    """A huge body that is announced is refused before any of it is sent."""
    host, _, port = running.address.rpartition("/")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [
        "POST /v1/offer-requests HTTP/1.1",
        "Host: localhost",
        "PSS-Tenant: aurelis",
        "Content-Type: application/json",
        "Content-Length: 100000000",
        "",
        "",
    ]
    writer.write("\r\n".join(lines).encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode().lower()
    assert "413" in head.splitlines()[0]
    assert "application/problem+json" in head
    body = await asyncio.wait_for(reader.readuntil(b"}"), 10)
    assert b'"code":"too-large"' in body
    writer.close()
    assert await aurelis.guest.get("/tenant")


async def test_hundred_megabytes_in_pieces(aurelis: Any) -> None:
    """A huge body of unknown length is refused while it comes, and the server lives on."""
    block = b"x" * 1_000_000
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += len(block)
            yield block

    # A server that refuses may close the connection; what it said is then lost to some clients.
    with contextlib.suppress(httpx.NetworkError, httpx.RemoteProtocolError):
        answer = await aurelis.guest.http.post(
            "/v1/offer-requests", content=endless(), headers={"Content-Type": "application/json"}
        )
        assert "too-large" == _check_problem(answer, 413)["code"]
    assert sent < 100_000_000
    assert await aurelis.guest.get("/tenant")


async def test_wrong_method_and_credentials(aurelis: Any, pipit: Any) -> None:
    """A method that is not there, a key nobody has, and a key of the other airline."""
    http = aurelis.guest.http
    _check_problem(await http.put("/v1/orders", json={}), 405)
    unknown = await http.get("/v1/markets", headers={"Authorization": "Bearer pss_nobody"})
    assert "unknown-credentials" == _check_problem(unknown, 401)["code"]
    foreign = await http.get("/v1/markets", headers={"Authorization": f"Bearer {pipit.key}"})
    assert "wrong-tenant" == _check_problem(foreign, 403)["code"]


async def test_request_id_is_kept(aurelis: Any) -> None:
    """A sane request id of the client comes back; another gets a new one."""
    http = aurelis.guest.http
    for given, kept in (("my-request-0001", True), ("no spaces!", False)):
        answer = await http.get("/v1/offers/off_x", headers={"PSS-Request-Id": given})
        assert kept == (given == answer.headers["PSS-Request-Id"])
        _check_problem(answer, 404)


async def test_wrong_idempotency_key(aurelis: Any) -> None:
    """A key too long to keep is refused."""
    answer = await aurelis.guest.http.post(
        "/v1/offer-requests", json=_request(), headers={"Idempotency-Key": "k" * 256}
    )
    assert "invalid-idempotency-key" == _check_problem(answer, 400)["code"]
