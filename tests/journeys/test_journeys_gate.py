"""Check-in and the gate: every refusal that a passenger or an agent can meet."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

pytestmark = [pytest.mark.xdist_group("journeys")]


@pytest.fixture(scope="module")
async def order(airlines: Any) -> Any:
    """Two adults with tickets, of whom the first is checked in."""
    guest = airlines[0].guest
    ticketed = await guest.ticketed(await guest.bookable(*airlines[0].market, "adult", "adult"))
    first = ticketed["passengers"][0]["id"]
    answer = await guest.check_in(ticketed, passenger_ids=[first])
    assert 201 == answer.status_code, answer.text
    return ticketed | {"pass": answer.json()["boarding_passes"][0]}


def _flight(order: dict[str, Any]) -> str:
    return str(order["slices"][0]["segments"][0]["flight_id"])


async def _scan(airline: Any, flight_id: str, bcbp: str, **more: Any) -> Any:
    answer = await airline.staff.post(f"/flights/{flight_id}/boardings", {"bcbp": bcbp} | more)
    assert 200 == answer.status_code, answer.text
    return answer.json()


async def test_refusals_at_the_gate(aurelis: Any, order: Any) -> None:
    """Each reason why a barcode is not good here has its own result."""
    flight, bcbp = _flight(order), order["pass"]["bcbp"]
    day = date.fromisoformat(order["slices"][0]["segments"][0]["flight_date"])
    same_day = await aurelis.staff.get("/flights", date=day.isoformat())
    other = next(one["id"] for one in same_day["data"] if one["id"] != flight)
    number = order["slices"][0]["segments"][0]["flight"]
    next_day = await aurelis.staff.get(
        "/flights", date=(day + timedelta(days=1)).isoformat(), flight=number
    )
    stranger = bcbp.replace(order["booking_reference"], "ZZZZZZ")
    asked = [
        (flight, "nonsense", "unreadable"),
        (flight, "", "unreadable"),
        (other, bcbp, "wrong_flight"),
        (next_day["data"][0]["id"], bcbp, "wrong_date"),
        (flight, stranger, "unknown_passenger"),
        (flight, _sequence(bcbp, "0999"), "not_checked_in"),
    ]
    for at, text, result in asked:
        answer = await _scan(aurelis, at, text)
        assert result == answer["result"], answer
    scans = (await aurelis.staff.get(f"/flights/{flight}/scans"))["data"]
    results = {one["result"] for one in scans}
    assert {"unreadable", "unknown_passenger", "not_checked_in"} <= results


def _sequence(bcbp: str, number: str) -> str:
    """Give the first leg another check-in sequence number (bytes 53 to 57 of the barcode)."""
    return bcbp[:52] + number + bcbp[56:]


async def test_ten_gates_scan_one_pass(aurelis: Any, order: Any) -> None:
    """However many scanners read one pass at once, exactly one opens the gate."""
    flight, bcbp = _flight(order), order["pass"]["bcbp"]
    scans = await asyncio.gather(*(_scan(aurelis, flight, bcbp) for _ in range(10)))
    assert ["already_boarded"] * 9 + ["boarded"] == sorted(one["result"] for one in scans)


async def test_offloaded(aurelis: Any) -> None:
    """Whoever staff took off the flight does not board with the old pass."""
    ordered = await aurelis.guest.ticketed(await aurelis.guest.bookable(*aurelis.market))
    (issued,) = (await aurelis.guest.check_in(ordered)).json()["boarding_passes"]
    path = f"/v1/check-ins/{issued['segments'][0]['check_in_id']}"
    assert 200 == (await aurelis.staff.http.delete(path)).status_code
    assert "offloaded" == (await _scan(aurelis, _flight(ordered), issued["bcbp"]))["result"]
    (anew,) = (await aurelis.guest.check_in(ordered)).json()["boarding_passes"]
    assert "boarded" == (await _scan(aurelis, _flight(ordered), anew["bcbp"]))["result"]


async def test_gate_is_for_staff(aurelis: Any, order: Any) -> None:
    """A guest can't board anybody, and sees no lists of passengers."""
    flight = _flight(order)
    scan = await aurelis.guest.post(f"/flights/{flight}/boardings", {"bcbp": "x"})
    assert 401 == scan.status_code
    for what in ("boardings", "no-shows", "scans", "check-ins"):
        answer = await aurelis.guest.http.get(f"/v1/flights/{flight}/{what}")
        assert (401, "Bearer") == (
            answer.status_code,
            answer.headers["www-authenticate"].split()[0],
        )


async def test_check_in_not_open(aurelis: Any) -> None:
    """Days before the flight check-in is not open yet."""
    day = (datetime.now(UTC) + timedelta(days=4)).date()
    offer = (await aurelis.guest.offers((*aurelis.market, day)))[0]
    ordered = await aurelis.guest.ticketed(offer)
    answer = await aurelis.guest.check_in(ordered)
    assert (409, "check-in-not-open") == (answer.status_code, answer.json()["code"])


