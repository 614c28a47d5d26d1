"""Seat maps, check-in and boarding passes as a client meets them."""

from io import BytesIO
from typing import Any

import zxingcpp
from PIL import Image

from pss_dcs.contracts import SeatNotAllowed, SeatTaken
from pss_dcs.decoders import decode_bcbp
from pss_dcs.hooks import choose_seat
from pss_kernel import Problem
from pss_reservation.contracts import ServiceRequest


def body_of(order: Any, **more: Any) -> dict[str, Any]:
    return {"booking_reference": order.booking_reference, "family_name": "Müller"} | more


async def test_a_guest_checks_in_and_sees_the_pass(airline: Any, http: Any) -> None:
    """The pass is answered, drawn as PNG and PDF, and shown by its id alone."""
    client = await http(airline.tenant)
    answer = await client.post("/v1/check-ins", json=body_of(airline.order("adult")))
    assert answer.status_code == 201
    (one,) = answer.json()["boarding_passes"]
    image = await client.get(one["image_url"])
    assert image.headers["content-type"] == "image/png"
    (symbol,) = zxingcpp.read_barcodes(Image.open(BytesIO(image.content)))
    assert symbol.text == one["bcbp"]
    document = await client.get(one["pdf_url"])
    assert document.headers["content-type"].startswith("application/pdf")
    assert document.content.startswith(b"%PDF-")
    assert (await client.get(f"/v1/boarding-passes/{one['id']}")).json() == one


async def test_refusals_have_stable_codes(airline: Any, http: Any) -> None:
    """A client can tell what is wrong by status and code."""
    client = await http(airline.tenant)
    order = airline.order("adult")
    seat = {"passenger_id": order.passengers[0].id, "segment_id": order.segments()[0].id}
    answers = [
        await client.post("/v1/check-ins", json={"booking_reference": "X", "family_name": "Y"}),
        await client.post("/v1/check-ins", json=body_of(order, segment_id="seg_x")),
        await client.post("/v1/check-ins", json=body_of(order, seats=[seat | {"seat": "99Z"}])),
        await client.post("/v1/check-ins", json=body_of(order, seats=[seat | {"seat": "1A"}])),
        await client.post("/v1/check-ins", json=body_of(airline.order("adult", status="held"))),
        await client.get("/v1/boarding-passes/bp_x/image.png"),
        await client.get(f"/v1/boarding-passes/bp_{'a' * 26}"),
        await client.get("/v1/seat-maps"),
        await client.delete("/v1/check-ins/chk_x"),
    ]
    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [
        (404, "not-found"),
        (422, "invalid"),
        (404, "seat-unknown"),
        (409, "seat-not-allowed"),
        (409, "not-ticketed"),
        (404, "not-found"),
        (404, "not-found"),
        (400, "bad-request"),
        (401, "unauthorised"),
    ]


async def test_staff_offload_and_read_the_manifest(airline: Any, http: Any) -> None:
    """What was checked in is listed until it is taken back; then the pass is gone."""
    guest, staff = await http(airline.tenant), await http(airline.tenant, ["dcs:*"])
    checked_in = await guest.post("/v1/check-ins", json=body_of(airline.order("adult")))
    (one,) = checked_in.json()["boarding_passes"]
    async with airline.unit_of_work(airline.tenant) as uow:
        rows = await uow.hot("SELECT id FROM check_in ORDER BY board_leg_id")
    ended = await staff.delete(f"/v1/check-ins/{rows[0]['id']}")
    assert [part["origin"] for part in ended.json()["check_ins"]] == ["LHR", "VIE"]
    gone = await guest.get(one["image_url"])
    assert (gone.status_code, gone.json()["code"]) == (410, "boarding-pass-voided")


async def test_a_seat_map_shows_what_is_free(airline: Any, http: Any) -> None:
    """The passenger's cabin only: taken and blocked seats are marked."""
    client = await http(airline.tenant)
    order = airline.order("adult")
    await client.post("/v1/check-ins", json=body_of(order))
    maps = (await client.get("/v1/seat-maps", params={"order_id": "ord_" + "0" * 26})).json()
    assert maps["code"] == "not-found"
    airline.orders["ord_" + "0" * 26] = order
    maps = (await client.get("/v1/seat-maps", params={"order_id": "ord_" + "0" * 26})).json()
    first, second = maps["data"]
    assert (first["flight"], second["flight"]) == ("Q1102", "Q1871")
    (cabin,) = first["cabins"]
    assert cabin["columns"] == "ABC DEF"
    seats = {seat["seat"]: seat for row in cabin["rows"] for seat in row["seats"]}
    shown = {number: seats[number]["status"] for number in ("3A", "3B", "8F")}
    assert shown == {"3A": "occupied", "3B": "available", "8F": "blocked"}
    assert seats["5A"]["characteristics"] == ["window", "exit_row"]
    assert "1A" not in seats


async def wish(airline: Any, order: Any, seat: str | None, kind: str = "seat") -> str:
    """Ask for a seat ahead of check-in; the seat, or the code of the refusal."""
    request = ServiceRequest(
        type=kind,
        passenger_id=order.passengers[0].id,
        segment_id=order.segments()[0].id,
        seat=seat,
    )
    try:
        async with airline.unit_of_work(airline.tenant) as uow:
            done = await choose_seat(uow, order, request)
    except Problem as refusal:
        return refusal.code
    return done.detail if done else "not mine"


async def test_a_seat_chosen_ahead_is_kept_at_check_in(airline: Any) -> None:
    """One seat per passenger; changed as often as wanted until check-in."""
    order, other = airline.order("adult"), airline.order("adult")
    answers = [
        await wish(airline, order, "6C"),
        await wish(airline, order, "7a"),
        await wish(airline, other, "7A"),
        await wish(airline, other, "6C"),
        await wish(airline, other, None),
        await wish(airline, other, "6C", kind="meal"),
    ]
    assert answers == ["6C", "7A", SeatTaken.code, "6C", "invalid", "not mine"]
    (one,) = await airline.check_in(order)
    assert one.seat == "7A"
    assert await wish(airline, order, "6D") == "already-checked-in"


async def test_a_fare_without_choice_of_seats(airline: Any, monkeypatch: Any) -> None:
    """Guests can't choose on it; the airline's staff can for them."""
    order = airline.order("adult", seat_selection="none")
    assert await wish(airline, order, "6C") == "6C"
    monkeypatch.setattr("pss_kernel.auth.Actor.may", lambda _actor, _permission: False)
    assert await wish(airline, order, "6D") == SeatNotAllowed.code


def test_the_decoder_reads_any_bytes() -> None:
    """`pss decode bcbp` takes what a scanner gives, in any encoding."""
    raw = b"M1DESMARAIS/LUC       EABC123 YULFRAAC 0834 326J001A0025 103\xff\xfe\xfd"
    read: Any = decode_bcbp(raw)
    assert (read.passenger_name, len(read.legs[0].airline_use)) == ("DESMARAIS/LUC", 3)


async def test_lists_have_an_end(airline: Any, http: Any) -> None:
    """More entries than any party has are refused before anything is looked up."""
    client = await http(airline.tenant)
    many = dict.fromkeys(("passenger_ids", "seats", "bags", "documents"), [{}] * 51)
    answer = await client.post("/v1/check-ins", json=body_of(airline.order("adult"), **many))
    assert answer.status_code == 422
    too_many = {one["pointer"] for one in answer.json()["errors"] if one["code"] == "too-many"}
    assert too_many == {f"/{name}" for name in many}
