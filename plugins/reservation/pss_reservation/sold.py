"""The offer as an order keeps it: its own segment ids, the seats it needs, its dates. Pure."""

from datetime import date, datetime

import msgspec

from pss_inventory.contracts import SeatRequest
from pss_kernel import new_id
from pss_pricing.contracts import OfferSegment, StoredOffer

from .order import OrderSegment, OrderSlice
from .status import LIVE

__all__ = [
    "departs_at",
    "offer_segments",
    "passenger_types",
    "seat_requests",
    "slices_of",
    "travel_dates",
    "with_own_segment_ids",
]

replace = msgspec.structs.replace


def with_own_segment_ids(stored: StoredOffer) -> StoredOffer:
    """Give every segment a fresh id: an offer may be ordered twice, a coupon is for one segment."""
    fresh = {segment.id: new_id("seg") for segment in offer_segments(stored)}
    slices = [
        replace(part, segments=[replace(one, id=fresh[one.id]) for one in part.segments])
        for part in stored.offer.slices
    ]
    return replace(
        stored,
        offer=replace(stored.offer, slices=slices),
        leg_ids={fresh[segment_id]: legs for segment_id, legs in stored.leg_ids.items()},
        fares=[
            replace(fare, segment_ids=[fresh[segment_id] for segment_id in fare.segment_ids])
            for fare in stored.fares
        ],
    )


def offer_segments(stored: StoredOffer) -> list[OfferSegment]:
    """List the segments in order of travel."""
    return [segment for part in stored.offer.slices for segment in part.segments]


def passenger_types(stored: StoredOffer) -> list[str]:
    """List the type of each passenger that the offer was priced for."""
    return [passenger.type for passenger in stored.offer.passengers]


def seat_requests(stored: StoredOffer) -> list[SeatRequest]:
    """Ask for a seat per segment for everybody but infants, who travel on a lap."""
    seats = sum(kind != "infant" for kind in passenger_types(stored))
    return [
        SeatRequest(
            leg_ids=stored.leg_ids[segment.id],
            cabin=segment.cabin,
            booking_class=segment.booking_class,
            seats=seats,
        )
        for segment in offer_segments(stored)
    ]


def travel_dates(stored: StoredOffer) -> tuple[date, date]:
    """Give the local dates of the first and of the last departure."""
    segments = offer_segments(stored)
    return segments[0].departing_at.date(), segments[-1].departing_at.date()


def departs_at(stored: StoredOffer) -> datetime:
    """Give the moment of the first departure, in UTC."""
    return offer_segments(stored)[0].departing_at_utc


def slices_of(stored: StoredOffer, order_status: str) -> list[OrderSlice]:
    """Show the offer's slices as those of an order of this status."""
    status = "booked" if order_status in LIVE else "cancelled"
    return [
        OrderSlice(
            origin=part.origin,
            destination=part.destination,
            segments=[
                replace(msgspec.convert(one, OrderSegment, from_attributes=True), status=status)
                for one in part.segments
            ],
        )
        for part in stored.offer.slices
    ]
