"""Taking seats: held, sold, given back. The database's one conditional statement decides."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from pss_kernel import Conflict, NotFound, UnitOfWork

from . import contracts, plugin
from .contracts import SeatRequest, SoldOut

__all__ = ["confirm", "hold", "release"]

# $1 leg, $2 cabin, $3 booking class, $4 seats. The sum over a class and all below it, for every
# level from the highest class to the asked one, must leave room for the seats. PostgreSQL
# evaluates this again on the newest row when another transaction changed it meanwhile
# (READ COMMITTED), so two takers can never both pass on the last seat.
TAKE_SEATS = """
UPDATE leg_cabin
SET held[array_position(classes, $3)] = held[array_position(classes, $3)] + $4
WHERE leg_id = $1 AND cabin = $2
  AND $4 <= (
    SELECT min(level.authorised - level.taken)
    FROM (
        SELECT place, at.authorised,
               sum(at.held + at.sold) OVER (ORDER BY place DESC) AS taken
        FROM unnest(leg_cabin.authorised, leg_cabin.held, leg_cabin.sold)
             WITH ORDINALITY AS at (authorised, held, sold, place)
    ) AS level
    WHERE level.place <= array_position(leg_cabin.classes, $3)
  )
RETURNING leg_id
"""

SELL_SEATS = """
UPDATE leg_cabin
SET held[array_position(classes, $3)] = held[array_position(classes, $3)] - $4,
    sold[array_position(classes, $3)] = sold[array_position(classes, $3)] + $4
WHERE leg_id = $1 AND cabin = $2
RETURNING leg_id
"""

GIVE_BACK_HELD = """
UPDATE leg_cabin
SET held[array_position(classes, $3)] = held[array_position(classes, $3)] - $4
WHERE leg_id = $1 AND cabin = $2
RETURNING leg_id
"""

GIVE_BACK_SOLD = """
UPDATE leg_cabin
SET sold[array_position(classes, $3)] = sold[array_position(classes, $3)] - $4
WHERE leg_id = $1 AND cabin = $2
RETURNING leg_id
"""

# $1 hold, then one array each of legs, cabins, classes and seats. Legs that are unknown or have
# left the ground give no row.
RECORD_HOLD = """
INSERT INTO seat_hold (hold_id, leg_id, cabin, booking_class, seats, state)
SELECT $1, wanted.leg_id, wanted.cabin, wanted.booking_class, wanted.seats, 'held'
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::integer[])
     AS wanted (leg_id, cabin, booking_class, seats)
JOIN leg ON leg.id = wanted.leg_id AND leg.departing_at > now()
ON CONFLICT DO NOTHING
RETURNING leg_id
"""

STATES_OF_HOLD = "SELECT DISTINCT state FROM seat_hold WHERE hold_id = $1"

CONFIRM_HOLD = """
UPDATE seat_hold SET state = 'sold' WHERE hold_id = $1 AND state = 'held'
RETURNING leg_id, cabin, booking_class, seats
"""

# The join sees the row as it was when the statement began, for what to give back; the lock it
# takes first makes sure that this is also the newest one.
RELEASE_HOLD = """
WITH before AS (
    SELECT hold_id, leg_id, cabin, booking_class, state
    FROM seat_hold WHERE hold_id = $1 AND state <> 'released'
    FOR UPDATE
)
UPDATE seat_hold AS h SET state = 'released'
FROM before
WHERE (h.hold_id, h.leg_id, h.cabin, h.booking_class)
    = (before.hold_id, before.leg_id, before.cabin, before.booking_class)
RETURNING h.leg_id, h.cabin, h.booking_class, h.seats, before.state
"""


class _Place(NamedTuple):
    """Where seats are counted; holds are taken in this order."""

    leg_id: int
    cabin: str
    booking_class: str


def _by_place(requests: Sequence[SeatRequest]) -> list[tuple[_Place, int]]:
    """Sum up the seats wanted in each place, sorted by place."""
    wanted: Counter[_Place] = Counter()
    for request in requests:
        if request.seats < 1:
            raise ValueError("a seat request asks for at least one seat")
        for leg_id in request.leg_ids:
            wanted[_Place(leg_id, request.cabin, request.booking_class)] += request.seats
    return sorted(wanted.items())


def _take(uow: UnitOfWork, sql: str, place: _Place, seats: int, otherwise: Conflict) -> None:
    # The sort key begins with the table's name: every plugin's takes are sorted together.
    uow.take(("leg_cabin", *place), sql, *place, seats, otherwise=otherwise)


@plugin.provides(contracts.hold_seats)
async def hold(uow: UnitOfWork, hold_id: str, requests: list[SeatRequest]) -> None:
    """See `contracts.hold_seats`."""
    wanted = _by_place(requests)
    recorded = await uow.hot(
        RECORD_HOLD,
        hold_id,
        [place.leg_id for place, _ in wanted],
        [place.cabin for place, _ in wanted],
        [place.booking_class for place, _ in wanted],
        [seats for _, seats in wanted],
    )
    if len(recorded) != len(wanted):
        if not recorded and await uow.hot(STATES_OF_HOLD, hold_id):
            raise Conflict(f"The hold {hold_id} exists already.", code="hold-exists")
        raise Conflict("A flight has departed or is no longer known.", code="flight-departed")
    for place, seats in wanted:
        problem = SoldOut(
            f"Class {place.booking_class} has not enough seats left for {seats}.",
            mend="Ask for new offers.",
        )
        _take(uow, TAKE_SEATS, place, seats, problem)


@plugin.provides(contracts.confirm_seats)
async def confirm(uow: UnitOfWork, hold_id: str) -> None:
    """See `contracts.confirm_seats`."""
    rows = await uow.hot(CONFIRM_HOLD, hold_id)
    if not rows:
        states = {row["state"] for row in await uow.hot(STATES_OF_HOLD, hold_id)}
        if not states:
            raise NotFound(f"There is no hold {hold_id[:40]!r}.")
        if states != {"sold"}:
            raise Conflict("The seats have been given back.", code="hold-released")
    for row in rows:
        _move(uow, SELL_SEATS, row)


@plugin.provides(contracts.release_seats)
async def release(uow: UnitOfWork, hold_id: str) -> None:
    """See `contracts.release_seats`."""
    for row in await uow.hot(RELEASE_HOLD, hold_id):
        _move(uow, GIVE_BACK_SOLD if row["state"] == "sold" else GIVE_BACK_HELD, row)


def _move(uow: UnitOfWork, sql: str, row: asyncpg.Record) -> None:
    place = _Place(row["leg_id"], row["cabin"], row["booking_class"])
    problem = Conflict(f"Leg {place.leg_id} has no cabin {place.cabin}.", code="cabin-gone")
    _take(uow, sql, place, row["seats"], problem)
