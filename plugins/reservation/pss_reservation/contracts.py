"""What other plugins may import: orders, their events, hooks and services."""
# mypy: disable-error-code="empty-body"
# (the bodies of hooks and services stand in the plugins that implement them)

from typing import Annotated

from msgspec import Struct

from pss_kernel import Conflict, Event, Money, PersonalData, UnitOfWork, hookspec, service
from pss_pricing.contracts import StoredOffer

from .order import (
    Coupon,
    Document,
    HistoryEntry,
    Order,
    OrderPassenger,
    OrderSegment,
    OrderService,
    OrderSlice,
    TravelDocument,
)

__all__ = [
    "AlreadyPaid",
    "CancellationRefusal",
    "Coupon",
    "Document",
    "FulfilledService",
    "HistoryEntry",
    "Order",
    "OrderCancelled",
    "OrderCancelledProblem",
    "OrderConfirmed",
    "OrderCreated",
    "OrderExpired",
    "OrderExpiredProblem",
    "OrderPassenger",
    "OrderSegment",
    "OrderService",
    "OrderSlice",
    "OrderTicketed",
    "PassengerOnSegment",
    "Payable",
    "ServiceAdded",
    "ServiceRequest",
    "TravelDocument",
    "cancellation_allowed",
    "clear_attention",
    "confirm_order",
    "documents_of_order",
    "fulfil_service",
    "keep_ticketed",
    "mark_needs_attention",
    "mark_ticketed",
    "order_by_id",
    "order_by_reference",
    "passengers_on_segment",
    "payable",
    "require_access",
    "stored_offer_of",
]


class Payable(Struct, kw_only=True):
    """What a payment must match: the whole total of a held order."""

    order_id: str
    total: Money
    status: str


class PassengerOnSegment(Struct, kw_only=True):
    """A passenger of a ticketed order on one segment of a flight."""

    order_id: str
    booking_reference: str
    passenger_id: str
    segment_id: str
    type: str
    title: str | None
    given_name: Annotated[str, PersonalData("given name")]
    family_name: Annotated[str, PersonalData("family name")]
    infant_of: str | None
    flight_id: str
    origin: str
    destination: str
    cabin: str
    booking_class: str
    leg_ids: list[int]


# Refusals -----------------------------------------------------------------------------------


class OrderExpiredProblem(Conflict):
    """The order's hold ended before it was paid."""

    code = "order-expired"


class OrderCancelledProblem(Conflict):
    """The order was cancelled."""

    code = "order-cancelled"


class AlreadyPaid(Conflict):
    """The order was paid before: a second payment must be voided."""

    code = "already-paid"


# Events -------------------------------------------------------------------------------------


class OrderCreated(Event, name="order-created", version=1):
    """An order was made and its seats are held."""

    order_id: str
    booking_reference: str


class OrderConfirmed(Event, name="order-confirmed", version=1):
    """An order is paid and its seats are sold."""

    order_id: str


class OrderTicketed(Event, name="order-ticketed", version=1):
    """Every passenger of the order has a ticket."""

    order_id: str


class OrderCancelled(Event, name="order-cancelled", version=1):
    """An order was cancelled. Amounts are minor units; both are 0 for an unpaid order."""

    order_id: str
    refund_minor: int
    penalty_minor: int
    currency: str


class OrderExpired(Event, name="order-expired", version=1):
    """An order's hold ended unpaid and its seats are released."""

    order_id: str


class ServiceAdded(Event, name="service-added", version=1):
    """A service was added to an order, or replaced the one of its type."""

    order_id: str
    service_id: str
    type: str


# Hooks --------------------------------------------------------------------------------------


class ServiceRequest(Struct, kw_only=True):
    """A passenger's wish for one segment: a seat by its number, other services by a code."""

    type: str
    passenger_id: str
    segment_id: str
    seat: str | None = None
    code: str | None = None


class FulfilledService(Struct, kw_only=True):
    """A provider's answer: what the passenger now has ("12A", "VGML") and its price."""

    detail: str
    price: Money | None = None  # None: no charge


