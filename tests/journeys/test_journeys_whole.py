"""The passenger's journey from the first look to the seat, at both airlines at once."""

from __future__ import annotations

import asyncio
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from typing import Any

import httpx
import pytest
import zxingcpp
from PIL import Image

from pss_outside.traveller import credentials

pytestmark = [pytest.mark.xdist_group("journeys")]


async def test_both_airlines_at_once(airlines: Any) -> None:
    """Both sell, ticket, check in and board at the same time on one server."""
    aurelis, pipit = airlines
    network, low_cost = await asyncio.gather(
        _journey(aurelis, ("LHR", "ATH"), "adult", "child", "infant", segments=2),
        _journey(pipit, pipit.market, "adult", "adult", segments=1),
    )
    assert {"991"} == {number[:3] for number in network}
    assert {"987"} == {number[:3] for number in low_cost}


async def _journey(airline: Any, market: tuple[str, str], *party: str, segments: int) -> list[str]:
    """Travel; gives the ticket numbers."""
    offer = await airline.guest.bookable(*market, *party, segments=segments, back=segments == 1)
    _check_offer(airline, offer, market)
    order = await airline.guest.ticketed(offer)
    assert order == await airline.guest.get(f"/orders/{order['id']}", **credentials(order))
    assert offer["total"] == order["total"]
    numbers = _check_documents(airline, order)
    await _check_ledger(airline, order)
    if airline.code == "aurelis":
        await _eat(airline, order)
    passes = await _check_in(airline, order, segments)
    await asyncio.gather(*(_check_pass(airline, order, one) for one in passes))
    await _board(airline, order, passes)
    return numbers


def _check_offer(airline: Any, offer: dict[str, Any], market: tuple[str, str]) -> None:
    """An offer adds up, and says the same moment in local time and in UTC."""
    assert market == (offer["slices"][0]["origin"], offer["slices"][0]["destination"])
    price = offer["price_breakdown"]
    assert offer["total"] == price["total"]
    assert {airline.currency} == {price[part]["currency"] for part in ("base", "taxes", "total")}
    each = [(one["count"], Decimal(one["total"]["amount"])) for one in price["passengers"]]
    assert Decimal(price["total"]["amount"]) == sum(count * amount for count, amount in each)
    for segment in (one for part in offer["slices"] for one in part["segments"]):
        assert segment["flight"].startswith(airline.designator)
        for moment in ("departing", "arriving"):
            local = datetime.fromisoformat(segment[f"{moment}_at"])
            assert local == datetime.fromisoformat(segment[f"{moment}_at_utc"])
            assert "/" in segment[f"{moment}_time_zone"]


def _check_documents(airline: Any, order: dict[str, Any]) -> list[str]:
    """Every passenger, the infant too, has one ticket with a coupon for each segment."""
    tickets = [one for one in order["documents"] if one["type"] == "ticket"]
    assert {one["id"] for one in order["passengers"]} == {one["passenger_id"] for one in tickets}
    segments = [one["id"] for part in order["slices"] for one in part["segments"]]
    for ticket in tickets:
        assert ticket["number"].isdigit()
        assert 13 == len(ticket["number"])
        assert segments == [coupon["segment_id"] for coupon in ticket["coupons"]]
        assert {"open"} == {coupon["status"] for coupon in ticket["coupons"]}
    numbers = [one["number"] for one in tickets]
    assert len(order["passengers"]) == len(set(numbers))
    return numbers


async def _check_ledger(airline: Any, order: dict[str, Any]) -> None:
    """The order's money is in its tickets; nothing is held any more."""
    ledger = await airline.staff.get("/payments/ledger", order_id=order["id"])
    assert (True, True) == (ledger["balanced"], ledger["reconciled"])
    balances = {one["account"]: Decimal(one["balance"]["amount"]) for one in ledger["accounts"]}
    assert 0 == sum(balances.values())
    assert 0 == balances["customer_deposits"]
    assert Decimal(order["total"]["amount"]) == balances["gateway_clearing"]
    assert -balances["gateway_clearing"] == balances["ticket_revenue"] + balances["tax_payable"]


async def _eat(airline: Any, order: dict[str, Any]) -> None:
    """A meal is a service of the order, seen on it and in the list of meals."""
    wish = {
        "type": "meal",
        "code": "VGML",
        "passenger_id": order["passengers"][0]["id"],
        "segment_id": order["slices"][0]["segments"][0]["id"],
    }
    known = credentials(order)
    made = await airline.guest.post(f"/orders/{order['id']}/services", wish, **known)
    assert (201, "meal", "VGML") == (
        made.status_code,
        made.json()["type"],
        made.json()["code"],
    ), made.text
    assert [made.json()] == (await airline.guest.own(order))["services"]
    meals = await airline.guest.get(f"/meals/{order['id']}", **known)
    assert ["VGML"] == [one["code"] for one in meals["data"]]


