"""Reading flights, markets and airports; setting what booking classes may sell."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date
from itertools import groupby
from typing import Any

import asyncpg
from msgspec import Struct
from sqlalchemy import select

from pss_kernel import Conflict, FieldError, Invalid, NotFound, UnitOfWork, check_id

from . import contracts, models, plugin
from .airports import zone
from .contracts import Airport, Flight, Leg, Market

__all__ = ["LegInventory", "authorise", "flight_inventory", "list_flights"]

_FLIGHTS = """
SELECT f.id, f.carrier, f.flight_number, f.flight_date, f.status,
       l.id AS leg_id, l.sequence, l.origin, l.destination, l.departing_at, l.arriving_at,
       l.aircraft_type, board.time_zone AS departing_time_zone,
       off.time_zone AS arriving_time_zone, c.cabin, c.capacity
FROM flight AS f
JOIN leg AS l ON l.flight_id = f.id
JOIN airport AS board ON board.code = l.origin
JOIN airport AS off ON off.code = l.destination
LEFT JOIN leg_cabin AS c ON c.leg_id = l.id
WHERE {condition}
ORDER BY f.flight_date, f.carrier, f.flight_number, f.id, l.sequence, c.cabin
"""
BY_ID = _FLIGHTS.format(condition="f.id = $1")
BY_LEGS = _FLIGHTS.format(
    condition="f.id IN (SELECT flight_id FROM leg WHERE id = ANY ($1::bigint[]))"
)
BY_DATE = _FLIGHTS.format(
    condition="f.flight_date = $1 AND ($2::text IS NULL OR f.carrier || f.flight_number = $2)"
    " AND ($3::text IS NULL OR EXISTS"
    " (SELECT FROM leg WHERE flight_id = f.id AND origin = $3))"
)

LEG_CABINS = """
SELECT c.leg_id, c.cabin, c.capacity, c.classes, c.authorised, c.held, c.sold
FROM leg_cabin AS c JOIN leg AS l ON l.id = c.leg_id
WHERE l.flight_id = $1
ORDER BY l.sequence, c.cabin
"""

# $1 leg, $2 cabin, $3 the new levels. Refused when a level is below what is taken in its class
# and all lower ones.
SET_AUTHORISED = """
UPDATE leg_cabin SET authorised = $3::integer[]
WHERE leg_id = $1 AND cabin = $2 AND cardinality($3::integer[]) = cardinality(classes)
  AND NOT EXISTS (
    SELECT FROM (
        SELECT level, sum(at.held + at.sold) OVER (ORDER BY place DESC) AS taken
        FROM unnest($3::integer[], leg_cabin.held, leg_cabin.sold)
             WITH ORDINALITY AS at (level, held, sold, place)
    ) AS wanted
    WHERE level < taken
  )
