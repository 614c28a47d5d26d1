"""The price of a combination of itineraries for all passengers; its parts always add up."""

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

from msgspec import Struct

from pss_kernel import round_share
from pss_pricing.contracts import PassengerPrice, PriceBreakdown, SoldFare, TaxLine

from .exchange import money
from .filed import PASSENGER_TYPES, Discounts
from .selection import BrandedItinerary, Component
from .taxes import Charge, Flown, TaxBook

__all__ = ["Party", "Priced", "Pricing", "fare_share"]


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


class TripTaxes(Struct, frozen=True):
    """What one passenger pays in taxes on a trip; `slices` has the lines of each of its slices."""

    minor: int
    lines: list[TaxLine]
    slices: list[list[TaxLine]]


class Priced(Struct, frozen=True):
    """A combination with what it costs all passengers, and one of each type in fare and taxes."""

    combination: Sequence[BrandedItinerary]
    total_minor: int
    fares: dict[str, int]
    taxes: dict[str, TripTaxes]


class Pricing:
    """Prices combinations for one party, and remembers the taxes of those it has seen."""

    def __init__(self, party: Party, discounts: Discounts, taxes: TaxBook, currency: str) -> None:
        self.party = party
        self.currency = currency
        self._percents = {kind: discounts.percent(kind) for kind in party.counts}
        self._book = taxes
        self._taxes: dict[tuple[object, ...], dict[str, TripTaxes]] = {}

    def price(self, *combination: BrandedItinerary) -> Priced:
        """What the itineraries, one of each slice, cost together."""
        counts = self.party.counts
        fares = {kind: self._fare(combination, kind) for kind in counts}
        taxes = self._taxes_of(combination)
        total = sum([counts[kind] * (fares[kind] + taxes[kind].minor) for kind in counts])
        return Priced(combination, total, fares, taxes)

    def breakdown(
        self, priced: Priced, segment_ids: Sequence[Sequence[str]]
    ) -> tuple[PriceBreakdown, list[SoldFare]]:
        """The price of a combination in its parts, and the same money by fare component.

        `segment_ids` has, for each slice, the id of each of its segments.
        """
        counts, fares, taxes = self.party.counts, priced.fares, priced.taxes
        sold = [
            fare
            for kind in counts
            for fare in self._sold(kind, priced.combination, segment_ids, taxes[kind])
        ]
        base = sum([counts[kind] * fares[kind] for kind in counts])
        breakdown = PriceBreakdown(
            base=money(base, self.currency),
            taxes=money(priced.total_minor - base, self.currency),
            total=money(priced.total_minor, self.currency),
            passengers=[
                PassengerPrice(
                    type=kind,
                    count=count,
                    base=money(fares[kind], self.currency),
                    taxes=taxes[kind].lines,
                    total=money(fares[kind] + taxes[kind].minor, self.currency),
                )
                for kind, count in counts.items()
            ],
        )
        return breakdown, sold

    def _fare(self, combination: Sequence[BrandedItinerary], kind: str) -> int:
        """What one passenger pays for the combination without taxes."""
        return sum(
            [
                self._base(component, kind)
                for branded in combination
                for component in branded.components
            ]
        )

    def _base(self, component: Component, kind: str) -> int:
        percent = self._percents[kind]
        return fare_share(component.amount_minor, percent) if percent else component.amount_minor

    def _sold(
        self,
        kind: str,
        combination: Sequence[BrandedItinerary],
        segment_ids: Sequence[Sequence[str]],
        taxes: TripTaxes,
    ) -> Iterator[SoldFare]:
        designator = {"child": "CH", "infant": "IN"}.get(kind, "")
        percent = self._percents[kind]
        suffix = f"/{designator}{percent}" if designator and percent else ""
        for index, branded in enumerate(combination):
            brand = branded.brand
            for component in branded.components:
                covered = slice(component.first, component.first + len(component.bookings))
                yield SoldFare(
                    passenger_type=kind,
                    slice_index=index,
                    segment_ids=list(segment_ids[index][covered]),
                    fare_basis=component.fare.basis + suffix,
                    currency=self.currency,
                    base_minor=self._base(component, kind),
                    taxes=taxes.slices[index] if component.first == 0 else [],
                    refundable=brand.refundable,
                    cancellation_fee_minor=brand.cancel_fee_minor,
                    changeable=brand.change_fee_minor is not None,
                    change_fee_minor=brand.change_fee_minor or 0,
                )

    def _taxes_of(self, combination: Sequence[BrandedItinerary]) -> dict[str, TripTaxes]:
        """The taxes of each type of passenger; brands that book the same cabins share them."""
        flown = flown_of(combination)
        key = tuple(
            [(at, one.flight_id, one.origin, one.destination, cabin) for at, one, cabin in flown]
        )
        if key not in self._taxes:
            charges = self._book.charges(flown)
            self._taxes[key] = {
                kind: self._borne(charges, kind, len(combination)) for kind in self.party.counts
            }
        return self._taxes[key]

    def _borne(self, charges: Sequence[Charge], kind: str, slices: int) -> TripTaxes:
        due = [charge for charge in charges if kind not in charge.tax.exempt]
        return TripTaxes(
            sum(charge.amount_minor for charge in due),
            self._lines(due),
            [self._lines([c for c in due if c.slice_index == index]) for index in range(slices)],
        )

    def _lines(self, due: Sequence[Charge]) -> list[TaxLine]:
        """One line for each tax, however often it is charged."""
        sums: dict[tuple[str, str, str], int] = {}
        for charge in due:
            name = charge.tax.code, charge.tax.country, charge.tax.description
            sums[name] = sums.get(name, 0) + charge.amount_minor
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
        Flown(index, segment, booking.cabin)
        for index, branded in enumerate(combination)
        for segment, booking in zip(branded.itinerary.segments, branded.bookings, strict=True)
    ]
