"""Checking in on the database; reservation, inventory and ticketing are played."""

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest

from pss_dcs import bcbp, store
from pss_dcs.contracts import (
    BagTagsExhausted,
    CheckInClosed,
    CheckInNotOpen,
    NotTicketed,
    SeatNotAllowed,
    SeatTaken,
    SeatUnknown,
)
from pss_dcs.requests import BagDeclaration, PassengerDocument, SeatChoice
from pss_kernel import ERASED, Conflict, Invalid, UnitOfWork


async def test_a_connection_has_one_pass_per_passenger(airline: Any, today: date) -> None:
    """Both flights stand in one barcode; the family sits together; the infant has no seat."""
    order = airline.order("adult", "child", "infant")
    passes = await airline.check_in(order)
    read = [bcbp.read(one.bcbp, reference=today) for one in passes]
    assert [[leg.origin for leg in one.legs] for one in read] == [["LHR", "VIE"]] * 3
    assert [one.passenger_name for one in read] == ["MUELLER/JOERG", "MUELLER/IDA", "MUELLER/MAX"]
    assert [leg.flight_date for leg in read[0].legs] == [
        flight.flight_date for flight in airline.flights.values()
    ]
    assert [one.legs[0].seat for one in read] == ["003A", "003B", "INF"]
    assert [one.sequence for one in passes] == [1, 2, 3]
    assert [one.seat for one in passes] == ["3A", "3B", None]
    assert set(airline.coupons.values()) == {"checked_in"}
    assert all(not one.warnings for one in read)


async def test_checking_in_again_gives_the_same_passes(airline: Any) -> None:
    """The second request changes nothing and takes no further sequence numbers."""
    order = airline.order("adult", "child")
    first = await airline.check_in(order)
    assert first == await airline.check_in(order)
    (other,) = await airline.check_in(airline.order("adult"))
    assert other.sequence == 3


async def test_simultaneous_requests_check_in_once(airline: Any) -> None:
    """Requests about one order wait for each other, and agree."""
    order = airline.order("adult", "adult")
    answers = await asyncio.gather(*(airline.check_in(order) for _ in range(5)))
    assert all(answer == answers[0] for answer in answers)


async def test_simultaneous_orders_get_seats_and_sequences_of_their_own(airline: Any) -> None:
    """Nobody shares a seat or a sequence number on a leg; parties sit in one row."""
    orders = [airline.order("adult", "adult") for _ in range(10)]
    answers = await asyncio.gather(*(airline.check_in(order) for order in orders))
    passes = [one for answer in answers for one in answer]
    assert sorted(one.sequence for one in passes) == list(range(1, 21))
    assert len({one.seat for one in passes}) == 20
    assert all(first.seat[:-1] == second.seat[:-1] for first, second in answers)


async def test_one_seat_goes_to_one_of_two(airline: Any) -> None:
    """Two requests for one seat at the same moment: one has it, the other is refused."""
    orders = [airline.order("adult"), airline.order("adult")]

    async def want(order: Any) -> str:
        choice = SeatChoice(
            passenger_id=order.passengers[0].id, segment_id=order.segments()[0].id, seat="4c"
        )
        try:
            (one,) = await airline.check_in(order, seats=[choice])
        except SeatTaken as refusal:
            return refusal.code
        return str(one.seat)

    assert sorted(await asyncio.gather(*map(want, orders))) == ["4C", "seat-taken"]


async def test_more_passengers_than_seats(airline: Any) -> None:
    """Those for whom no seat is left are checked in without one."""
    orders = [airline.order("adult", "adult", "adult", "adult", "adult") for _ in range(8)]
    passes = [one for order in orders for one in await airline.check_in(order)]
    assert sum(one.seat is None for one in passes) == 40 - 35
    assert bcbp.read(passes[-1].bcbp).legs[0].seat == ""


@pytest.mark.parametrize(
    ("seat", "refusal"),
    [("99A", SeatUnknown), ("", SeatUnknown), ("1A", SeatNotAllowed), ("8F", SeatNotAllowed)],
)
async def test_seats_that_are_refused(airline: Any, seat: str, refusal: type[Exception]) -> None:
    """No such seat, another cabin, a blocked one; and nobody is checked in then."""
    order = airline.order("adult")
    choice = SeatChoice(
        passenger_id=order.passengers[0].id, segment_id=order.segments()[0].id, seat=seat
    )
    with pytest.raises(refusal):
        await airline.check_in(order, seats=[choice])
    (one,) = await airline.check_in(order)
    assert one.sequence == 1


