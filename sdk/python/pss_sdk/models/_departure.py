"""Seats, check-in, boarding, and the flights that the staff sees."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

__all__ = [
    "Authorisations",
    "Boarding",
    "BoardingPass",
    "BoardingPassSegment",
    "CabinRows",
    "Counts",
    "Dish",
    "Flight",
    "Leg",
    "Seat",
    "SeatMap",
    "SeatRow",
]


class Seat(msgspec.Struct, kw_only=True, frozen=True):
    """``status``: available, occupied or blocked."""

    seat: str
    column: str
    status: str
    characteristics: list[str] = []


class SeatRow(msgspec.Struct, kw_only=True, frozen=True):
    """A row of seats, left to right."""

    row: int
    exit_row: bool
    seats: list[Seat]


class CabinRows(msgspec.Struct, kw_only=True, frozen=True):
    """Rows with the same columns; a blank in ``columns`` is an aisle."""

    columns: str
    rows: list[SeatRow]


class SeatMap(msgspec.Struct, kw_only=True, frozen=True):
    """The cabin of one segment."""

    segment_id: str
    flight: str
    cabin: str
    cabins: list[CabinRows]


class BoardingPassSegment(msgspec.Struct, kw_only=True, frozen=True):
    """One flight of a boarding pass."""

    segment_id: str
    flight: str
    origin: str
    destination: str
    seat: str | None
    sequence: int


class BoardingPass(msgspec.Struct, kw_only=True, frozen=True):
    """One passenger's, for the segments checked in together; ``bcbp`` is the barcode's text."""

    id: str
    passenger_id: str
    bcbp: str
    seat: str | None
    sequence: int
    segments: list[BoardingPassSegment]
    bag_tags: list[str]
    image_url: str
    pdf_url: str


class Counts(msgspec.Struct, kw_only=True, frozen=True):
    """Passengers with a ticket, checked in, and on board."""

    expected: int
    checked_in: int
    boarded: int


class Boarding(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to a scan: only the result ``boarded`` opens the gate."""

    result: str
    detail: str
    counts: Counts


class Dish(msgspec.Struct, kw_only=True, frozen=True):
    """A special meal of the menu."""

    code: str
    name: str


class Leg(msgspec.Struct, kw_only=True, frozen=True):
    """One take-off and landing."""

    leg_id: int
    origin: str
    destination: str
    departing_at: datetime
    arriving_at: datetime


class Flight(msgspec.Struct, kw_only=True, frozen=True):
    """A dated flight with its legs."""

    id: str
    flight: str
    flight_date: date
    status: str
    legs: list[Leg]


class Authorisations(msgspec.Struct, kw_only=True, frozen=True):
    """What the booking classes of one cabin on one leg may sell, hold and have sold."""

    leg_id: int
    cabin: str
    capacity: int
    authorised: dict[str, int]
    held: dict[str, int]
    sold: dict[str, int]
