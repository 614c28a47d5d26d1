"""Changing flights that are in the database already, with the passengers they may have."""

from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from pss_kernel import UnitOfWork

from .expand import DatedFlight, DatedLeg
from .schedule_store import (
    DELETE_SEGMENTS,
    CabinsByFlight,
    StoredFlight,
    insert_cabins,
    insert_legs,
    insert_segments,
)
from .seats import authorised_levels
from .settings import Settings

__all__ = ["Change", "change_flights", "taken_seats"]

LEGS = """
SELECT id, flight_id, sequence, origin, destination FROM leg
WHERE flight_id = ANY ($1::text[]) ORDER BY flight_id, sequence
"""
DELETE_LEGS = "DELETE FROM leg WHERE flight_id = ANY ($1::text[])"
RESCHEDULE = """
UPDATE flight SET status = 'scheduled', schedule_digest = new.digest
FROM unnest($1::text[], $2::text[]) AS new (id, digest) WHERE flight.id = new.id
"""
RETIME = """
UPDATE leg SET departing_at = new.departing_at, arriving_at = new.arriving_at,
               aircraft_type = new.aircraft_type
FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::text[])
     AS new (id, departing_at, arriving_at, aircraft_type)
WHERE leg.id = new.id
"""
# Arrays of arrays must all be of one length in PostgreSQL, so each array travels as text.
SAVE_CABINS = """
UPDATE leg_cabin
SET capacity = new.capacity, classes = new.classes::text[],
    authorised = new.authorised::integer[], held = new.held::integer[],
    sold = new.sold::integer[]
FROM unnest($1::bigint[], $2::text[], $3::integer[], $4::text[], $5::text[], $6::text[],
            $7::text[])
     AS new (leg_id, cabin, capacity, classes, authorised, held, sold)
WHERE leg_cabin.leg_id = new.leg_id AND leg_cabin.cabin = new.cabin
"""
DELETE_CABINS = """
DELETE FROM leg_cabin
USING unnest($1::bigint[], $2::text[]) AS old (leg_id, cabin)
WHERE leg_cabin.leg_id = old.leg_id AND leg_cabin.cabin = old.cabin
"""


class _Refit(NamedTuple):
    """A cabin with another number of seats, as SAVE_CABINS takes it."""

    leg_id: int
    cabin: str
    capacity: int
    classes: str
    authorised: str
    held: str
    sold: str


class Change(NamedTuple):
    """A flight as it is and as the schedule now wants it."""

    stored: StoredFlight
    wanted: DatedFlight


def taken_seats(cabins: Sequence[asyncpg.Record]) -> int:
    """Count the seats held or sold on the busiest leg among these cabins."""
    legs: dict[int, int] = {}
    for row in cabins:
        legs[row["leg_id"]] = legs.get(row["leg_id"], 0) + sum(row["held"]) + sum(row["sold"])
    return max(legs.values(), default=0)


async def change_flights(
    uow: UnitOfWork, changes: Sequence[Change], cabins: CabinsByFlight
) -> tuple[int, list[str]]:
    """Carry the changes out on flights whose `cabins` are locked.

    Gives how many were changed, and a sentence for each flight that staff must look at.
    """
    legs: dict[str, list[asyncpg.Record]] = {}
    for row in await uow.hot(LEGS, [change.stored.id for change in changes]):
        legs.setdefault(row["flight_id"], []).append(row)
    retimed: list[tuple[Change, list[int]]] = []
    rerouted: list[Change] = []
    notes: list[str] = []
    for change in changes:
        rows = legs.get(change.stored.id, [])
        if [_route(row) for row in rows] == [tuple(leg[:3]) for leg in change.wanted.legs]:
            retimed.append((change, [row["id"] for row in rows]))
        elif taken := taken_seats(cabins.get(change.stored.id, [])):
            notes.append(f"{_name(change)} keeps its old route: {taken} seats are held or sold.")
        else:
            rerouted.append(change)
    await _reroute(uow, rerouted)
    await _retime(uow, retimed)
    notes.extend(await _refit_all(uow, retimed, cabins))
    return len(retimed) + len(rerouted), notes


