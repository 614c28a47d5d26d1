"""Writing many flights at once: rows for COPY, and the statements of a schedule change."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import asyncpg

from pss_kernel import UnitOfWork, new_id

from .airports import find_airport
from .expand import DatedFlight, DatedLeg, FlightKey
from .seats import authorised_levels
from .settings import Settings

__all__ = [
    "DELETE_SEGMENTS",
    "CabinsByFlight",
    "StoredFlight",
    "cancel",
    "insert_cabins",
    "insert_flights",
    "insert_legs",
    "insert_segments",
    "lock_cabins",
    "rebuild_markets",
    "save_airports",
    "stored_flights",
]

# Traffic restriction codes (SSIM appendix G) that keep a board and off point from being sold
# by itself: A no local traffic, H segment not to be displayed, I technical landing.
CLOSED = frozenset("AHI")

STORED = """
SELECT id, carrier, flight_number, flight_date, status, schedule_digest,
       flight_date <= (now() + interval '2 days')::date
       AND EXISTS (SELECT FROM leg WHERE flight_id = flight.id AND departing_at <= now())
       AS departed
FROM flight WHERE flight_date BETWEEN $1 AND $2
"""

NEXT_LEG_IDS = """
SELECT nextval(pg_get_serial_sequence('leg', 'id')) AS id FROM generate_series(1, $1::integer)
"""

LOCK_CABINS = """
SELECT l.flight_id, c.leg_id, c.cabin, c.capacity, c.classes, c.held, c.sold
FROM leg AS l JOIN leg_cabin AS c ON c.leg_id = l.id
WHERE l.flight_id = ANY ($1::text[])
ORDER BY c.leg_id, c.cabin
FOR UPDATE OF c
"""

CANCEL_FLIGHTS = """
UPDATE flight SET status = 'cancelled', schedule_digest = '' WHERE id = ANY ($1::text[])
"""
CLOSE_CABINS = """
UPDATE leg_cabin SET authorised = array_fill(0, ARRAY[cardinality(classes)])
WHERE leg_id IN (SELECT id FROM leg WHERE flight_id = ANY ($1::text[]))
"""
DELETE_SEGMENTS = "DELETE FROM flight_segment WHERE flight_id = ANY ($1::text[])"

SAVE_AIRPORTS = """
INSERT INTO airport (code, name, city, country, time_zone)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
ON CONFLICT (code) DO UPDATE
SET name = excluded.name, city = excluded.city, country = excluded.country,
    time_zone = excluded.time_zone
