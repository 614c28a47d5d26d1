"""What other plugins may import from boarding: the results of a scan, and its event."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Struct

from pss_kernel import Event, PersonalData

__all__ = ["BoardedPassenger", "Counts", "NoShow", "PassengerBoarded", "ScanResult"]

ScanResult = Literal[
    "boarded",
    "already_boarded",
    "wrong_flight",
    "wrong_date",
    "not_checked_in",
    "unknown_passenger",
    "offloaded",
    "unreadable",
]


class Counts(Struct, kw_only=True, frozen=True):
    """Passengers with a ticket, of these checked in now, of these on board (infants included)."""

    expected: int
    checked_in: int
    boarded: int


class BoardedPassenger(Struct, kw_only=True, frozen=True):
    """Who is on board. `seat` is None for an infant and where no seat was assigned."""

    check_in_id: str
    passenger_id: str
    segment_id: str
    name: Annotated[str, PersonalData("name")]
    seat: str | None
    sequence: int
    board_point: str
    boarded_at: datetime


class NoShow(Struct, kw_only=True, frozen=True):
    """A passenger with a ticket who is not on board.

    `status` says how far they came: checked_in (their bags, `bag_tags`, must be taken off) or
    not_checked_in.
    """

    passenger_id: str
    segment_id: str
    booking_reference: str
    name: str
    status: Literal["checked_in", "not_checked_in"]
    board_point: str
    seat: str | None
    sequence: int | None
    bag_tags: list[str]


class PassengerBoarded(Event, name="passenger-boarded", version=1):
    """A passenger went on board; stream: the check-in's id."""

    order_id: str
    check_in_id: str
    passenger_id: str
    segment_id: str
    flight_id: str
    seat: str | None
    sequence: int