async def _check_in(airline: Any, order: dict[str, Any], segments: int) -> list[dict[str, Any]]:
    """A seat is chosen from the map; the way out is checked in as one boarding pass each."""
    maps = (await airline.guest.get("/seat-maps", order_id=order["id"]))["data"]
    out = [one["id"] for one in order["slices"][0]["segments"]]
    assert out == [one["segment_id"] for one in maps][: len(out)]
    chosen = _free_seat(maps[0])
    seats = [{"passenger_id": order["passengers"][0]["id"], "segment_id": out[0], "seat": chosen}]
    bags = [{"passenger_id": order["passengers"][0]["id"], "pieces": 1, "weight_kg": 17}]
    answer = await airline.guest.check_in(order, seats=seats, bags=bags)
    assert 201 == answer.status_code, answer.text
    passes: list[dict[str, Any]] = answer.json()["boarding_passes"]
    assert {one["id"] for one in order["passengers"]} == {one["passenger_id"] for one in passes}
    assert {segments} == {len(one["segments"]) for one in passes}
    assert {str(segments)} == {one["bcbp"][1] for one in passes}  # legs, in the barcode's 2nd byte
    first = next(one for one in passes if one["passenger_id"] == order["passengers"][0]["id"])
    assert chosen == first["seat"]
    assert [10] == [len(tag) for tag in first["bag_tags"]]
    again = await airline.guest.check_in(order)
    assert {one["bcbp"] for one in passes} == {
        one["bcbp"] for one in again.json()["boarding_passes"]
    }
    taken = (await airline.guest.get("/seat-maps", order_id=order["id"]))["data"][0]
    assert "occupied" == _seats(taken)[chosen]
    return passes


def _seats(seat_map: dict[str, Any]) -> dict[str, str]:
    return {
        seat["seat"]: seat["status"]
        for cabin in seat_map["cabins"]
        for row in cabin["rows"]
        for seat in row["seats"]
        if not row["exit_row"]
    }


def _free_seat(seat_map: dict[str, Any]) -> str:
    return next(seat for seat, status in _seats(seat_map).items() if status == "available")


async def _check_pass(airline: Any, order: dict[str, Any], issued: dict[str, Any]) -> None:
    """What the picture's barcode says is what the JSON says, and there is a PDF to print."""
    http: httpx.AsyncClient = airline.guest.http
    image = await http.get(issued["image_url"])
    assert (200, "image/png") == (image.status_code, image.headers["content-type"])
    with Image.open(BytesIO(image.content)) as picture:
        (barcode,) = zxingcpp.read_barcodes(picture)
    assert issued["bcbp"] == barcode.text
    assert order["booking_reference"] in issued["bcbp"]
    document = await http.get(issued["pdf_url"])
    assert (200, "application/pdf") == (document.status_code, document.headers["content-type"])
    assert document.content.startswith(b"%PDF")


async def _board(airline: Any, order: dict[str, Any], passes: list[dict[str, Any]]) -> None:
    """Each passenger boards each flight once; the last one of the first flight is missing."""
    segments = order["slices"][0]["segments"]
    for place, segment in enumerate(segments):
        flight = segment["flight_id"]
        gate = f"/flights/{flight}/boardings"
        before = (await airline.staff.get(gate))["counts"]
        boarding = passes[:-1] if place == 0 else passes
        for one in boarding:
            scan = await airline.staff.post(gate, {"bcbp": one["bcbp"]})
            assert (200, "boarded") == (scan.status_code, scan.json()["result"]), scan.text
        assert before["boarded"] + len(boarding) == scan.json()["counts"]["boarded"]
        again = await airline.staff.post(gate, {"bcbp": passes[0]["bcbp"]})
        assert "already_boarded" == again.json()["result"]
        missing = (await airline.staff.get(f"/flights/{flight}/no-shows"))["data"]
        ours = {one["passenger_id"] for one in missing} & {one["id"] for one in order["passengers"]}
        assert {one["passenger_id"] for one in passes[len(boarding) :]} == ours
    flown = await airline.staff.get("/tickets", order_id=order["id"])
    used = {
        (ticket["passenger_id"], coupon["segment_id"])
        for ticket in flown["data"]
        for coupon in ticket["coupons"]
        if coupon["status"] == "flown"
    }
    assert len(passes) * len(segments) - 1 == len(used)