@pytest.mark.parametrize(("types", "index"), [(("adult", "child"), 1), (("adult", "infant"), 0)])
async def test_exits_are_for_those_who_can_help(
    airline: Any, types: tuple[str, ...], index: int
) -> None:
    """A child, or an adult with an infant, may not sit at an emergency exit."""
    order = airline.order(*types)
    choice = SeatChoice(
        passenger_id=order.passengers[index].id, segment_id=order.segments()[0].id, seat="5A"
    )
    with pytest.raises(SeatNotAllowed):
        await airline.check_in(order, seats=[choice])


async def test_a_seat_can_be_changed_at_check_in(airline: Any) -> None:
    """The pass stays the same one; its barcode has the new seat, the old seat is free."""
    order = airline.order("adult")
    (before,) = await airline.check_in(order)
    choice = SeatChoice(
        passenger_id=order.passengers[0].id, segment_id=order.segments()[0].id, seat="7D"
    )
    (after,) = await airline.check_in(order, seats=[choice])
    assert (after.id, after.sequence, after.seat) == (before.id, before.sequence, "7D")
    assert bcbp.read(after.bcbp).legs[0].seat == "007D"
    (other,) = await airline.check_in(airline.order("adult"))
    assert other.seat == before.seat


@pytest.mark.parametrize(
    ("departing_in", "refusal", "code"),
    [
        (timedelta(hours=49), CheckInNotOpen, "check-in-not-open"),
        (timedelta(minutes=44), CheckInClosed, "check-in-closed"),
    ],
)
async def test_the_window_of_check_in(
    airline: Any, departing_in: timedelta, refusal: type[Conflict], code: str
) -> None:
    """Too early and too late are refused; what was checked in before is still shown."""
    order = airline.order("adult")
    passes = await airline.check_in(order)
    airline.fly(departing_in)
    with pytest.raises(refusal) as refused:
        await airline.check_in(airline.order("adult"))
    assert refused.value.code == code
    assert await airline.check_in(order) == passes


@pytest.mark.parametrize("status", ["held", "confirmed", "cancelled", "needs_attention"])
async def test_an_order_without_tickets_is_refused(airline: Any, status: str) -> None:
    """Only ticketed orders are checked in."""
    with pytest.raises(NotTicketed):
        await airline.check_in(airline.order("adult", status=status))


async def test_a_refunded_coupon_is_refused(airline: Any) -> None:
    """The coupon decides, whatever the order says."""
    order = airline.order("adult")
    airline.coupons[order.passengers[0].id, order.segments()[1].id] = "refunded"
    with pytest.raises(NotTicketed):
        await airline.check_in(order)


async def test_one_segment_and_one_passenger(airline: Any) -> None:
    """Less can be asked for: then the pass has one leg; the rest gets another pass later."""
    order = airline.order("adult", "adult")
    (first,) = await airline.check_in(
        order, segment_id=order.segments()[0].id, passenger_ids=[order.passengers[1].id]
    )
    assert (first.passenger_id, len(first.segments)) == (order.passengers[1].id, 1)
    passes = await airline.check_in(order)
    assert [(one.passenger_id, len(one.segments)) for one in passes] == [
        (order.passengers[0].id, 2),
        (order.passengers[1].id, 1),
        (order.passengers[1].id, 1),
    ]
    assert passes[1] == first


async def test_bags_have_consecutive_tags(airline: Any) -> None:
    """Each bag has a licence plate of its own; declaring the same again changes nothing."""
    order = airline.order("adult", "adult")
    bags = [BagDeclaration(passenger_id=order.passengers[0].id, pieces=2, weight_kg=31)]
    first, second = await airline.check_in(order, bags=bags)
    assert first.bag_tags == ["0991000001", "0991000002"]
    unique = bcbp.read(first.bcbp).unique
    assert unique is not None
    assert unique.bag_tags == ["0991000001002"]
    assert second.bag_tags == []
    assert await airline.check_in(order, bags=bags) == [first, second]
    bags[0].pieces = 3
    (third, _) = await airline.check_in(order, bags=bags)
    assert (third.id, len(third.bag_tags)) == (first.id, 3)
    bags[0].pieces = 1
    with pytest.raises(Conflict) as refused:
        await airline.check_in(order, bags=bags)
    assert refused.value.code == "bags-already-tagged"


