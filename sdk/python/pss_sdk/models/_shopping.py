"""What is on sale: airlines, markets, offers."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import msgspec

__all__ = [
    "Conditions",
    "Health",
    "Market",
    "Money",
    "Offer",
    "OfferRequest",
    "PriceBreakdown",
    "Segment",
    "Slice",
    "Tenant",
]


class Money(msgspec.Struct, frozen=True):
    """An amount as people write it, with the currency's own number of decimals."""

    amount: str
    currency: str

    @property
    def decimal(self) -> Decimal:
        """To calculate with."""
        return Decimal(self.amount)

    def __str__(self) -> str:
        return f"{self.amount} {self.currency}"


class Health(msgspec.Struct, kw_only=True, frozen=True):
    """``ok`` while requests can be served."""

    status: str
    version: str


class Tenant(msgspec.Struct, kw_only=True, frozen=True):
    """The airline: how it looks, and the ``plugins`` that say what it can do."""

    code: str
    name: str
    currency: str
    time_zone: str
    brand: dict[str, Any] = {}
    locales: list[str] = []
    plugins: list[str] = []


class Market(msgspec.Struct, kw_only=True, frozen=True):
    """A pair of airports that are sold."""

    origin: str
    destination: str


class Segment(msgspec.Struct, kw_only=True, frozen=True):
    """A flight from one stop to a later one. Times are local, with their offset from UTC."""

    id: str
    flight_id: str
    flight: str
    flight_date: date
    origin: str
    destination: str
    departing_at: datetime
    departing_time_zone: str
    arriving_at: datetime
    arriving_time_zone: str
    aircraft_type: str
    cabin: str
    booking_class: str
    fare_basis: str
    status: str = "booked"


class Slice(msgspec.Struct, kw_only=True, frozen=True):
    """One direction of the journey."""

    origin: str
    destination: str
    segments: list[Segment]

    @property
    def route(self) -> str:
        """``LHR-VIE-ATH``."""
        return "-".join([self.origin, *(segment.destination for segment in self.segments)])


class Conditions(msgspec.Struct, kw_only=True, frozen=True):
    """What the fare allows; fees are per passenger, None where it is not allowed."""

    refundable: bool
    changeable: bool
    checked_bags: int
    seat_selection: str
    cancellation_fee: Money | None = None
    change_fee: Money | None = None


class PriceBreakdown(msgspec.Struct, kw_only=True, frozen=True):
    """base + taxes = total, for all passengers."""

    base: Money
    taxes: Money
    total: Money


class Offer(msgspec.Struct, kw_only=True, frozen=True):
    """A price for all passengers on named flights, good until ``expires_at``."""

    id: str
    total: Money
    expires_at: datetime
    brand: str
    slices: list[Slice]
    conditions: Conditions
    price_breakdown: PriceBreakdown


class OfferRequest(msgspec.Struct, kw_only=True, frozen=True):
    """Offers, the lowest total first; none when nothing is on sale."""

    id: str
    offers: list[Offer]
