"""From itineraries and fares to offers."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

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

from .combine import Combination, Option, choose
from .exchange import money
from .filed import Brand
from .quote import Pricing
from .selection import BrandedItinerary, FareTable, Trip, sell_itinerary

__all__ = ["Draft", "draft_offers", "on_sale"]

NewId = Callable[[str], str]


class Draft(Struct, frozen=True, kw_only=True):
    """An offer that has no id and no expiry yet."""

    offer: Offer
    leg_ids: dict[str, list[int]]
    fares: list[SoldFare]

    def stored(self, offer_id: str, expires_at: datetime) -> StoredOffer:
        """The offer once the database has taken it."""
        fields = {name: getattr(self.offer, name) for name in Offer.__struct_fields__}
        offer = Offer(**{**fields, "id": offer_id, "expires_at": expires_at})
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
    new_id: NewId,
) -> list[Draft]:
    """At most `most` offers in these brands, lowest total first.

    `itineraries` has those on sale for each slice of the trip that `fares` are for.
    """
    by_brand = [
        [
            _options(slice_itineraries, brand, fares, index, pricing)
            for index, slice_itineraries in enumerate(itineraries)
        ]
        for brand in brands
    ]
    drafts = [
        _draft(combination, fares.trip, pricing, passengers, new_id)
        for combination in choose(by_brand, most)
    ]
    return sorted(drafts, key=lambda draft: draft.offer.total.minor)


def _options(
    itineraries: Sequence[Itinerary],
    brand: Brand,
    fares: FareTable,
    slice_index: int,
    pricing: Pricing,
) -> list[Option]:
    return [
        Option(branded, pricing.estimate(branded), index)
        for index, itinerary in enumerate(itineraries)
        if (branded := sell_itinerary(itinerary, brand, fares, slice_index))
    ]


def _draft(
    combination: Combination,
    trip: Trip,
    pricing: Pricing,
    passengers: list[PassengerSpec],
    new_id: NewId,
) -> Draft:
    branded = [option.branded for option in combination]
    slices = [
        OfferSlice(origin=origin, destination=destination, segments=_segments(one, new_id))
        for one, (origin, destination, _) in zip(branded, trip.slices, strict=True)
    ]
    ids = [[segment.id for segment in one.segments] for one in slices]
    breakdown, fares = pricing.breakdown(branded, ids)
    flown = [segment for one in branded for segment in one.itinerary.segments]
    brand = branded[0].brand
    offer = Offer(
        id="",
        total=breakdown.total,
        expires_at=datetime.min.replace(tzinfo=UTC),
        brand=brand.name,
        brand_code=brand.code,
        passengers=passengers,
        slices=slices,
        conditions=_conditions(brand, pricing.currency),
        price_breakdown=breakdown,
    )
    every_id = [segment_id for slice_ids in ids for segment_id in slice_ids]
    leg_ids = {
        segment_id: segment.leg_ids for segment_id, segment in zip(every_id, flown, strict=True)
    }
    return Draft(offer=offer, leg_ids=leg_ids, fares=fares)


def _segments(branded: BrandedItinerary, new_id: NewId) -> list[OfferSegment]:
    bases = [component.fare.basis for component in branded.components for _ in component.bookings]
    segments = branded.itinerary.segments
    return [
        _segment(segment, new_id("seg"), booking.cabin, booking.booking_class, basis)
        for segment, booking, basis in zip(segments, branded.bookings, bases, strict=True)
    ]


def _segment(
    segment: Segment, segment_id: str, cabin: str, booking_class: str, basis: str
) -> OfferSegment:
    return OfferSegment(
        id=segment_id,
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
        cabin=cabin,
        booking_class=booking_class,
        fare_basis=basis,
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
