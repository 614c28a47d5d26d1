"""What the client does with answers and without them, on a transport that plays the server."""

import asyncio
import pickle
from collections.abc import Callable
from datetime import date

import httpx
import pytest

from pss_sdk import ApiProblem, Client, OrderNotTicketed, UnexpectedAnswer, Unreachable

TENANT = {"code": "x", "name": "X", "currency": "EUR", "time_zone": "UTC"}
BUSY = {
    "type": "/problems/unavailable",
    "title": "Temporarily unavailable",
    "status": 503,
    "detail": "The database can't be reached.",
    "code": "unavailable",
    "request_id": "req_1",
    "retryable": True,
}


def played(
    answer: Callable[[httpx.Request], httpx.Response], *, attempts: int = 2
) -> tuple[Client, list[httpx.Request]]:
    """Make a client whose requests are kept and answered by the function."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answer(request)

    transport = httpx.MockTransport(handle)
    return Client("http://x.invalid", tenant="x", attempts=attempts, transport=transport), seen


async def test_fields_of_a_newer_server_are_ignored() -> None:
    """An answer may have more than this version knows."""
    client, seen = played(lambda _: httpx.Response(200, json={**TENANT, "moon": "full"}))
    async with client:
        tenant = await client.tenant()
    assert (tenant.code, seen[0].headers["PSS-Tenant"]) == ("x", "x")


async def test_a_retryable_problem_is_retried_with_the_same_idempotency_key() -> None:
    """The repetition of a POST carries the key of the first attempt; another call, another."""
    answers = [httpx.Response(503, json=BUSY), httpx.Response(201, json={"id": "1", "offers": []})]
    client, seen = played(lambda _: answers.pop(0) if len(answers) > 1 else answers[0])
    async with client:
        await client.request_offers([("VIE", "LHR", date(2026, 11, 23))])
        await client.request_offers([("VIE", "LHR", date(2026, 11, 23))])
    keys = [request.headers["Idempotency-Key"] for request in seen]
    assert len(keys) == 3
    assert keys[0] == keys[1] != keys[2]


async def test_a_key_of_ones_own_is_sent() -> None:
    """A caller who must not repeat an effect after a restart names the key."""
    client, seen = played(lambda _: httpx.Response(201, json={"id": "1", "offers": []}))
    async with client:
        await client.request_offers([("VIE", "LHR", date(2026, 11, 23))], idempotency_key="mine")
    assert seen[0].headers["Idempotency-Key"] == "mine"


async def test_a_final_problem_is_not_retried() -> None:
    """What the server calls not retryable is raised at once, with all it said."""
    errors = [{"pointer": "/slices/0/origin", "detail": "No.", "code": "unknown-airport"}]
    document = {**BUSY, "code": "invalid", "retryable": False, "errors": errors, "mend": "Ask."}
    client, seen = played(lambda _: httpx.Response(422, json=document))
    async with client:
        with pytest.raises(ApiProblem) as raised:
            await client.tenant()
    problem = raised.value
    assert len(seen) == 1
    assert (problem.status, problem.code, problem.request_id) == (422, "invalid", "req_1")
    assert (problem.mend, problem.retryable) == ("Ask.", False)
    assert [(one.pointer, one.code) for one in problem.errors] == [
        ("/slices/0/origin", "unknown-airport")
    ]
    assert pickle.loads(pickle.dumps(problem)).code == "invalid"  # noqa: S301 - our own


async def test_attempts_end_and_the_last_problem_is_raised() -> None:
    """A server that stays busy is asked as often as was allowed."""
    client, seen = played(lambda _: httpx.Response(503, json=BUSY))
    async with client:
        with pytest.raises(ApiProblem, match="database"):
            await client.tenant()
    assert len(seen) == 2


async def test_no_answer_is_unreachable_after_all_attempts() -> None:
    """A refused connection is tried again, then told in one type of error."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    client, seen = played(refuse)
    async with client:
        with pytest.raises(Unreachable, match=r"x\.invalid"):
            await client.tenant()
    assert len(seen) == 2


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={"code": 1}),
        httpx.Response(502, text="Bad gateway"),
        httpx.Response(502, json={}),
        httpx.Response(500, content=b"\xff"),
    ],
)
async def test_an_answer_of_something_else_is_told_as_such(response: httpx.Response) -> None:
    """A proxy's page, or JSON of another kind, is an UnexpectedAnswer."""
    client, _ = played(lambda _: response)
    async with client:
        with pytest.raises(UnexpectedAnswer):
            await client.tenant()


