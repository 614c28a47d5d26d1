"""From itineraries and fares to offers."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from pss_inventory.contracts import Itinerary, Segment
from pss_pricing.contracts import (
    Conditions,
    Offer,
    OfferSegment,
    OfferSlice,
    PassengerSpec,
    SoldFare,
    StoredOffer,
)

from .combine import Option, choose
from .exchange import money
from .filed import Brand
from .quote import Priced, Pricing
from .selection import BrandedItinerary, FareTable, Trip, sell_itinerary

__all__ = ["Draft", "draft_offers", "on_sale"]

_NOT_YET = datetime.min.replace(tzinfo=UTC)


class Draft(Struct, frozen=True, kw_only=True):
    """An offer that has no id and no expiry yet."""

    offer: Offer
    leg_ids: dict[str, list[int]]
    fares: list[SoldFare]

    def stored(self, offer_id: str, expires_at: datetime) -> StoredOffer:
        """The offer once the database has taken it."""
        offer = replace(self.offer, id=offer_id, expires_at=expires_at)
        return StoredOffer(offer=offer, leg_ids=self.leg_ids, fares=self.fares)


def on_sale(
    itineraries: Sequence[Itinerary], now: datetime, closes: timedelta, most: int
) -> list[Itinerary]:
    """At most `most` itineraries that do not leave too soon, direct ones first."""
    open_ones = [one for one in itineraries if one.segments[0].departing_at - now > closes]
    return sorted(open_ones, key=lambda one: len(one.segments))[:most]


def draft_offers(
    itineraries: Sequence[Sequence[Itinerary]],
    brands: Sequence[Brand],
    fares: FareTable,
    pricing: Pricing,
    *,
    passengers: list[PassengerSpec],
    most: int,
    segment_ids: Iterator[str],
) -> list[Draft]:
    """At most `most` offers in these brands, lowest total first.

    `itineraries` has those on sale for each slice of the trip that `fares` are for. Each
    segment of each offer takes the next of the `segment_ids`.
    """
    by_brand = [
        [
            _options(slice_itineraries, brand, fares, index, pricing)
            for index, slice_itineraries in enumerate(itineraries)
        ]
        for brand in brands
    ]
    chosen = [
        pricing.price(*(option.branded for option in combination))
        for combination in choose(by_brand, most)
    ]
    flights = {
        _flown(segment): _offer_segment(segment)
        for slice_itineraries in itineraries
        for itinerary in slice_itineraries
        for segment in itinerary.segments
    }
    drafting = _Drafting(fares.trip, pricing, passengers, flights, segment_ids)
    return [drafting.draft(priced) for priced in sorted(chosen, key=lambda one: one.total_minor)]


def _options(
    itineraries: Sequence[Itinerary],
    brand: Brand,
    fares: FareTable,
    slice_index: int,
    pricing: Pricing,
) -> list[Option]:
    return [
        Option(branded, pricing.price(branded).total_minor, index)
        for index, itinerary in enumerate(itineraries)
        if (branded := sell_itinerary(itinerary, brand, fares, slice_index))
    ]


class _Drafting(Struct, frozen=True):
    """What the offers of one request share; `flights` lack only what differs by offer."""

    trip: Trip
    pricing: Pricing
    passengers: list[PassengerSpec]
    flights: dict[tuple[str, str, str], OfferSegment]
    segment_ids: Iterator[str]

    def draft(self, priced: Priced) -> Draft:
        combination = priced.combination
        slices = [
            OfferSlice(origin=origin, destination=destination, segments=self._segments(branded))
            for branded, (origin, destination, _) in zip(combination, self.trip.slices, strict=True)
        ]
        ids = [[segment.id for segment in one.segments] for one in slices]
        breakdown, fares = self.pricing.breakdown(priced, ids)
        brand = combination[0].brand
        offer = Offer(
            id="",
            total=breakdown.total,
            expires_at=_NOT_YET,
            brand=brand.name,
            brand_code=brand.code,
            passengers=self.passengers,
            slices=slices,
            conditions=_conditions(brand, self.pricing.currency),
            price_breakdown=breakdown,
        )
        leg_ids = {
            segment_id: segment.leg_ids
            for branded, slice_ids in zip(combination, ids, strict=True)
            for segment, segment_id in zip(branded.itinerary.segments, slice_ids, strict=True)
        }
        return Draft(offer=offer, leg_ids=leg_ids, fares=fares)

    def _segments(self, branded: BrandedItinerary) -> list[OfferSegment]:
        bookings = (
            (component.fare.basis, booking)
            for component in branded.components
            for booking in component.bookings
        )
        return [
            replace(
                self.flights[_flown(segment)],
                id=next(self.segment_ids),
                cabin=booking.cabin,
                booking_class=booking.booking_class,
                fare_basis=basis,
            )
            for segment, (basis, booking) in zip(branded.itinerary.segments, bookings, strict=True)
        ]


def _flown(segment: Segment) -> tuple[str, str, str]:
    """What tells a segment from all others."""
    return segment.flight_id, segment.origin, segment.destination


def _offer_segment(segment: Segment) -> OfferSegment:
    """The segment as an offer shows it, still without its id, cabin, class and fare basis."""
    return OfferSegment(
        id="",
        flight_id=segment.flight_id,
        flight=segment.flight,
        carrier=segment.carrier,
        flight_number=segment.flight_number,
        flight_date=segment.flight_date,
        origin=segment.origin,
        destination=segment.destination,
        departing_at=segment.departing_at,
        departing_at_utc=segment.departing_at.astimezone(UTC),
        departing_time_zone=segment.departing_time_zone,
        departure_terminal=segment.departure_terminal,
        arriving_at=segment.arriving_at,
        arriving_at_utc=segment.arriving_at.astimezone(UTC),
        arriving_time_zone=segment.arriving_time_zone,
        arrival_terminal=segment.arrival_terminal,
        aircraft_type=segment.aircraft_type,
        cabin="",
        booking_class="",
        fare_basis="",
    )


def _conditions(brand: Brand, currency: str) -> Conditions:
    changeable = brand.change_fee_minor is not None
    return Conditions(
        refundable=brand.refundable,
        cancellation_fee=money(brand.cancel_fee_minor, currency) if brand.refundable else None,
        changeable=changeable,
        change_fee=money(brand.change_fee_minor or 0, currency) if changeable else None,
        checked_bags=brand.checked_bags,
        seat_selection=brand.seat_selection,
    )
