"""What other plugins may import from departure control: check-ins, events, errors, services."""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Struct

from pss_kernel import Conflict, Event, NotFound, PersonalData, Unavailable, UnitOfWork, service

__all__ = [
    "BagTagsExhausted",
    "BcbpMatch",
    "BoardingPass",
    "CheckIn",
    "CheckInClosed",
    "CheckInNotOpen",
    "MatchReason",
    "NotTicketed",
    "PassengerCheckedIn",
    "PassengerOffloaded",
    "SeatNotAllowed",
    "SeatTaken",
    "SeatUnknown",
    "check_in_of_bcbp",
    "manifest",
]

MatchReason = Literal[
    "checked_in",
    "unreadable",
    "wrong_flight",
    "wrong_date",
    "unknown_passenger",
    "not_checked_in",
    "offloaded",
]


class CheckIn(Struct, kw_only=True, frozen=True):
    """One passenger checked in on one segment.

    `sequence` counts from 1 on the segment's first leg, in the order of check-in, and is
    unique there; together with the flight and the board point it identifies the passenger at
    the gate. `seat` is a row and a column, "12C"; None for an infant and where the aircraft
    has no seat left or no seat map. `ticket_number` (13 digits) and `coupon_number` name the
    coupon that was moved to checked_in. `bag_tags` are 10-digit licence plates.
    """

    id: str
    order_id: str
    booking_reference: str
    passenger_id: str
    passenger_type: str
    title: str | None
    given_name: Annotated[str, PersonalData("given name")]
    family_name: Annotated[str, PersonalData("family name")]
    infant_of: str | None
    segment_id: str
    flight_id: str
    flight: str
    flight_date: date
    origin: str
    destination: str
    leg_ids: list[int]
    cabin: str
    booking_class: str
    seat: str | None
    sequence: int
    ticket_number: str
    coupon_number: int
    boarding_pass_id: str
    bag_tags: list[str]
    checked_in_at: datetime
    offloaded_at: datetime | None


class BoardingPass(Struct, kw_only=True, frozen=True):
    """A boarding pass: one passenger, and the segments that were checked in together.

    `id` is a capability of 128 random bits: whoever has it may see the pass. `segment_id`,
    `seat` and `sequence` are those of the first segment; `segments` has them all, in order,
    and `bcbp` (IATA Resolution 792) carries one leg for each.
    """

    id: str
    order_id: str
    passenger_id: str
    segment_id: str
    seat: str | None
    sequence: int
    segments: list["BoardingPassSegment"]
    bcbp: str
    bag_tags: list[str]
    image_url: str
    pdf_url: str
    issued_at: datetime


class BoardingPassSegment(Struct, kw_only=True, frozen=True):
    """One segment of a boarding pass."""

    check_in_id: str
    segment_id: str
    flight: str
    flight_date: date
    origin: str
    destination: str
    seat: str | None
    sequence: int


class BcbpMatch(Struct, kw_only=True, frozen=True):
    """What a scanned barcode means on a flight.

    `check_in` is there when `reason` is checked_in or offloaded. `passenger_name` is the
    barcode's own wording ("FAMILY/GIVEN") wherever it could be read. `detail` is a sentence
    for the agent; `warnings` say what the lenient reader had to overlook.
    """

    reason: MatchReason
    detail: str
    check_in: CheckIn | None = None
    passenger_name: str | None = None
    warnings: list[str] = []


class CheckInNotOpen(Conflict):
    """Check-in of this segment has not opened yet."""

    code = "check-in-not-open"


class CheckInClosed(Conflict):
    """Check-in of this segment has closed."""

    code = "check-in-closed"


class NotTicketed(Conflict):
    """The passenger has no ticket for this segment that may be used."""

    code = "not-ticketed"


class SeatTaken(Conflict):
    """Somebody else has this seat."""

    code = "seat-taken"


class SeatUnknown(NotFound):
    """The aircraft has no such seat."""

    code = "seat-unknown"


class SeatNotAllowed(Conflict):
    """The seat exists but this passenger may not have it."""

    code = "seat-not-allowed"


class BagTagsExhausted(Unavailable):
    """The airline's range of bag tag serials is used up; its staff widen it in the settings."""

    code = "bag-tags-exhausted"
    retryable = False


class PassengerCheckedIn(Event, name="passenger-checked-in", version=1):
    """A passenger was checked in on a segment; stream: the order's id."""

    order_id: str
    check_in_id: str
    passenger_id: str
    segment_id: str
    flight_id: str
    seat: str | None
    sequence: int


class PassengerOffloaded(Event, name="passenger-offloaded", version=1):
    """A check-in was taken back; stream: the order's id."""

    order_id: str
    check_in_id: str
    passenger_id: str
    segment_id: str
    flight_id: str
    sequence: int


@service
async def check_in_of_bcbp(
    uow: UnitOfWork, flight_id: str, bcbp: str, board_point: str | None = None
) -> BcbpMatch:
    """Find whose barcode this is on the flight; at `board_point` only, where one is given.

    Answers for any text whatsoever: what cannot be read has the reason "unreadable". Raises
    NotFound for an unknown flight.
    """


@service
async def manifest(uow: UnitOfWork, flight_id: str) -> list[CheckIn]:
    """List those checked in on the flight now, by board point and sequence; no offloaded ones."""
