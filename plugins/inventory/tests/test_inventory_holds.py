"""Seats are taken, sold and given back, and never oversold."""

import asyncio
from datetime import date
from typing import Any

import pytest

from pss_inventory import contracts
from pss_inventory.contracts import SeatRequest, SoldOut
from pss_kernel import Conflict, NotFound

CLASSES = ("Y", "M", "K")  # authorised 10, 6 and 3 seats


async def leg_of(uow: Any, day: date, number: str = "101", leg: int = 0) -> int:
    """Give the id of a leg of that flight."""
    rows = await uow.hot(
        "SELECT l.id FROM leg l JOIN flight f ON f.id = l.flight_id"
        " WHERE f.flight_number = $1 AND f.flight_date = $2 ORDER BY l.sequence",
        number,
        day,
    )
    found: int = rows[leg]["id"]
    return found


async def counts(uow: Any, leg_id: int) -> tuple[list[int], list[int]]:
    """Give what is held and sold in economy on the leg."""
    (row,) = await uow.hot(
        "SELECT held, sold FROM leg_cabin WHERE leg_id = $1 AND cabin = 'economy'", leg_id
    )
    return row["held"], row["sold"]


def economy(leg_id: int, booking_class: str, seats: int = 1) -> SeatRequest:
    """Ask for seats in economy on one leg."""
    return SeatRequest([leg_id], "economy", booking_class, seats)


