"""Which filed fare sells an itinerary in a brand."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from msgspec import Struct

from pss_inventory.contracts import Itinerary, Segment
from pss_pricing.contracts import MarketFare

from .filed import Brand

__all__ = ["Booking", "BrandedItinerary", "Component", "FareTable", "Trip", "sell_itinerary"]


@dataclass(frozen=True, kw_only=True)
class Trip:
    """What fare rules look at beyond the flights: when it is bought and how it is shaped."""

    purchased_on: date
    slices: list[tuple[str, str, date]]
    seats: int

    @cached_property
    def round_trip(self) -> bool:
        """There and back: two slices, the second the first one turned round."""
        if len(self.slices) != 2:  # noqa: PLR2004 -- there and back
            return False
        (origin, destination, _), (back_from, back_to, _) = self.slices
        return (origin, destination) == (back_to, back_from)

    @cached_property
    def stay_nights(self) -> int:
        """Nights from the first departure to the return.

        Counted from departure to departure, as ATPCO describes its minimum stay category
        (category 6): from the day after the first departure to the departure of the return.
        """
        return (self.slices[-1][2] - self.slices[0][2]).days

    def days_ahead(self, slice_index: int) -> int:
        """Days from the purchase to the departure that advance purchase counts to.

        The parts of a round trip are one pricing unit and count to its first departure.
        """
        first = 0 if self.round_trip else slice_index
        return (self.slices[first][2] - self.purchased_on).days


class Booking(Struct, frozen=True):
    """The cabin and class that a fare takes on a segment."""

    cabin: str
    booking_class: str


class Component(Struct, frozen=True, kw_only=True):
    """A fare over some consecutive segments: `first` is the position of its first."""

    fare: MarketFare
    amount_minor: int
    first: int
    bookings: list[Booking]


class BrandedItinerary(Struct, frozen=True, kw_only=True):
    """An itinerary sold in one brand; the components cover its segments in order."""

    itinerary: Itinerary
    brand: Brand
    components: list[Component]

    @property
    def adult_minor(self) -> int:
        """An adult's fare without taxes."""
        return sum(component.amount_minor for component in self.components)

    @property
    def bookings(self) -> list[Booking]:
        """The cabin and class of each segment."""
        return [booking for component in self.components for booking in component.bookings]


class FareTable:
    """The fares that one trip may be sold at, by market and brand."""

    def __init__(self, fares: Iterable[MarketFare], trip: Trip) -> None:
        self.trip = trip
        self._filed: dict[tuple[str, str, str], list[MarketFare]] = defaultdict(list)
        self._on_sale: dict[tuple[str, str, str, date, int], list[tuple[int, MarketFare]]] = {}
        for fare in fares:
            self._filed[fare.origin, fare.destination, fare.brand].append(fare)

    def on_sale(
        self, origin: str, destination: str, brand: str, departs: date, slice_index: int
    ) -> list[tuple[int, MarketFare]]:
        """What an adult pays and for which fare, cheapest first; of equal ones as filed."""
        key = (origin, destination, brand, departs, slice_index)
        if key not in self._on_sale:
            priced = [
                (amount, fare)
                for fare in self._filed.get((origin, destination, brand), [])
                if (amount := _amount(fare, departs, self.trip, slice_index)) is not None
            ]
            self._on_sale[key] = sorted(priced, key=lambda one: one[0])
        return self._on_sale[key]


def sell_itinerary(
    itinerary: Itinerary, brand: Brand, fares: FareTable, slice_index: int
) -> BrandedItinerary | None:
    """The itinerary at the through fare of its ends, else at the sum of one fare per segment.

    None when the brand has no fare that fits: no seats in its class, or rules not met.
    """
    segments = itinerary.segments
    through = _cheapest(segments, 0, brand, fares, slice_index)
    if through is not None:
        return BrandedItinerary(itinerary=itinerary, brand=brand, components=[through])
    if len(segments) == 1:
        return None
    components = []
    for position, segment in enumerate(segments):
        component = _cheapest([segment], position, brand, fares, slice_index)
        if component is None:
            return None
        components.append(component)
    return BrandedItinerary(itinerary=itinerary, brand=brand, components=components)


def _cheapest(
    segments: list[Segment], first: int, brand: Brand, fares: FareTable, slice_index: int
) -> Component | None:
    """The cheapest fare over these segments that has seats for all."""
    ends = segments[0].origin, segments[-1].destination
    departs = segments[0].departing_at.date()
    for amount, fare in fares.on_sale(*ends, brand.code, departs, slice_index):
        bookings = _bookings(segments, brand, fare.booking_class, fares.trip.seats)
        if bookings is not None:
            return Component(fare=fare, amount_minor=amount, first=first, bookings=bookings)
    return None


def _amount(fare: MarketFare, departs: date, trip: Trip, slice_index: int) -> int | None:
    """What an adult pays for this fare on this trip, None when its rules are not met."""
    if (fare.valid_from and departs < fare.valid_from) or (
        fare.valid_until and departs > fare.valid_until
    ):
        return None
    if trip.days_ahead(slice_index) < fare.advance_purchase_days:
        return None
    amounts = [fare.one_way_minor]
    if trip.round_trip and trip.stay_nights >= fare.minimum_stay_nights:
        amounts.append(fare.round_trip_minor)
    return min((amount for amount in amounts if amount is not None), default=None)


def _bookings(
    segments: list[Segment], brand: Brand, booking_class: str, seats: int
) -> list[Booking] | None:
    """What to book on each segment; None when one has too few seats.

    A through fare takes `elsewhere_cabin` on aircraft without the brand's cabin, but not on
    all of its flights: then it would sell what none of them has.
    """
    own = Booking(brand.cabin, booking_class)
    elsewhere = None
    if brand.elsewhere_cabin and brand.elsewhere_class:
        elsewhere = Booking(brand.elsewhere_cabin, brand.elsewhere_class)
    bookings: list[Booking] = []
    for segment in segments:
        booking, left = own, _seats_left(segment, own)
        if left is None and elsewhere:
            booking, left = elsewhere, _seats_left(segment, elsewhere)
        if left is None or left < seats:
            return None
        bookings.append(booking)
    return bookings if own in bookings else None


def _seats_left(segment: Segment, booking: Booking) -> int | None:
    """Seats in the class, None where the aircraft has no such cabin."""
    for cabin in segment.cabins:
        if cabin.cabin == booking.cabin:
            for availability in cabin.classes:
                if availability.booking_class == booking.booking_class:
                    return availability.seats
            return 0
    return None
