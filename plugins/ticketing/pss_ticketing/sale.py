"""What a paid order turns into: tickets with their values, and the ledger entries of both."""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import Struct

from pss_payment.contracts import Entry
from pss_pricing.contracts import PriceBreakdown, SoldFare
from pss_reservation.contracts import Order, OrderSegment

from .coupons import conjunctions

__all__ = [
    "Amounts",
    "TicketDraft",
    "amounts_of",
    "draft_tickets",
    "entries_of_issue",
]


class Amounts(Struct, kw_only=True, frozen=True):
    """What tickets are worth, in minor units: fares and taxes."""

    base_minor: int = 0
    tax_minor: int = 0

    @property
    def total_minor(self) -> int:
        """All of it."""
        return self.base_minor + self.tax_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketDraft:
    """A ticket before it has a number. `fare_bases` has one entry for each segment."""

    passenger_id: str
    passenger_name: str
    conjunction: int
    segments: list[OrderSegment]
    fare_bases: list[str]
    base_minor: int
    tax_minor: int


def draft_tickets(order: Order, fares: list[SoldFare]) -> list[TicketDraft]:
    """Draft the tickets of every passenger; a conjunction's value stands on its first ticket."""
    flown = [segment for segment in order.segments() if segment.status != "cancelled"]
    bases = _fare_bases(fares)
    drafts: list[TicketDraft] = []
    for passenger in order.passengers:
        base, tax = _value_of(passenger.type, order.price_breakdown)
        for position, segments in enumerate(conjunctions(flown), start=1):
            drafts.append(
                TicketDraft(
                    passenger_id=passenger.id,
                    passenger_name=f"{passenger.family_name}/{passenger.given_name}".upper(),
                    conjunction=position,
                    segments=segments,
                    fare_bases=[
                        bases.get((passenger.type, segment.id), segment.fare_basis)
                        for segment in segments
                    ],
                    base_minor=base if position == 1 else 0,
                    tax_minor=tax if position == 1 else 0,
                )
            )
    return drafts


def amounts_of(drafts: Iterable[TicketDraft]) -> Amounts:
    """Add up what the tickets are worth."""
    base = tax = 0
    for draft in drafts:
        base += draft.base_minor
        tax += draft.tax_minor
    return Amounts(base_minor=base, tax_minor=tax)


def entries_of_issue(amounts: Amounts) -> list[Entry]:
    """Balance the issue of tickets: the customer's deposits become revenue and taxes owed.

    A cancellation turns them back in one posting of the payment plugin's.
    """
    entries = [
        Entry(account="customer_deposits", debit_minor=amounts.total_minor),
        Entry(account="ticket_revenue", credit_minor=amounts.base_minor),
        Entry(account="tax_payable", credit_minor=amounts.tax_minor),
    ]
    return [entry for entry in entries if entry.debit_minor or entry.credit_minor]


def _value_of(passenger_type: str, breakdown: PriceBreakdown) -> tuple[int, int]:
    for price in breakdown.passengers:
        if price.type == passenger_type:
            return price.base.minor, sum(line.amount.minor for line in price.taxes)
    return 0, 0


def _fare_bases(fares: list[SoldFare]) -> dict[tuple[str, str], str]:
    return {
        (fare.passenger_type, segment_id): fare.fare_basis
        for fare in fares
        for segment_id in fare.segment_ids
    }