async def test_held_seats_are_sold_and_given_back(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """Hold, confirm and release move seats from held to sold to free, once each."""
    async with unit_of_work(airline) as uow:
        leg_id = await leg_of(uow, travel_date)
        await contracts.hold_seats(uow, "hold-1", [economy(leg_id, "M", 2)])
    async with unit_of_work(airline) as uow:
        assert ([0, 2, 0], [0, 0, 0]) == await counts(uow, leg_id)
    for _ in range(2):
        async with unit_of_work(airline) as uow:
            await contracts.confirm_seats(uow, "hold-1")
    async with unit_of_work(airline) as uow:
        assert ([0, 0, 0], [0, 2, 0]) == await counts(uow, leg_id)
    for _ in range(2):
        async with unit_of_work(airline) as uow:
            await contracts.release_seats(uow, "hold-1")
    async with unit_of_work(airline) as uow:
        assert ([0, 0, 0], [0, 0, 0]) == await counts(uow, leg_id)


async def test_released_hold_is_not_confirmed(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """Whichever comes first, expiry or payment, the other one is refused."""
    async with unit_of_work(airline) as uow:
        leg_id = await leg_of(uow, travel_date)
        await contracts.hold_seats(uow, "hold-1", [economy(leg_id, "M")])
    async with unit_of_work(airline) as uow:
        await contracts.release_seats(uow, "hold-1")
    with pytest.raises(Conflict) as caught:
        async with unit_of_work(airline) as uow:
            await contracts.confirm_seats(uow, "hold-1")
    assert "hold-released" == caught.value.code


async def test_unknown_hold_is_not_found_and_harmless_to_release(
    airline: Any, unit_of_work: Any
) -> None:
    """Confirming nothing is an error, giving nothing back is not."""
    async with unit_of_work(airline) as uow:
        await contracts.release_seats(uow, "hold-0")
        with pytest.raises(NotFound):
            await contracts.confirm_seats(uow, "hold-0")


async def test_nesting_protects_higher_classes(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """A lower class stops at its own level; higher classes sell on to theirs."""
    async with unit_of_work(airline) as uow:
        leg_id = await leg_of(uow, travel_date)
        await contracts.hold_seats(uow, "hold-1", [economy(leg_id, "K", 3)])
    for booking_class, seats, fits in (("K", 1, False), ("M", 4, False), ("M", 3, True)):
        try:
            async with unit_of_work(airline) as uow:
                request = [economy(leg_id, booking_class, seats)]
                await contracts.hold_seats(uow, f"hold-{booking_class}{seats}", request)
        except SoldOut:
            assert not fits
        else:
            assert fits
    async with unit_of_work(airline) as uow:
        assert ([0, 3, 3], [0, 0, 0]) == await counts(uow, leg_id)


async def test_one_short_leg_holds_nothing(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """When one leg of several is short, no leg keeps a hold."""
    async with unit_of_work(airline) as uow:
        first, second = [await leg_of(uow, travel_date, "201", leg) for leg in (0, 1)]
        await contracts.hold_seats(uow, "hold-1", [economy(second, "Y", 10)])
    both = SeatRequest([second, first], "economy", "Y", 1)
    with pytest.raises(SoldOut):
        async with unit_of_work(airline) as uow:
            await contracts.hold_seats(uow, "hold-2", [both])
    async with unit_of_work(airline) as uow:
        assert ([0, 0, 0], [0, 0, 0]) == await counts(uow, first)
        assert [] == await uow.hot("SELECT 1 FROM seat_hold WHERE hold_id = 'hold-2'")


@pytest.mark.parametrize(
    ("cabin", "booking_class"), [("economy", "X"), ("economy", "J"), ("first", "F")]
)
async def test_class_that_the_leg_does_not_have_is_sold_out(
    airline: Any, unit_of_work: Any, travel_date: date, cabin: str, booking_class: str
) -> None:
    """A class or cabin that does not exist has no seats."""
    async with unit_of_work(airline) as uow:
        leg_id = await leg_of(uow, travel_date)
    request = [SeatRequest([leg_id], cabin, booking_class, 1)]
    with pytest.raises(SoldOut):
        async with unit_of_work(airline) as uow:
            await contracts.hold_seats(uow, "hold-1", request)


async def test_hold_id_is_used_once(airline: Any, unit_of_work: Any, travel_date: date) -> None:
    """A second hold under one id is refused and takes nothing."""
    async with unit_of_work(airline) as uow:
        leg_id = await leg_of(uow, travel_date)
        await contracts.hold_seats(uow, "hold-1", [economy(leg_id, "M")])
    with pytest.raises(Conflict) as caught:
        async with unit_of_work(airline) as uow:
            await contracts.hold_seats(uow, "hold-1", [economy(leg_id, "M")])
    assert "hold-exists" == caught.value.code
    async with unit_of_work(airline) as uow:
        assert ([0, 1, 0], [0, 0, 0]) == await counts(uow, leg_id)


async def test_unknown_leg_is_refused(airline: Any, unit_of_work: Any) -> None:
    """A leg that does not exist, or has left, cannot be held."""
    with pytest.raises(Conflict) as caught:
        async with unit_of_work(airline) as uow:
            await contracts.hold_seats(uow, "hold-1", [economy(999_999_999, "Y")])
    assert "flight-departed" == caught.value.code


async def test_race_for_the_last_seats_never_oversells(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """Forty buyers at once on two legs in opposite orders: levels hold, and the cabin fills."""
    async with unit_of_work(airline) as uow:
        legs = [await leg_of(uow, travel_date, "201", leg) for leg in (0, 1)]

    async def buy(number: int) -> bool:
        order = legs if number % 2 else legs[::-1]
        request = SeatRequest(order, "economy", CLASSES[number % 3], 1)
        try:
            async with unit_of_work(airline) as uow:
                await contracts.hold_seats(uow, f"hold-{number}", [request])
        except SoldOut:
            return False
        return True

    bought = await asyncio.gather(*(buy(number) for number in range(40)))
    async with unit_of_work(airline) as uow:
        for leg_id in legs:
            held, _ = await counts(uow, leg_id)
            assert sum(held[2:]) <= 3
            assert sum(held[1:]) <= 6
            assert 10 == sum(held)
    assert 10 == sum(bought)


async def test_race_of_confirmation_and_release_has_one_winner(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """A hold that is paid and expires at once ends sold or free, and the counts agree."""
    async with unit_of_work(airline) as uow:
        leg_id = await leg_of(uow, travel_date)
        for number in range(6):
            await contracts.hold_seats(uow, f"hold-{number}", [economy(leg_id, "Y")])

    async def end(number: int, act: Any) -> str:
        try:
            async with unit_of_work(airline) as uow:
                await act(uow, f"hold-{number}")
        except Conflict as conflict:
            return conflict.code
        return "done"

    acts = (contracts.confirm_seats, contracts.release_seats)
    ends = await asyncio.gather(*(end(number, act) for number in range(6) for act in acts))
    assert set(ends) <= {"done", "hold-released"}
    async with unit_of_work(airline) as uow:
        held, sold = await counts(uow, leg_id)
        (row,) = await uow.hot("SELECT count(*) AS n FROM seat_hold WHERE state = 'sold'")
    assert ([0, 0, 0], [row["n"], 0, 0]) == (held, sold)