async def test_unpaid_is_not_checked_in(airlines: Any) -> None:
    """Without a ticket there is no boarding pass."""
    for airline in airlines:
        held = await airline.guest.book(await airline.guest.bookable(*airline.market))
        answer = await airline.guest.check_in(held)
        assert (409, "not-ticketed") == (answer.status_code, answer.json()["code"])


async def test_stranger_is_not_checked_in(aurelis: Any, order: Any) -> None:
    """A wrong name is answered as an unknown booking is."""
    answers = [
        await aurelis.guest.post(
            "/check-ins", {"booking_reference": reference, "family_name": "Nobody"}
        )
        for reference in (order["booking_reference"], "ZZZZZZ")
    ]
    assert [404, 404] == [one.status_code for one in answers]
    assert 1 == len({one.json()["detail"] for one in answers})


async def test_wrong_wishes_are_all_named(aurelis: Any, order: Any) -> None:
    """Each wrong field of a check-in has its pointer, in one answer."""
    second = order["passengers"][1]["id"]
    segment = order["slices"][0]["segments"][0]["id"]
    answer = await aurelis.guest.check_in(
        order,
        passenger_ids=[second, "pax_nobody"],
        seats=[{"passenger_id": second, "segment_id": "seg_nothing", "seat": "1A"}],
        bags=[{"passenger_id": second, "pieces": 50}],
        documents=[
            {
                "passenger_id": "pax_nobody",
                "number": "X1",
                "issuing_country": "AUT",
                "expires_on": "2020-01-01",
            }
        ],
    )
    assert 422 == answer.status_code, answer.text
    assert {
        "/passenger_ids/1",
        "/seats/0/segment_id",
        "/bags/0/pieces",
        "/documents/0/passenger_id",
        "/documents/0/expires_on",
    } == {one["pointer"] for one in answer.json()["errors"]}
    for seat, refusal in (
        ("99Z", (404, "seat-unknown")),
        (order["pass"]["seat"], (409, "seat-taken")),
    ):
        wish = {"passenger_id": second, "segment_id": segment, "seat": seat}
        answer = await aurelis.guest.check_in(order, passenger_ids=[second], seats=[wish])
        assert refusal == (answer.status_code, answer.json()["code"])


async def test_two_want_one_seat(pipit: Any) -> None:
    """Of two passengers who choose the same seat at once, one gets it."""
    offer = await pipit.guest.bookable(*pipit.market)
    orders = await asyncio.gather(*(pipit.guest.ticketed(offer) for _ in range(2)))
    segments = [one["slices"][0]["segments"][0]["id"] for one in orders]
    shown = (await pipit.guest.get("/seat-maps", order_id=orders[0]["id"]))["data"][0]
    seat = [
        seat["seat"]
        for cabin in shown["cabins"]
        for row in cabin["rows"]
        for seat in row["seats"]
        if seat["status"] == "available" and not row["exit_row"]
    ][-1]
    answers = await asyncio.gather(
        *(
            pipit.guest.check_in(
                one,
                seats=[
                    {
                        "passenger_id": one["passengers"][0]["id"],
                        "segment_id": segment,
                        "seat": seat,
                    }
                ],
            )
            for one, segment in zip(orders, segments, strict=True)
        )
    )
    assert [201, 409] == sorted(one.status_code for one in answers)
    assert ["seat-taken"] == [one.json()["code"] for one in answers if one.status_code == 409]


async def test_meals_where_there_are_none(pipit: Any) -> None:
    """An airline without the plugin answers its routes with 404, and its service as not offered."""
    for path in ("/v1/meals", "/v1/meals/ord_00000000000000000000000000"):
        answer = await pipit.guest.http.get(path)
        assert (404, "plugin-not-enabled") == (answer.status_code, answer.json()["code"])
    held = await pipit.guest.book(await pipit.guest.bookable(*pipit.market))
    wish = {
        "type": "meal",
        "code": "VGML",
        "passenger_id": held["passengers"][0]["id"],
        "segment_id": held["slices"][0]["segments"][0]["id"],
    }
    refused = await pipit.staff.post(f"/orders/{held['id']}/services", wish)
    assert (422, ["not-offered"]) == (
        refused.status_code,
        [one["code"] for one in refused.json()["errors"]],
    )


async def test_boarding_pass_is_found_by_its_id_alone(aurelis: Any, order: Any) -> None:
    """A pass is shown to whoever has its id, and to nobody who guesses."""
    shown = await aurelis.guest.get(f"/boarding-passes/{order['pass']['id']}")
    assert order["pass"]["bcbp"] == shown["bcbp"]
    for wrong in ("bp_00000000000000000000000000", order["pass"]["id"][:-1], order["id"]):
        for what in ("", "/image.png", "/document.pdf"):
            answer = await aurelis.guest.http.get(f"/v1/boarding-passes/{wrong}{what}")
            assert (404, "not-found") == (answer.status_code, answer.json()["code"])
