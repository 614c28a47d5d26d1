"""Everybody at once: the last seats, connections over shared legs, one Idempotency-Key."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from pss_inventory.contracts import SeatRequest, SoldOut, confirm_seats, hold_seats, release_seats
from pss_kernel import new_id
from pss_outside.passengers import party
from pss_outside.traveller import fresh_key

pytestmark = [pytest.mark.xdist_group("faults")]

_SEATED = ("adult", "child")


def _seats(order: dict[str, Any]) -> int:
    return sum(one["type"] in _SEATED for one in order["passengers"])


async def test_two_hundred_want_seven_seats(airline: Any) -> None:
    """Exactly the seats that are left are sold, each party whole or not at all."""
    parties = [("adult",), ("adult", "adult"), ("adult", "adult", "child"), ("adult", "infant")]
    offers = {one: await airline.nonstop("LHR", *one) for one in parties}
    flights = {one["slices"][0]["segments"][0]["flight_id"] for one in offers.values()}
    assert 1 == len(flights)
    await airline.authorise(flights.pop(), 7)
    wanted = [
        one for one, many in zip(parties, (110, 40, 30, 20), strict=True) for _ in range(many)
    ]
    random.Random(7).shuffle(wanted)  # noqa: S311 - the same order every time
    answers = await asyncio.gather(
        *(
            airline.guest.post(
                "/orders", {"offer_id": offers[one]["id"], "passengers": party(*one)}
            )
            for one in wanted
        )
    )
    outcomes = Counter((one.status_code, one.json().get("code")) for one in answers)
    assert {(201, None), (409, "sold-out")} == outcomes.keys()
    orders = [one.json() for one in answers if one.status_code == 201]
    assert 7 == sum(_seats(one) for one in orders)
    sold_out = next(one.json() for one in answers if one.status_code == 409)
    assert sold_out["retryable"] is False
    paid = await asyncio.gather(*(airline.guest.pay(one) for one in orders))
    assert {"captured"} == {one.json()["status"] for one in paid}
    await airline.keeps_the_rules()
    assert {"ticketed"} == {(await airline.guest.own(one))["status"] for one in orders}


async def test_connections_and_locals_over_shared_legs(airline: Any) -> None:
    """Who connects and who flies one of the legs only meet on both: no leg is oversold."""
    through = await airline.guest.bookable("LHR", "ATH", segments=2)
    first, second = through["slices"][0]["segments"]
    for segment in (first, second):
        await airline.authorise(segment["flight_id"], 5)
    locals_ = [
        next(
            one
            for one in await airline.guest.offers(
                (segment["origin"], segment["destination"], segment["flight_date"]),
                cabin="economy",
            )
            if one["slices"][0]["segments"][0]["flight_id"] == segment["flight_id"]
        )
        for segment in (first, second)
    ]
    wanted = [through, *locals_] * 12
    random.Random(3).shuffle(wanted)  # noqa: S311 - the same order every time
    answers = await asyncio.gather(
        *(
            airline.guest.post("/orders", {"offer_id": one["id"], "passengers": party("adult")})
            for one in wanted
        )
    )
    outcomes = {(one.status_code, one.json().get("code")) for one in answers}
    assert {(201, None), (409, "sold-out")} == outcomes
    sold = Counter(
        segment["flight_id"]
        for one in answers
        if one.status_code == 201
        for segment in one.json()["slices"][0]["segments"]
    )
    assert {first["flight_id"]: 5, second["flight_id"]: 5} == dict(sold)
    await airline.keeps_the_rules()


async def test_legs_taken_in_opposite_orders(airline: Any) -> None:
    """Holding, selling and giving back two legs, asked for in either order, never deadlocks."""
    through = await airline.guest.bookable("CDG", "ATH", segments=2)
    legs = []
    for segment in through["slices"][0]["segments"]:
        flight = await airline.staff.get(f"/flights/{segment['flight_id']}")
        legs.append([one["leg_id"] for one in flight["legs"]])
    answers = await asyncio.gather(
        *(_take_and_leave(airline, legs if place % 2 else legs[::-1], place) for place in range(60))
    )
    assert {"held", "sold", "released"} >= set(answers)
    await airline.keeps_the_rules()


async def _take_and_leave(airline: Any, legs: list[list[int]], place: int) -> str:
    """Hold a seat on each leg, then let two of three go again, one after selling it."""
    hold = new_id("hold")
    requests = [
        SeatRequest(leg_ids=one, cabin="economy", booking_class="Y", seats=1 + place % 2)
        for one in legs
    ]
    try:
        async with airline.kit.unit_of_work(airline.tenant) as uow:
            await hold_seats(uow, hold, requests)
    except SoldOut:
        return "released"
    if place % 3 == 0:
        async with airline.kit.unit_of_work(airline.tenant) as uow:
            await confirm_seats(uow, hold)
    if place % 3 != 1:
        async with airline.kit.unit_of_work(airline.tenant) as uow:
            await release_seats(uow, hold)
    return ("sold", "held", "released")[place % 3]


async def test_check_in_ten_times_at_once(airline: Any) -> None:
    """Ten check-ins of one party at once give the same passes: one sequence and seat each."""
    order = await _ticketed(airline, await airline.guest.bookable("VIE", "LHR", "adult", "child"))
    answers = await asyncio.gather(*(airline.guest.check_in(order) for _ in range(10)))
    assert {201} == {one.status_code for one in answers}
    passes = {
        tuple(sorted((one["id"], one["bcbp"]) for one in answer.json()["boarding_passes"]))
        for answer in answers
    }
    assert 1 == len(passes)
    await airline.keeps_the_rules()


async def test_check_in_and_cancellation_at_once(airline: Any) -> None:
    """Who checks in while the order is cancelled is on the flight, or has the refund: not both."""
    offer = await airline.guest.bookable("VIE", "LHR", refundable=True)
    orders = [await _ticketed(airline, offer) for _ in range(8)]
    quotes = [await airline.staff.post(f"/orders/{one['id']}/cancellations") for one in orders]
    paths = [f"/cancellations/{one.json()['id']}/confirm" for one in quotes]
    answers = await asyncio.gather(
        *(airline.guest.check_in(one) for one in orders),
        *(airline.staff.post(path) for path in paths),
    )
    for checked_in, cancelled in zip(answers[:8], answers[8:], strict=True):
        assert {(201, 409), (409, 200)} >= {(checked_in.status_code, cancelled.status_code)}
    await airline.keeps_the_rules()


async def _ticketed(airline: Any, offer: dict[str, Any]) -> dict[str, Any]:
    order = await airline.guest.book(offer)
    assert "captured" == (await airline.guest.pay(order)).json()["status"]
    await airline.sweep()
    seen: dict[str, Any] = await airline.guest.own(order)
    assert "ticketed" == seen["status"]
    return seen


async def test_one_key_twenty_times(airline: Any) -> None:
    """Twenty copies of one request at once make one order, and one payment."""
    offer = await airline.nonstop("FCO")
    body = {"offer_id": offer["id"], "passengers": party("adult", family_name="Zwanzig")}
    order = await _repeat(airline, "/v1/orders", body)
    rows = await airline.sql(
        "SELECT DISTINCT order_id FROM order_passenger WHERE family_name = 'Zwanzig'"
    )
    assert [order["id"]] == [row["order_id"] for row in rows]
    paying = {
        "order_id": order["id"],
        "amount": order["total"],
        "method": {"type": "card", "token": "tok_visa"},
    }
    payment = await _repeat(airline, "/v1/payments", paying)
    rows = await airline.sql("SELECT id FROM payment WHERE order_id = $1", order["id"])
    assert [payment["id"]] == [row["id"] for row in rows]
    await airline.keeps_the_rules()


async def _repeat(airline: Any, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send it twenty times at once; gives what was made."""
    key = fresh_key()
    answers = await asyncio.gather(
        *(airline.guest.http.post(path, json=body, headers=key) for _ in range(20))
    )
    outcomes = {(one.status_code, one.json().get("code")) for one in answers}
    assert outcomes <= {(201, None), (409, "idempotency-in-progress")}
    made = {one.content for one in answers if one.status_code == 201}
    assert 1 == len(made)
    again = await airline.guest.http.post(path, json=body, headers=key)
    assert made == {again.content}
    document: dict[str, Any] = again.json()
    return document
