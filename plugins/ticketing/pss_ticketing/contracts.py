"""What other plugins may import from ticketing: documents, events, errors and services.

A ticket number has 13 digits: the airline's 3-digit accounting code and a 10-digit serial
of which no digit is a check digit. A ticket carries at most four coupons, one per segment;
a longer journey continues on a conjunction ticket.
"""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Struct

from pss_kernel import Conflict, Event, PersonalData, UnitOfWork, service

__all__ = [
    "Coupon",
    "CouponMoved",
    "CouponRef",
    "CouponStatus",
    "CouponUsed",
    "Ticket",
    "TicketIssued",
    "TicketStatus",
    "coupon_of",
    "move_coupon",
    "tickets_of_order",
]

CouponStatus = Literal["open", "checked_in", "flown", "refunded", "void"]
TicketStatus = Literal["open", "flown", "refunded", "void"]


class Coupon(Struct, kw_only=True, frozen=True):
    """The right to fly one segment. `number` is 1 to 4 within its ticket."""

    number: int
    segment_id: str
    flight: str
    flight_date: date
    origin: str
    destination: str
    booking_class: str
    fare_basis: str
    status: CouponStatus


class Ticket(Struct, kw_only=True, frozen=True):
    """An electronic ticket of one passenger.

    `number` has 13 digits; `check_digit` (modulus 7 of those 13) is printed beside the number
    and is not part of it. `conjunction` counts the passenger's tickets of one issue from 1.
    `status` is open while any coupon may still be used, else flown, refunded or void.
    """

    number: str
    check_digit: int
    conjunction: int
    order_id: str
    passenger_id: str
    passenger_name: Annotated[str, PersonalData("name on the ticket")]
    issued_at: datetime
    status: TicketStatus
    coupons: list[Coupon]


class CouponRef(Struct, kw_only=True, frozen=True):
    """Where the coupon of one passenger on one segment is found, and its status now."""

    ticket_number: str
    coupon_number: int
    status: CouponStatus


class CouponUsed(Conflict):
    """The coupon is not in the status the caller expected: somebody else moved it first."""

    code = "coupon-used"


class TicketIssued(Event, name="ticket-issued", version=1):
    """A ticket was issued; stream: the ticket's number."""

    order_id: str
    passenger_id: str
    ticket_number: str


class CouponMoved(Event, name="coupon-moved", version=1):
    """A coupon changed its status; stream: the ticket's number."""

    order_id: str
    ticket_number: str
    coupon_number: int
    from_status: str
    to_status: str


@service
async def tickets_of_order(uow: UnitOfWork, order_id: str) -> list[Ticket]:
    """List the order's tickets by number, refunded and void ones too; empty before issue."""


@service
async def coupon_of(uow: UnitOfWork, passenger_id: str, segment_id: str) -> CouponRef:
    """Find the coupon of a passenger on a segment. Raises NotFound when none was issued."""


@service
async def move_coupon(
    uow: UnitOfWork,
    ticket_number: str,
    coupon_number: int,
    from_status: CouponStatus,
    to_status: CouponStatus,
) -> None:
    """Move a coupon if it is in `from_status` now (compare-and-set in the database).

    Allowed: open to checked_in, refunded or void; checked_in to flown or back to open (offload).
    Raises CouponUsed when it is in another status, Conflict "coupon-transition" for a step
    outside these, NotFound when there is no such coupon.
    """