RETURNING leg_id
"""


class LegInventory(Struct, frozen=True):
    """The seats of one cabin on one leg, by booking class from the highest to the lowest."""

    leg_id: int
    cabin: str
    capacity: int
    authorised: dict[str, int]
    held: dict[str, int]
    sold: dict[str, int]


def _leg(rows: list[asyncpg.Record]) -> Leg:
    row = rows[0]
    return Leg(
        leg_id=row["leg_id"],
        sequence=row["sequence"],
        origin=row["origin"],
        destination=row["destination"],
        departing_at=row["departing_at"].astimezone(zone(row["departing_time_zone"])),
        departing_at_utc=row["departing_at"].astimezone(UTC),
        departing_time_zone=row["departing_time_zone"],
        arriving_at=row["arriving_at"].astimezone(zone(row["arriving_time_zone"])),
        arriving_at_utc=row["arriving_at"].astimezone(UTC),
        arriving_time_zone=row["arriving_time_zone"],
        aircraft_type=row["aircraft_type"],
        cabins={one["cabin"]: one["capacity"] for one in rows if one["cabin"] is not None},
    )


def _flights(rows: Iterable[asyncpg.Record]) -> list[Flight]:
    """Flights from rows of leg and cabin that are sorted by flight and leg."""
    flights: list[Flight] = []
    for _, group in groupby(rows, key=lambda row: row["id"]):
        of_flight = list(group)
        row = of_flight[0]
        legs = [_leg(list(one)) for _, one in groupby(of_flight, key=lambda row: row["leg_id"])]
        flights.append(
            Flight(
                id=row["id"],
                flight=row["carrier"] + row["flight_number"],
                carrier=row["carrier"],
                flight_number=row["flight_number"],
                flight_date=row["flight_date"],
                status=row["status"],
                legs=legs,
            )
        )
    return flights


@plugin.provides(contracts.flight_by_id)
async def find_flight(uow: UnitOfWork, flight_id: str) -> Flight:
    """See `contracts.flight_by_id`."""
    flights = _flights(await uow.hot(BY_ID, check_id("flt", flight_id)))
    if not flights:
        raise NotFound(f"There is no flight {flight_id!r}.")
    return flights[0]


@plugin.provides(contracts.flights_of_legs)
async def find_flights_of_legs(uow: UnitOfWork, leg_ids: list[int]) -> dict[int, Flight]:
    """See `contracts.flights_of_legs`."""
    wanted = set(leg_ids)
    flights = _flights(await uow.hot(BY_LEGS, leg_ids))
    return {leg.leg_id: one for one in flights for leg in one.legs if leg.leg_id in wanted}


async def list_flights(
    uow: UnitOfWork, flight_date: date, origin: str | None, flight: str | None
) -> list[Flight]:
    """List the flights of a flight date, of one designator and number, calling at `origin`."""
    return _flights(await uow.hot(BY_DATE, flight_date, flight, origin))


@plugin.provides(contracts.markets)
async def list_markets(uow: UnitOfWork) -> list[Market]:
    """See `contracts.markets`."""
    rows = await uow.hot("SELECT origin, destination FROM market ORDER BY origin, destination")
    return [Market(row["origin"], row["destination"]) for row in rows]


@plugin.provides(contracts.airport)
async def find_airport(uow: UnitOfWork, code: str) -> Airport:
    """See `contracts.airport`."""
    table = models.airport
    row = await uow.fetch_one(
        select(table.c.code, table.c.name, table.c.city, table.c.country, table.c.time_zone).where(
            table.c.code == code
        )
    )
    if row is None:
        raise NotFound(f"The airline does not fly to {code[:10]!r}.", code="unknown-airport")
    return Airport(**row)


def _inventory(row: asyncpg.Record) -> LegInventory:
    def by_class(values: list[int]) -> dict[str, int]:
        return dict(zip(row["classes"], values, strict=True))

    return LegInventory(
        leg_id=row["leg_id"],
        cabin=row["cabin"],
        capacity=row["capacity"],
        authorised=by_class(row["authorised"]),
        held=by_class(row["held"]),
        sold=by_class(row["sold"]),
    )


async def flight_inventory(uow: UnitOfWork, flight_id: str) -> list[LegInventory]:
    """Count the seats of every leg and cabin of the flight. Raises NotFound."""
    await find_flight(uow, flight_id)
    return [_inventory(row) for row in await uow.hot(LEG_CABINS, flight_id)]


async def authorise(
    uow: UnitOfWork, flight_id: str, cabin: str, authorised: Mapping[str, int]
) -> list[LegInventory]:
    """Set the levels of some booking classes on all legs of the flight; the others stay.

    Raises Conflict "authorised-below-sold" when more seats are taken than a level allows.
    """
    legs = [leg for leg in await flight_inventory(uow, flight_id) if leg.cabin == cabin]
    _refuse_unknown_classes(legs, cabin, authorised)
    changed: list[LegInventory] = []
    for leg in sorted(legs, key=lambda leg: leg.leg_id):
        levels = {name: authorised.get(name, level) for name, level in leg.authorised.items()}
        uow.take(
            ("leg_cabin", leg.leg_id, cabin, ""),
            SET_AUTHORISED,
            leg.leg_id,
            cabin,
            list(levels.values()),
            otherwise=Conflict(
                "More seats are held or sold than this would allow.", code="authorised-below-sold"
            ),
        )
        changed.append(_with_levels(leg, levels))
    uow.audit(
        "inventory.authorised",
        f"{flight_id} {cabin}",
        before={leg.leg_id: leg.authorised for leg in legs},
        after={leg.leg_id: leg.authorised for leg in changed},
    )
    return changed


def _with_levels(leg: LegInventory, levels: dict[str, int]) -> LegInventory:
    return LegInventory(leg.leg_id, leg.cabin, leg.capacity, levels, leg.held, leg.sold)


def _refuse_unknown_classes(
    legs: list[LegInventory], cabin: str, authorised: Mapping[str, int]
) -> None:
    if not legs:
        detail = f"The flight has no cabin {cabin!r}."
        raise Invalid(detail, errors=[FieldError(pointer="/cabin", detail=detail)])
    errors: list[Any] = []
    for name, level in authorised.items():
        if any(name not in leg.authorised for leg in legs):
            detail, code = f"{cabin} has no booking class {name!r}.", "unknown-booking-class"
        elif level < 0:
            detail, code = "A level is a number of seats, 0 or more.", "invalid"
        else:
            continue
        errors.append(FieldError(pointer=f"/authorised/{name}", detail=detail, code=code))
    if errors:
        raise Invalid(errors[0].detail, errors=errors)
