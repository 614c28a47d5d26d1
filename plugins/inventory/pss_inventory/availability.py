"""Which itineraries have seats left: one statement, then pure rules."""

from collections.abc import Iterable
from datetime import date, timedelta

import asyncpg

from pss_kernel import FieldError, Invalid, UnitOfWork

from . import contracts, plugin
from .airports import zone
from .contracts import CabinAvailability, ClassAvailability, Itinerary, Segment
from .seats import nested_availability
from .settings import CABINS, Settings

__all__ = ["find_itineraries"]

MOST_SHOWN = 9  # the field's custom: more than nine seats are shown as nine

# $1 origin, $2 destination, $3 local departure date, $4 and $5 shortest and longest connecting
# time, $6 cabin or NULL. One row per segment, leg and cabin. A first segment has in
# `continues` the ids of the segments that it connects to, with NULL for "is already there".
# The left join keeps a row that tells whether the airports are known when nothing flies.
FIND_SEGMENTS = """
WITH departure AS MATERIALIZED (
    SELECT id, flight_id, destination, arriving_at
    FROM flight_segment
    WHERE origin = $1 AND departure_date = $3 AND departing_at > now()
), travel AS MATERIALIZED (
    SELECT id AS first, NULL::bigint AS second FROM departure WHERE destination = $2
    UNION ALL
    SELECT departure.id, onward.id
    FROM departure
    CROSS JOIN LATERAL (
        SELECT id
        FROM flight_segment
        WHERE origin = departure.destination AND destination = $2
          AND departing_at >= departure.arriving_at + $4
          AND departing_at <= departure.arriving_at + $5
          AND flight_id <> departure.flight_id
        ORDER BY departing_at
        LIMIT 4
    ) AS onward
    WHERE departure.destination <> $2 AND $1 <> $2
), used AS (
    SELECT first AS id, array_agg(second) AS continues FROM travel GROUP BY first
    UNION ALL
    SELECT DISTINCT second, NULL::bigint[] FROM travel WHERE second IS NOT NULL
)
SELECT known.origin AS origin_known, known.destination AS destination_known, found.*
FROM (
    SELECT EXISTS (SELECT FROM airport WHERE code = $1) AS origin,
           EXISTS (SELECT FROM airport WHERE code = $2) AS destination
) AS known
LEFT JOIN (
    SELECT s.id, used.continues, s.flight_id, s.carrier, s.flight_number, s.flight_date,
           s.origin, s.destination, s.departing_at, s.arriving_at, s.aircraft_type, s.leg_ids,
           s.departure_terminal, s.arrival_terminal,
           board.time_zone AS departing_time_zone, off.time_zone AS arriving_time_zone,
           board.country AS origin_country, off.country AS destination_country,
           c.leg_id, c.cabin, c.classes, c.authorised, c.held, c.sold
    FROM used
    JOIN flight_segment AS s ON s.id = used.id
    JOIN airport AS board ON board.code = s.origin
    JOIN airport AS off ON off.code = s.destination
    JOIN leg_cabin AS c ON c.leg_id = ANY (s.leg_ids) AND ($6::text IS NULL OR c.cabin = $6)
) AS found ON true
"""


@plugin.provides(contracts.availability)
async def find_itineraries(
    uow: UnitOfWork,
    origin: str,
    destination: str,
    departure_date: date,
    seats: int,
    cabin: str | None = None,
) -> list[Itinerary]:
    """See `contracts.availability`.

    After each first flight the four soonest connections are looked at.
    """
    settings = uow.settings(Settings)
    rows = await uow.hot(
        FIND_SEGMENTS,
        origin,
        destination,
        departure_date,
        timedelta(minutes=settings.minimum_connecting_minutes),
        timedelta(minutes=settings.maximum_connecting_minutes),
        cabin,
    )
    _refuse_unknown_airports(rows[0], origin, destination)
    return _itineraries(rows, seats)


def _refuse_unknown_airports(row: asyncpg.Record, origin: str, destination: str) -> None:
    errors = [
        FieldError(
            pointer=pointer,
            detail=f"No flight of this airline goes to or from {code[:10]!r}.",
            code="unknown-airport",
        )
        for pointer, code, known in (
            ("/origin", origin, row["origin_known"]),
            ("/destination", destination, row["destination_known"]),
        )
        if not known
    ]
    if errors:
        raise Invalid(
            " ".join(error.detail for error in errors), code="unknown-airport", errors=errors
        )


def _itineraries(rows: Iterable[asyncpg.Record], seats: int) -> list[Itinerary]:
    found: dict[int, list[asyncpg.Record]] = {}
    for row in rows:
        if row["id"] is not None:
            found.setdefault(row["id"], []).append(row)
    segments = {key: _segment(leg_cabins, seats) for key, leg_cabins in found.items()}
    itineraries: list[Itinerary] = []
    for key, (row, *_) in found.items():
        first = segments[key]
        if first is None:
            continue
        for following in row["continues"] or ():
            second = segments.get(following)
            if following is None:
                itineraries.append(Itinerary([first]))
            elif second is not None:
                itineraries.append(Itinerary([first, second]))
    itineraries.sort(key=lambda one: (one.segments[-1].arriving_at, len(one.segments)))
    return itineraries


def _segment(leg_cabins: list[asyncpg.Record], seats: int) -> Segment | None:
    """Give the segment of these rows, or None when no booking class has so many seats."""
    row = leg_cabins[0]
    cabins = _cabins(leg_cabins, len(row["leg_ids"]))
    if not any(one.seats >= seats for cabin in cabins for one in cabin.classes):
        return None
    return Segment(
        flight_id=row["flight_id"],
        flight=row["carrier"] + row["flight_number"],
        carrier=row["carrier"],
        flight_number=row["flight_number"],
        flight_date=row["flight_date"],
        origin=row["origin"],
        destination=row["destination"],
        departing_at=row["departing_at"].astimezone(zone(row["departing_time_zone"])),
        arriving_at=row["arriving_at"].astimezone(zone(row["arriving_time_zone"])),
        departing_time_zone=row["departing_time_zone"],
        arriving_time_zone=row["arriving_time_zone"],
        aircraft_type=row["aircraft_type"],
        leg_ids=row["leg_ids"],
        cabins=cabins,
        origin_country=row["origin_country"],
        destination_country=row["destination_country"],
        departure_terminal=row["departure_terminal"],
        arrival_terminal=row["arrival_terminal"],
    )


def _cabins(leg_cabins: Iterable[asyncpg.Record], legs: int) -> list[CabinAvailability]:
    """Give the cabins and classes that all `legs` have, highest first.

    The leg with least seats decides.
    """
    by_cabin: dict[str, list[dict[str, int]]] = {}
    for row in leg_cabins:
        left = nested_availability(row["authorised"], row["held"], row["sold"])
        classes = dict(zip(row["classes"], left, strict=True))
        by_cabin.setdefault(row["cabin"], []).append(classes)
    found = []
    for cabin in CABINS:
        first, *others = by_cabin.get(cabin, [{}])
        if len(others) + 1 < legs:
            continue
        shown = [
            ClassAvailability(one, min(seats, MOST_SHOWN, *[leg[one] for leg in others]))
            for one, seats in first.items()
            if all(one in leg for leg in others)
        ]
        if shown:
            found.append(CabinAvailability(cabin, shown))
    return found
