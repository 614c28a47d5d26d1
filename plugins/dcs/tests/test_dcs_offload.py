"""Taking check-ins back, and barcodes at the gate."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from pss_dcs import bcbp, passes
from pss_dcs.contracts import check_in_of_bcbp, manifest
from pss_dcs.offload import end_order, offload
from pss_kernel import Gone, NotFound
from pss_ticketing.contracts import CouponUsed


async def scan(airline: Any, text: str, flight: str = "flt_102", at: str | None = None) -> str:
    async with airline.unit_of_work(airline.tenant) as uow:
        match = await check_in_of_bcbp(uow, flight, text, at)
    assert (match.check_in is not None) == (match.reason in {"checked_in", "offloaded"})
    return str(match.reason)


async def test_an_offloaded_passenger_may_check_in_again(airline: Any) -> None:
    """Coupons are open again, the seat is free, the old pass is void, the new one is another."""
    order = airline.order("adult", "infant")
    old, infant = await airline.check_in(order)
    async with airline.unit_of_work(airline.tenant) as uow:
        done = await offload(uow, old.segments[0].check_in_id)
    assert len(done.check_ins) == 4
    assert set(airline.coupons.values()) == {"open"}
    async with airline.unit_of_work(airline.tenant) as uow:
        assert (await offload(uow, old.segments[0].check_in_id)).check_ins == []
        assert await manifest(uow, "flt_102") == []
        with pytest.raises(Gone):
            await passes.open_pass(uow, infant.id)
    new, _ = await airline.check_in(order)
    assert (new.seat, new.sequence) == (old.seat, 3)
    assert [await scan(airline, old.bcbp), await scan(airline, new.bcbp)] == [
        "offloaded",
        "checked_in",
    ]


async def test_offloading_from_the_second_flight_leaves_the_first(airline: Any) -> None:
    """The pass keeps its id and has one leg left."""
    (one,) = await airline.check_in(airline.order("adult"))
    async with airline.unit_of_work(airline.tenant) as uow:
        await offload(uow, one.segments[1].check_in_id)
        left = await passes.show_pass(uow, one.id)
    assert (left.id, len(left.segments), len(bcbp.read(left.bcbp).legs)) == (one.id, 1, 1)


async def test_who_has_boarded_is_not_offloaded(airline: Any) -> None:
    """A flown coupon refuses, and nothing changes."""
    order = airline.order("adult")
    (one,) = await airline.check_in(order)
    airline.coupons[order.passengers[0].id, order.segments()[0].id] = "flown"
    with pytest.raises(CouponUsed):
        async with airline.unit_of_work(airline.tenant) as uow:
            await offload(uow, one.segments[0].check_in_id)
    assert await scan(airline, one.bcbp) == "checked_in"


async def test_a_cancelled_order_leaves_nothing_behind(airline: Any) -> None:
    """Seats are free for others and the passes void; once more changes nothing."""
    order = airline.order("adult")
    (one,) = await airline.check_in(order)
    async with airline.unit_of_work(airline.tenant) as uow:
        await end_order(uow, order.id)
        await end_order(uow, order.id)
    (other,) = await airline.check_in(airline.order("adult"))
    assert other.seat == one.seat
    assert await scan(airline, one.bcbp) == "offloaded"


async def test_what_a_barcode_means_at_the_gate(airline: Any) -> None:
    """Every reason that a gate can give."""
    (one,) = await airline.check_in(airline.order("adult"))
    booked = airline.order("adult")
    text = one.bcbp
    day = bcbp.read(text).legs[0].day_of_year
    assert day is not None
    found = [
        await scan(airline, text),
        await scan(airline, text, at="LHR"),
        await scan(airline, text, at="VIE"),
        await scan(airline, text, flight="flt_871"),
        await scan(airline, text.replace("Q1 0102", "Q1 0103").replace("Q1 0871", "Q1 0872")),
        await scan(airline, text.replace(f"0102 {day:03d}", f"0102 {(day + 99) % 360:03d}")),
        await scan(airline, text.replace("MUELLER/JOERG", "MEIER/JOERG  ")),
        await scan(airline, text.replace(one.segments[0].flight, "")[:40]),
        await scan(airline, "ABC"),
        await scan(airline, text.replace("ABC001", booked.booking_reference)),
        await scan(airline, text.replace("ABC001", "ZZZ999")),
    ]
    assert found == [
        "checked_in",
        "checked_in",
        "wrong_flight",
        "checked_in",
        "wrong_flight",
        "wrong_date",
        "unknown_passenger",
        "unreadable",
        "unreadable",
        "not_checked_in",
        "unknown_passenger",
    ]
    with pytest.raises(NotFound):
        await scan(airline, text, flight="flt_x")


async def test_the_manifest_is_in_boarding_order(airline: Any) -> None:
    """All who stand checked in on the flight, each once."""
    await asyncio.gather(*(airline.check_in(airline.order("adult")) for _ in range(4)))
    async with airline.unit_of_work(airline.tenant) as uow:
        listed = await manifest(uow, "flt_871")
    assert sorted(one.sequence for one in listed) == [1, 2, 3, 4]
    assert {one.origin for one in listed} == {"VIE"}


async def test_a_face_has_the_times_of_now(airline: Any) -> None:
    """A delayed flight is drawn with its new time, and the passenger's own letters."""
    (one,) = await airline.check_in(airline.order("adult"))
    flight = airline.flights["flt_102"]
    (leg,) = flight.legs
    later = replace(leg, departing_at=leg.departing_at + timedelta(minutes=50))
    airline.flights["flt_102"] = replace(flight, legs=[later])
    async with airline.unit_of_work(airline.tenant) as uow:
        face = await passes.face_of(uow, one.id)
    assert face.passenger_name == "Jörg Müller"
    assert face.segments[0].departing_at == later.departing_at
    assert [segment.destination_name for segment in face.segments] == ["Vienna", "Athens"]