async def test_a_bag_tag_is_issued_once(airline: Any, with_settings: Any) -> None:
    """Simultaneous bags get different tags, and the range ends where the airline says."""
    with_settings(first_bag_tag_serial=500, last_bag_tag_serial=509)

    async def tag() -> list[str]:
        order = airline.order("adult")
        bags = [BagDeclaration(passenger_id=order.passengers[0].id, pieces=2)]
        try:
            return list((await airline.check_in(order, bags=bags))[0].bag_tags)
        except BagTagsExhausted as refusal:
            return [refusal.code]

    answers = await asyncio.gather(*(tag() for _ in range(6)))
    tags = sorted(tag for answer in answers for tag in answer)
    assert tags == [f"0991000{serial}" for serial in range(500, 510)] + ["bag-tags-exhausted"]


async def test_every_wrong_field_is_named(airline: Any) -> None:
    """Strangers, too many bags and expired documents are all in one answer."""
    order = airline.order("adult", "infant")
    infant = order.passengers[1].id
    with pytest.raises(Invalid) as refused:
        await airline.check_in(
            order,
            segment_id="seg_x",
            passenger_ids=[infant, "pax_x"],
            seats=[SeatChoice(passenger_id=infant, segment_id="seg_y", seat="3A")],
            bags=[BagDeclaration(passenger_id="pax_x", pieces=99)],
            documents=[
                PassengerDocument(
                    passenger_id=infant,
                    number="P1",
                    issuing_country="AT",
                    expires_on=date(2001, 1, 1),
                )
            ],
        )
    assert [error.pointer for error in refused.value.errors] == [
        "/segment_id",
        "/passenger_ids/0",
        "/passenger_ids/1",
        "/seats/0/passenger_id",
        "/seats/0/segment_id",
        "/bags/0/passenger_id",
        "/bags/0/pieces",
        "/documents/0/expires_on",
    ]


async def test_without_a_seat_map_seats_are_free(airline: Any) -> None:
    """An aircraft without a seat map is boarded with open seating."""
    async with airline.unit_of_work(airline.tenant) as uow:
        await store.replace_seat_maps(uow, [])
    (one,) = await airline.check_in(airline.order("adult"))
    assert one.seat is None


async def test_events_tell_who_was_checked_in(
    airline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One event for each passenger and segment, in the order's stream; none when asked again."""
    emitted: list[tuple[str, str, str]] = []

    def emit(_uow: Any, event: Any, *, stream: str) -> None:
        emitted.append((stream, event.passenger_id, event.segment_id))

    monkeypatch.setattr(UnitOfWork, "emit", emit)
    order = airline.order("adult", "child")
    await airline.check_in(order)
    await airline.check_in(order)
    assert emitted == [
        (order.id, passenger.id, segment.id)
        for segment in order.segments()
        for passenger in order.passengers
    ]


async def test_documents_are_sealed(airline: Any, kit: Any) -> None:
    """A travel document is kept with the passenger's own key, and is lost with it."""
    order = airline.order("adult")
    passenger = order.passengers[0].id
    document = PassengerDocument(
        passenger_id=passenger, number="P7654321", issuing_country="AT", expires_on=date(2099, 1, 1)
    )
    await airline.check_in(order, documents=[document])
    async with kit.unit_of_work(airline.tenant) as uow:
        (row, *_) = await uow.hot(
            "SELECT c::text AS everything, travel_document, sealed_document FROM check_in c "
            "WHERE passenger_id = $1",
            passenger,
        )
        sealed = {passenger: {"check_in.sealed_document": row["sealed_document"]}}
        (opened,) = (await uow.unseal(sealed))[passenger].values()
        await uow.erase_persons(passenger)
        (erased,) = (await uow.unseal(sealed))[passenger].values()
    assert "P7654321" not in row["everything"]
    assert row["travel_document"] is None
    assert "P7654321" == opened["number"]
    assert erased is ERASED
