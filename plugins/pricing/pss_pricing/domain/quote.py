"""The price of a combination of itineraries for all passengers; its parts always add up."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from msgspec import Struct

from pss_kernel import round_share
from pss_pricing.contracts import PassengerPrice, PriceBreakdown, SoldFare, TaxLine

from .exchange import money
from .filed import PASSENGER_TYPES, Discounts
from .selection import BrandedItinerary, Component
from .taxes import Charge, Flown, TaxBook

__all__ = ["Party", "Pricing", "fare_share"]


class Party(Struct, frozen=True):
    """How many passengers of each type, adults first; only types that are there."""

    counts: dict[str, int]

    @classmethod
    def of(cls, passenger_types: Sequence[str]) -> "Party":
        """Count the types."""
        counted = Counter(passenger_types)
        return cls({kind: counted[kind] for kind in PASSENGER_TYPES if counted[kind]})

    @property
    def seats(self) -> int:
        """Seats needed: an infant travels on an adult's lap."""
        return sum(count for kind, count in self.counts.items() if kind != "infant")


@lru_cache(maxsize=8192)
def fare_share(adult_minor: int, percent_off: int) -> int:
    """A discounted fare, rounded half up to the currency's smallest unit."""
    return round_share(adult_minor, Fraction(100 - percent_off, 100))


class Pricing:
    """Prices combinations for one party; remembers nothing but the taxes' own answers."""

    def __init__(self, party: Party, discounts: Discounts, taxes: TaxBook, currency: str) -> None:
        self.party = party
        self.currency = currency
        self._discounts = discounts
        self._taxes = taxes

    def estimate(self, branded: BrandedItinerary) -> int:
        """What the slice costs all passengers on its own.

        The sum over slices is the total unless a transit connection joins two slices.
        """
        charges = self._taxes.charges(flown_of([branded]))
        return sum(
            count
            * (
                sum(self._base(component, kind) for component in branded.components)
                + sum(c.amount_minor for c in charges if kind not in c.tax.exempt)
            )
            for kind, count in self.party.counts.items()
        )

    def breakdown(
        self, combination: Sequence[BrandedItinerary], segment_ids: Sequence[Sequence[str]]
    ) -> tuple[PriceBreakdown, list[SoldFare]]:
        """The price of the combination, and the same money by fare component.

        `segment_ids` has, for each slice, the id of each of its segments.
        """
        charges = self._taxes.charges(flown_of(combination))
        sold = [
            fare
            for kind in self.party.counts
            for fare in self._sold(kind, combination, segment_ids, charges)
        ]
        passengers = [self._passenger(kind, sold, charges) for kind in self.party.counts]
        base = sum(price.count * price.base.minor for price in passengers)
        total = sum(price.count * price.total.minor for price in passengers)
        breakdown = PriceBreakdown(
            base=money(base, self.currency),
            taxes=money(total - base, self.currency),
            total=money(total, self.currency),
            passengers=passengers,
        )
        return breakdown, sold

    def _base(self, component: Component, kind: str) -> int:
        percent = self._discounts.percent(kind)
        return fare_share(component.amount_minor, percent) if percent else component.amount_minor

    def _sold(
        self,
        kind: str,
        combination: Sequence[BrandedItinerary],
        segment_ids: Sequence[Sequence[str]],
        charges: list[Charge],
    ) -> list[SoldFare]:
        designator = {"child": "CH", "infant": "IN"}.get(kind, "")
        percent = self._discounts.percent(kind)
        suffix = f"/{designator}{percent}" if designator and percent else ""
        sold = []
        for index, branded in enumerate(combination):
            brand = branded.brand
            for component in branded.components:
                ids = segment_ids[index][
                    component.first : component.first + len(component.bookings)
                ]
                here = charges if component.first == 0 else []
                sold.append(
                    SoldFare(
                        passenger_type=kind,
                        slice_index=index,
                        segment_ids=list(ids),
                        fare_basis=component.fare.basis + suffix,
                        currency=self.currency,
                        base_minor=self._base(component, kind),
                        taxes=self._lines([c for c in here if c.slice_index == index], kind),
                        refundable=brand.refundable,
                        cancellation_fee_minor=brand.cancel_fee_minor,
                        changeable=brand.change_fee_minor is not None,
                        change_fee_minor=brand.change_fee_minor or 0,
                    )
                )
        return sold

    def _passenger(self, kind: str, sold: list[SoldFare], charges: list[Charge]) -> PassengerPrice:
        base = sum(fare.base_minor for fare in sold if fare.passenger_type == kind)
        taxes = sum(c.amount_minor for c in charges if kind not in c.tax.exempt)
        return PassengerPrice(
            type=kind,
            count=self.party.counts[kind],
            base=money(base, self.currency),
            taxes=self._lines(charges, kind),
            total=money(base + taxes, self.currency),
        )

    def _lines(self, charges: list[Charge], kind: str) -> list[TaxLine]:
        """One line for each tax, however often it is charged."""
        sums: Counter[tuple[str, str, str]] = Counter()
        for charge in charges:
            if kind not in charge.tax.exempt:
                tax = charge.tax
                sums[tax.code, tax.country, tax.description] += charge.amount_minor
        return [
            TaxLine(
                code=code,
                country=country,
                description=description,
                amount=money(minor, self.currency),
            )
            for (code, country, description), minor in sums.items()
        ]


def flown_of(combination: Sequence[BrandedItinerary]) -> list[Flown]:
    """The combination's segments as taxes see them."""
    return [
        Flown(
            slice_index=index,
            flight_id=segment.flight_id,
            origin=segment.origin,
            origin_country=segment.origin_country,
            destination=segment.destination,
            destination_country=segment.destination_country,
            departing_at=segment.departing_at,
            arriving_at=segment.arriving_at,
            cabin=booking.cabin,
        )
        for index, branded in enumerate(combination)
        for segment, booking in zip(branded.itinerary.segments, branded.bookings, strict=True)
    ]
