"""Seat assignments: who has a seat on a leg is decided by a unique index of the database."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import func, select, update

from pss_kernel import UnitOfWork

from .contracts import SeatTaken, SeatUnknown
from .models import seat_assignment
from .seat_map import Seat, SeatMap
from .seating import Traveller, choose_seats, require_allowed, suits

__all__ = ["SeatedSegment", "assign_chosen", "assign_rest", "occupied", "release", "release_order"]

_TRIES = 3

_INSERT = """
INSERT INTO seat_assignment (leg_id, seat, order_id, passenger_id, segment_id)
SELECT leg_id, seat, $3, passenger_id, $5
FROM unnest($1::bigint[], $2::text[], $4::text[]) AS wanted (leg_id, seat, passenger_id)
ORDER BY leg_id, seat
ON CONFLICT DO NOTHING
RETURNING leg_id, seat, passenger_id
"""


class SeatedSegment(Struct, kw_only=True, frozen=True):
    """A segment as far as seats matter. `seat_map` is None where the airline filed none."""

    order_id: str
    segment_id: str
    cabin: str
    leg_ids: list[int]
    seat_map: SeatMap | None


async def occupied(uow: UnitOfWork, leg_ids: list[int]) -> dict[str, set[str]]:
    """Seats that are taken on any of the legs, each with the passengers who have it."""
    taken: dict[str, set[str]] = {}
    rows = await uow.fetch_all(
        select(seat_assignment.c.seat, seat_assignment.c.passenger_id)
        .distinct()
        .where(seat_assignment.c.leg_id.in_(leg_ids), seat_assignment.c.released_at.is_(None))
    )
    for row in rows:
        taken.setdefault(row["seat"], set()).add(row["passenger_id"])
    return taken


async def release(uow: UnitOfWork, passenger_ids: Sequence[str], leg_ids: Sequence[int]) -> None:
    """Give back what these passengers have on these legs."""
    await uow.execute(
        update(seat_assignment)
        .where(
            seat_assignment.c.leg_id.in_(leg_ids),
            seat_assignment.c.passenger_id.in_(passenger_ids),
            seat_assignment.c.released_at.is_(None),
        )
        .values(released_at=func.now())
    )


async def release_order(uow: UnitOfWork, order_id: str) -> None:
    """Give back all seats of an order."""
    await uow.execute(
        update(seat_assignment)
        .where(seat_assignment.c.order_id == order_id, seat_assignment.c.released_at.is_(None))
        .values(released_at=func.now())
    )


async def assign_chosen(
    uow: UnitOfWork, segment: SeatedSegment, chosen: Sequence[tuple[Traveller, str]]
) -> dict[str, str]:
    """Give each traveller the seat they chose, in place of any they had.

    Raises SeatUnknown, SeatNotAllowed, or SeatTaken, also when somebody else takes the seat
    at this very moment.
    """
    wanted: dict[str, str] = {}
    for traveller, number in chosen:
        seat = segment.seat_map.seats.get(number) if segment.seat_map else None
        if seat is None:
            raise SeatUnknown(f"There is no seat {number[:5]!r} on this flight.")
        require_allowed(seat, traveller, segment.cabin)
        wanted[traveller.passenger_id] = number
    if len(set(wanted.values())) < len(wanted):
        raise SeatTaken("Two passengers of the request want the same seat.")
    await release(uow, list(wanted), segment.leg_ids)
    if not await _insert(uow, segment, wanted):
        taken = await occupied(uow, segment.leg_ids)
        numbers = ", ".join(
            sorted(seat for who, seat in wanted.items() if taken.get(seat, {who}) != {who})
        )
        raise SeatTaken(
            f"Somebody else has seat {numbers}.", mend="Choose another from the seat map."
        )
    return wanted


async def assign_rest(
    uow: UnitOfWork, segment: SeatedSegment, party: Sequence[Traveller]
) -> dict[str, str]:
    """Seat each of the party: where they sit, if it still suits, or near the others.

    Passengers for whom none is left, or all where there is no seat map, are not in the result.
    """
    if segment.seat_map is None or not party:
        return {}
    seats = segment.seat_map.seats
    for _ in range(_TRIES):
        taken = await occupied(uow, segment.leg_ids)
        kept = _kept(seats, taken, party, segment)
        lacking = [traveller for traveller in party if traveller.passenger_id not in kept]
        free = [
            seat
            for seat in seats.values()
            if seat.cabin == segment.cabin and seat.number not in taken
        ]
        chosen = choose_seats(free, lacking, [seats[number] for number in kept.values()])
        await release(uow, [traveller.passenger_id for traveller in lacking], segment.leg_ids)
        if await _insert(uow, segment, chosen):
            return kept | chosen
        await release(uow, list(chosen), segment.leg_ids)
    raise SeatTaken("Others are taking the seats of this flight right now.", retryable=True)


def _kept(
    seats: dict[str, Seat],
    taken: dict[str, set[str]],
    party: Sequence[Traveller],
    segment: SeatedSegment,
) -> dict[str, str]:
    kept: dict[str, str] = {}
    for traveller in party:
        for number, who in taken.items():
            seat = seats.get(number)
            if who == {traveller.passenger_id} and seat and suits(seat, traveller, segment.cabin):
                kept[traveller.passenger_id] = number
    return kept


async def _insert(uow: UnitOfWork, segment: SeatedSegment, wanted: dict[str, str]) -> bool:
    """Whether every seat could be had on every leg."""
    if not wanted:
        return True
    rows = [
        (leg_id, seat, passenger_id)
        for leg_id in segment.leg_ids
        for passenger_id, seat in wanted.items()
    ]
    legs, numbers, passengers = (list(column) for column in zip(*rows, strict=True))
    inserted = await uow.hot(
        _INSERT, legs, numbers, segment.order_id, passengers, segment.segment_id
    )
    return len(inserted) == len(rows)