async def test_lists_are_read_to_their_end() -> None:
    """Every page is asked for by the cursor of the one before."""
    pages = {
        None: {"data": [{"origin": "A", "destination": "B"}], "next_cursor": "2"},
        "2": {"data": [{"origin": "C", "destination": "D"}], "next_cursor": None},
    }
    client, _ = played(lambda one: httpx.Response(200, json=pages[one.url.params.get("cursor")]))
    async with client:
        assert [one.origin for one in await client.markets()] == ["A", "C"]


def order(status: str) -> dict[str, object]:
    """Answer an order of this status, with as little as it can have."""
    money = {"amount": "1.00", "currency": "EUR"}
    return {
        "id": "ord_1",
        "booking_reference": "ABCDEF",
        "status": status,
        "total": money,
        "created_at": "2026-11-22T00:00:00Z",
        "passengers": [],
        "slices": [],
        "conditions": {
            "refundable": False,
            "changeable": False,
            "checked_bags": 0,
            "seat_selection": "free",
        },
        "price_breakdown": {"base": money, "taxes": money, "total": money},
    }


async def test_waiting_ends_when_the_order_is_ticketed() -> None:
    """The order is asked for until it has its tickets."""
    statuses = ["held", "confirmed", "ticketed"]
    client, seen = played(lambda _: httpx.Response(200, json=order(statuses[len(seen) - 1])))
    async with client:
        assert (await client.wait_until_ticketed("ord_1")).status == "ticketed"
    assert len(seen) == 3


@pytest.mark.parametrize("status", ["expired", "cancelled", "needs_attention"])
async def test_waiting_ends_when_the_order_never_will_be(status: str) -> None:
    """A state that does not lead to tickets is told at once."""
    client, seen = played(lambda _: httpx.Response(200, json=order(status)))
    async with client:
        with pytest.raises(OrderNotTicketed) as raised:
            await client.wait_until_ticketed("ord_1")
    assert (raised.value.status, raised.value.order_id, len(seen)) == (status, "ord_1", 1)


async def test_waiting_ends_with_the_time_given() -> None:
    """An order that stays confirmed is told as such after the deadline."""
    client, _ = played(lambda _: httpx.Response(200, json=order("confirmed")))
    async with client:
        with pytest.raises(OrderNotTicketed, match="confirmed"):
            await client.wait_until_ticketed("ord_1", seconds=0.01)


async def test_the_position_of_a_write_is_brought_along() -> None:
    """What follows a write tells the server where it ended, after an error's answer as well."""
    answers = [
        httpx.Response(200, json=TENANT),
        httpx.Response(201, json={"id": "1", "offers": []}, headers={"PSS-Position": "a.1.1"}),
        httpx.Response(422, json={**BUSY, "retryable": False}, headers={"PSS-Position": "a.1.2"}),
        httpx.Response(200, json=TENANT),
        httpx.Response(200, json=TENANT),
    ]
    client, seen = played(lambda _: answers.pop(0))
    async with client:
        await client.tenant()
        await client.request_offers([("VIE", "LHR", date(2026, 11, 23))])
        with pytest.raises(ApiProblem):
            await client.request_offers([("VIE", "LHR", date(2026, 11, 23))])
        await client.tenant()
        await client.tenant()
    brought = [request.headers.get("PSS-Position") for request in seen]
    assert brought == [None, None, "a.1.1", "a.1.2", "a.1.2"]


async def test_positions_of_requests_at_the_same_time() -> None:
    """An answer replaces the positions that its request brought, and no other."""
    seen: list[httpx.Request] = []
    second_is_answered = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path == "/v1/tenant":
            return httpx.Response(200, json=TENANT)
        place = sum(one.url.path == "/v1/offer-requests" for one in seen)
        if place == 1:
            await second_is_answered.wait()
        second_is_answered.set()
        return httpx.Response(
            201, json={"id": "1", "offers": []}, headers={"PSS-Position": f"a.1.{place}"}
        )

    client = Client("http://x.invalid", tenant="x", transport=httpx.MockTransport(answer))
    async with client:
        wanted = [("VIE", "LHR", date(2026, 11, 23))]
        await asyncio.gather(client.request_offers(wanted), client.request_offers(wanted))
        await client.tenant()
    assert seen[-1].headers["PSS-Position"] == "a.1.2, a.1.1"