"""

# $1 and $2: shortest and longest connecting time. A pair of routes is a market as soon as one
# of its days gives a connection. Asking for the next departure, not for any within the span,
# keeps the plan good before the tables have been analysed.
INSERT_MARKETS = """
WITH route AS MATERIALIZED (
    SELECT DISTINCT origin, destination FROM flight_segment WHERE departing_at > now()
)
INSERT INTO market (origin, destination)
SELECT origin, destination FROM route
UNION
SELECT a.origin, b.destination
FROM route AS a JOIN route AS b ON b.origin = a.destination AND b.destination <> a.origin
WHERE NOT EXISTS (
    SELECT FROM route AS r WHERE r.origin = a.origin AND r.destination = b.destination
) AND EXISTS (
    SELECT FROM flight_segment AS s
    CROSS JOIN LATERAL (
        SELECT departing_at FROM flight_segment AS t
        WHERE t.origin = a.destination AND t.destination = b.destination
          AND t.departing_at >= s.arriving_at + $1
        ORDER BY departing_at
        LIMIT 1
    ) AS next
    WHERE s.origin = a.origin AND s.destination = a.destination AND s.departing_at > now()
      AND next.departing_at <= s.arriving_at + $2
)
"""


CabinsByFlight = Mapping[str, Sequence[asyncpg.Record]]


class StoredFlight(NamedTuple):
    """A flight as the database has it."""

    id: str
    digest: str
    scheduled: bool
    departed: bool


async def stored_flights(uow: UnitOfWork, start: date, end: date) -> dict[FlightKey, StoredFlight]:
    """Read the flights with a flight date from `start` to `end`, both included."""
    return {
        FlightKey(row["carrier"], row["flight_number"], row["flight_date"]): StoredFlight(
            row["id"], row["schedule_digest"], row["status"] == "scheduled", row["departed"]
        )
        for row in await uow.hot(STORED, start, end)
    }


async def save_airports(uow: UnitOfWork, codes: Iterable[str]) -> None:
    """Make the airports known, or bring them up to date."""
    found = [airport for code in sorted(codes) if (airport := find_airport(code)) is not None]
    await uow.hot(
        SAVE_AIRPORTS,
        [airport.code for airport in found],
        [airport.name for airport in found],
        [airport.city for airport in found],
        [airport.country for airport in found],
        [airport.time_zone for airport in found],
    )


async def insert_flights(uow: UnitOfWork, flights: Sequence[DatedFlight]) -> None:
    """Add new flights with their legs, cabins and segments."""
    named = [(new_id("flt"), flight) for flight in flights]
    await uow.copy_in(
        "flight",
        ("id", "carrier", "flight_number", "flight_date", "status", "schedule_digest"),
        [(key, *flight.key, "scheduled", flight.digest) for key, flight in named],
    )
    await insert_legs(uow, named)


async def insert_legs(uow: UnitOfWork, named: Sequence[tuple[str, DatedFlight]]) -> None:
    """Add legs, cabins and segments of flights (by flight id) that have none yet."""
    count = sum(len(flight.legs) for _, flight in named)
    ids = iter([row["id"] for row in await uow.hot(NEXT_LEG_IDS, count)])
    numbered = [(key, flight, [next(ids) for _ in flight.legs]) for key, flight in named]
    await uow.copy_in(
        "leg",
        (
            "id",
            "flight_id",
            "sequence",
            "origin",
            "destination",
            "departing_at",
            "arriving_at",
            "aircraft_type",
        ),
        [
            (leg_id, key, *leg[:5], leg.aircraft_type)
            for key, flight, leg_ids in numbered
            for leg_id, leg in zip(leg_ids, flight.legs, strict=True)
        ],
    )
    await insert_cabins(
        uow,
        [
            (leg_id, leg)
            for _, flight, leg_ids in numbered
            for leg_id, leg in zip(leg_ids, flight.legs, strict=True)
        ],
    )
    await insert_segments(uow, numbered)


async def insert_cabins(uow: UnitOfWork, legs: Iterable[tuple[int, DatedLeg]]) -> None:
    """Add the cabins of legs (by leg id) that have none yet, nothing sold."""
    settings = uow.settings(Settings)
    rows = []
    for leg_id, leg in legs:
        for cabin, capacity in leg.seats:
            plan = settings.cabins[cabin]
            none = [0] * len(plan.classes)
            levels = authorised_levels(plan, capacity)
            rows.append((leg_id, cabin, capacity, plan.classes, levels, none, none))
    columns = ("leg_id", "cabin", "capacity", "classes", "authorised", "held", "sold")
    await uow.copy_in("leg_cabin", columns, rows)


async def insert_segments(
    uow: UnitOfWork, numbered: Iterable[tuple[str, DatedFlight, Sequence[int]]]
) -> None:
    """Add the board and off points on sale of flights (flight id, flight, leg ids)."""
    rows = [
        (key, *flight.key, *_segment(flight.legs[board : off + 1]), leg_ids[board : off + 1])
        for key, flight, leg_ids in numbered
        for board in range(len(flight.legs))
        for off in range(board, len(flight.legs))
        if _on_sale(flight.legs[board], flight.legs[off], off - board)
    ]
    columns = (
        "flight_id",
        "carrier",
        "flight_number",
        "flight_date",
        "origin",
        "destination",
        "departure_date",
        "departing_at",
        "arriving_at",
        "aircraft_type",
        "departure_terminal",
        "arrival_terminal",
        "leg_ids",
    )
    await uow.copy_in("flight_segment", columns, rows)


def _segment(legs: Sequence[DatedLeg]) -> tuple[object, ...]:
    first, last = legs[0], legs[-1]
    return (
        first.origin,
        last.destination,
        first.departure_date,
        first.departing_at,
        last.arriving_at,
        first.aircraft_type,
        first.departure_terminal or None,
        last.arrival_terminal or None,
    )


def _on_sale(first: DatedLeg, last: DatedLeg, stops: int) -> bool:
    closed = first.closed_to[stops : stops + 1] in CLOSED
    return first.origin != last.destination and not closed


async def lock_cabins(uow: UnitOfWork, flight_ids: Sequence[str]) -> CabinsByFlight:
    """Lock the cabins of the flights: nobody can take seats there until the commit.

    Rows are locked in the order in which holds take them, so that neither waits in a circle.
    """
    cabins: dict[str, list[asyncpg.Record]] = {}
    for row in await uow.hot(LOCK_CABINS, flight_ids):
        cabins.setdefault(row["flight_id"], []).append(row)
    return cabins


async def cancel(uow: UnitOfWork, flight_ids: Sequence[str]) -> None:
    """Take the flights off sale. Their legs stay, so that what refers to them finds them."""
    await uow.hot(CANCEL_FLIGHTS, flight_ids)
    await uow.hot(CLOSE_CABINS, flight_ids)
    await uow.hot(DELETE_SEGMENTS, flight_ids)


async def rebuild_markets(uow: UnitOfWork) -> None:
    """Derive the markets from the segments on sale."""
    settings = uow.settings(Settings)
    await uow.hot("DELETE FROM market")
    await uow.hot(
        INSERT_MARKETS,
        timedelta(minutes=settings.minimum_connecting_minutes),
        timedelta(minutes=settings.maximum_connecting_minutes),
    )
