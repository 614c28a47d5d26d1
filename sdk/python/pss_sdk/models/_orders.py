"""Orders, the documents issued for them, and their money."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from pss_sdk.models._shopping import Conditions, Money, PriceBreakdown, Slice

__all__ = [
    "Action",
    "Cancellation",
    "Coupon",
    "Document",
    "Failure",
    "Guest",
    "Ledger",
    "Order",
    "Passenger",
    "Payment",
    "Refund",
    "Service",
]


class Guest(msgspec.Struct, frozen=True):
    """What a passenger without an account knows of the own order."""

    booking_reference: str
    family_name: str


class Passenger(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A passenger, as sent (without ``id``) and as answered."""

    type: str = ""
    given_name: str
    family_name: str
    id: str = ""
    title: str | None = None
    born_on: date | None = None
    email: str | None = None
    phone: str | None = None
    infant_of: str | None = None

    @property
    def name(self) -> str:
        """As people say it."""
        return f"{self.given_name} {self.family_name}"


class Coupon(msgspec.Struct, kw_only=True, frozen=True):
    """A ticket's right to one segment: open, checked_in, flown, refunded or void."""

    number: int
    segment_id: str
    flight: str
    status: str


class Document(msgspec.Struct, kw_only=True, frozen=True):
    """A ticket (13 digits) or another document of one passenger."""

    type: str
    number: str
    passenger_id: str
    status: str = "issued"
    coupons: list[Coupon] = []


class Service(msgspec.Struct, kw_only=True, frozen=True):
    """A seat (``seat`` 12A), a meal (``code`` VGML) or another extra, on one segment."""

    id: str
    type: str
    passenger_id: str
    segment_id: str
    seat: str | None
    code: str | None
    price: Money


class Order(msgspec.Struct, kw_only=True, frozen=True):
    """``status``: held, confirmed, ticketed, cancelled, expired or needs_attention."""

    id: str
    booking_reference: str
    status: str
    total: Money
    created_at: datetime
    passengers: list[Passenger]
    slices: list[Slice]
    conditions: Conditions
    price_breakdown: PriceBreakdown
    payment_required_by: datetime | None = None
    documents: list[Document] = []
    services: list[Service] = []

    @property
    def guest(self) -> Guest:
        """With this any of the passengers opens the order without an account."""
        return Guest(self.booking_reference, self.passengers[0].family_name)


class Cancellation(msgspec.Struct, kw_only=True, frozen=True):
    """What cancelling gives back and costs; done once ``status`` is confirmed."""

    id: str
    order_id: str
    status: str
    refund: Money
    penalty: Money
    expires_at: datetime


class Failure(msgspec.Struct, kw_only=True, frozen=True):
    """Why a payment failed: a stable code (``card-declined``) and a sentence."""

    code: str
    detail: str


class Action(msgspec.Struct, kw_only=True, frozen=True):
    """What the customer has to do: open ``url`` in a browser."""

    type: str
    url: str


class Payment(msgspec.Struct, kw_only=True, frozen=True):
    """``status``: pending, requires_action, authorised, captured or failed."""

    id: str
    order_id: str
    status: str
    amount: Money
    failure: Failure | None = None
    action: Action | None = None


class Refund(msgspec.Struct, kw_only=True, frozen=True):
    """Money on its way back, or given back."""

    id: str
    status: str
    amount: Money
    reason: str


class Ledger(msgspec.Struct, kw_only=True, frozen=True):
    """The books of one order: ``balanced`` in themselves, ``reconciled`` with the payments."""

    order_id: str
    currency: str
    balanced: bool
    reconciled: bool
    payments: list[Payment] = []
    refunds: list[Refund] = []