async def _refit_all(
    uow: UnitOfWork, retimed: Sequence[tuple[Change, list[int]]], cabins: CabinsByFlight
) -> list[str]:
    """Fit every leg's cabins to its aircraft; a sentence for each flight that is short.

    Levels that staff have set stay as long as the cabin has as many seats as before. A level
    never goes below what is taken already: nothing more is sold, nobody is left without a row.
    """
    settings = uow.settings(Settings)
    notes: list[str] = []
    new: list[tuple[int, DatedLeg]] = []
    old: list[tuple[int, str]] = []
    refits: list[_Refit] = []
    for change, leg_ids in retimed:
        legs = dict(zip(leg_ids, change.wanted.legs, strict=True))
        seats = {leg_id: dict(leg.seats) for leg_id, leg in legs.items()}
        for row in cabins.get(change.stored.id, []):
            leg_id, cabin = row["leg_id"], row["cabin"]
            capacity = seats[leg_id].pop(cabin, 0)
            taken = sum(row["held"]) + sum(row["sold"])
            if capacity == 0 and taken == 0:
                old.append((leg_id, cabin))
            elif capacity != row["capacity"] or not change.stored.scheduled:
                refits.append(_refit(settings, row, capacity, empty=taken == 0))
                if taken > capacity:
                    notes.append(
                        f"{_name(change)} has {taken} seats taken in {cabin},"
                        f" which now has {capacity}."
                    )
        new.extend(
            (leg_id, legs[leg_id]._replace(seats=tuple(missing.items())))
            for leg_id, missing in seats.items()
            if missing
        )
    if old:
        await uow.hot(DELETE_CABINS, *map(list, zip(*old, strict=True)))
    if refits:
        await uow.hot(SAVE_CABINS, *map(list, zip(*refits, strict=True)))
    await insert_cabins(uow, new)
    return notes


def _name(change: Change) -> str:
    key = change.wanted.key
    return f"{key.carrier}{key.flight_number} on {key.flight_date}"


def _route(row: asyncpg.Record) -> tuple[int, str, str]:
    return row["sequence"], row["origin"], row["destination"]


async def _reroute(uow: UnitOfWork, changes: Sequence[Change]) -> None:
    """Give new legs to flights without passengers that now fly elsewhere."""
    ids = [change.stored.id for change in changes]
    await uow.hot(DELETE_SEGMENTS, ids)
    await uow.hot(DELETE_LEGS, ids)
    await uow.hot(RESCHEDULE, ids, [change.wanted.digest for change in changes])
    await insert_legs(uow, [(change.stored.id, change.wanted) for change in changes])


async def _retime(uow: UnitOfWork, changes: Sequence[tuple[Change, list[int]]]) -> None:
    """Give new times and aircraft to flights that fly where they did."""
    ids = [change.stored.id for change, _ in changes]
    legs = [leg for change, _ in changes for leg in change.wanted.legs]
    await uow.hot(RESCHEDULE, ids, [change.wanted.digest for change, _ in changes])
    await uow.hot(
        RETIME,
        [leg_id for _, leg_ids in changes for leg_id in leg_ids],
        [leg.departing_at for leg in legs],
        [leg.arriving_at for leg in legs],
        [leg.aircraft_type for leg in legs],
    )
    await uow.hot(DELETE_SEGMENTS, ids)
    numbered = [(change.stored.id, change.wanted, leg_ids) for change, leg_ids in changes]
    await insert_segments(uow, numbered)


def _refit(settings: Settings, row: asyncpg.Record, capacity: int, *, empty: bool) -> _Refit:
    """Compute classes and levels of a cabin with a new number of seats."""
    plan = settings.cabins.get(row["cabin"])
    levels = authorised_levels(plan, capacity) if plan else []
    planned = dict(zip(plan.classes, levels, strict=True)) if plan else {}
    classes, held, sold = row["classes"], row["held"], row["sold"]
    if plan and empty:
        classes, held, sold = plan.classes, [0] * len(levels), [0] * len(levels)
    taken = 0
    authorised: list[int] = []
    for index in range(len(classes) - 1, -1, -1):
        taken += held[index] + sold[index]
        authorised.insert(0, max(planned.get(classes[index], 0), taken))
    arrays = (_array(values) for values in (classes, authorised, held, sold))
    return _Refit(row["leg_id"], row["cabin"], capacity, *arrays)


def _array(values: Sequence[object]) -> str:
    """Write an array of numbers or class letters as PostgreSQL reads it."""
    return "{" + ",".join(map(str, values)) + "}"