class CancellationRefusal(Struct, kw_only=True):
    """Why an order can't be cancelled as it stands: a stable code and a sentence."""

    code: str
    detail: str


@hookspec("first", budget=2.0)
async def fulfil_service(
    uow: UnitOfWork, order: Order, request: ServiceRequest
) -> FulfilledService | None:
    """Do what the passenger asks for, in this unit of work, or None when the type isn't mine."""


@hookspec("pipeline", budget=2.0)
async def documents_of_order(
    uow: UnitOfWork, documents: list[Document], order_id: str
) -> list[Document]:
    """Add the documents issued for the order."""


@hookspec("pipeline", budget=2.0)
async def cancellation_allowed(
    uow: UnitOfWork, refusals: list[CancellationRefusal], order: Order
) -> list[CancellationRefusal]:
    """Add each reason against cancelling the order (checked in, flown); none means allowed."""


# Services -----------------------------------------------------------------------------------


@service
async def order_by_id(uow: UnitOfWork, order_id: str) -> Order:
    """Give the order, without documents and history. Raises NotFound."""


@service
async def order_by_reference(uow: UnitOfWork, booking_reference: str, family_name: str) -> Order:
    """Find the order of a booking reference on which somebody has this family name.

    Case, diacritics, spaces and hyphens don't matter. Raises the same NotFound for an unknown
    reference and for a wrong name.
    """


@service
async def require_access(
    uow: UnitOfWork, order: Order, booking_reference: str | None, family_name: str | None
) -> None:
    """Let staff with `reservation:read` pass, and a guest who knows reference and family name.

    Raises Unauthorised when a guest gives neither, NotFound when what is given doesn't match.
    """


@service
async def stored_offer_of(uow: UnitOfWork, order_id: str) -> StoredOffer:
    """Give the offer as it was sold, with the order's own segment ids. Raises NotFound."""


@service
async def payable(uow: UnitOfWork, order_id: str) -> Payable:
    """Say what is to be paid for a held order.

    Raises NotFound, OrderExpiredProblem, OrderCancelledProblem or AlreadyPaid.
    """


@service
async def confirm_order(uow: UnitOfWork, order_id: str) -> None:
    """Turn a held order whose hold still runs by the database's clock into a confirmed one.

    Its seats become sold. Raises NotFound, OrderExpiredProblem, OrderCancelledProblem or
    AlreadyPaid; exactly one of several concurrent callers succeeds.
    """


@service
async def mark_ticketed(uow: UnitOfWork, order_id: str) -> None:
    """Turn a confirmed (or flagged) order into a ticketed one; does nothing if it already is.

    Raises NotFound, OrderExpiredProblem, OrderCancelledProblem, Conflict (`order-not-paid`).
    """


@service
async def keep_ticketed(uow: UnitOfWork, order_id: str) -> None:
    """Make sure that the order is ticketed and stays so until this unit of work ends.

    For check-in: a cancellation at the same moment waits, and then sees the check-in. Several
    units of work can keep one order. Raises NotFound, OrderExpiredProblem,
    OrderCancelledProblem, Conflict (`order-not-ticketed`).
    """


@service
async def mark_needs_attention(uow: UnitOfWork, order_id: str, reason: str) -> None:
    """Put the order into the queue of staff with a reason; the same reason again does nothing.

    A confirmed order gets the status needs_attention; any other keeps its status. Raises NotFound.
    """


@service
async def clear_attention(uow: UnitOfWork, order_id: str) -> None:
    """Take the order out of the queue: needs_attention becomes confirmed. Raises NotFound."""


@service
async def passengers_on_segment(
    uow: UnitOfWork, flight_id: str, origin: str | None = None, destination: str | None = None
) -> list[PassengerOnSegment]:
    """List passengers of ticketed orders on a flight, or on one pair of its board and off points.

    Sorted by family name, given name and passenger id.
    """
