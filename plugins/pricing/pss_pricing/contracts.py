"""What other plugins may use of pricing: offers, what was sold, refund quotes, one hook."""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from pss_kernel import Conflict, Gone, Money, UnitOfWork, hookspec, service

__all__ = [
    "Conditions",
    "MarketFare",
    "Offer",
    "OfferExpired",
    "OfferRequest",
    "OfferRequestBody",
    "OfferSegment",
    "OfferSlice",
    "OfferUnavailable",
    "PassengerPrice",
    "PassengerSpec",
    "PriceBreakdown",
    "RefundQuote",
    "SliceRequest",
    "SoldFare",
    "StoredOffer",
    "TaxLine",
    "fares_to_sell",
    "offer_to_order",
    "refund_quote",
    "request_offers",
]

IsoDate = Annotated[
    str,
    Meta(
        max_length=40,
        description="The local date of departure, YYYY-MM-DD.",
        extra_json_schema={"format": "date"},
        examples=["2026-11-23"],
    ),
]
AirportCode = Annotated[
    str, Meta(max_length=40, description="IATA airport code.", examples=["VIE"])
]


class OfferExpired(Gone):
    """The offer's time is over; the mend is to ask for offers again or to re-price it."""

    code = "offer-expired"


class OfferUnavailable(Conflict):
    """The offer's flights, classes or fares are no longer on sale together."""

    code = "offer-unavailable"


# Requests. Every field has a default and text is plain text, so that one answer can name all
# that is wrong; decoding would stop at the first.


class SliceRequest(Struct, frozen=True, kw_only=True):
    """A journey in one direction on one day."""

    origin: AirportCode = ""
    destination: AirportCode = ""
    departure_date: IsoDate = ""


class PassengerSpec(Struct, frozen=True):
    """One traveller: "adult", "child" or "infant" (on an adult's lap, without a seat)."""

    type: Annotated[
        str, Meta(max_length=40, description="adult, child or infant", examples=["adult"])
    ] = ""


class OfferRequestBody(Struct, frozen=True, kw_only=True):
    """One to six slices in order of date, one to nine passengers, and a cabin if one is wanted."""

    slices: Annotated[list[SliceRequest], Meta(max_length=20)] = []
    passengers: Annotated[list[PassengerSpec], Meta(max_length=20)] = []
    cabin: Annotated[str, Meta(max_length=40)] | None = None


# Offers.


class OfferSegment(Struct, frozen=True, kw_only=True):
    """A flight of an offer; `id` tells it from the others of the same offer."""

    id: str
    flight_id: str
    flight: str
    carrier: str
    flight_number: str
    flight_date: date
    origin: str
    destination: str
    departing_at: datetime
    departing_at_utc: datetime
    departing_time_zone: str
    departure_terminal: str | None
    arriving_at: datetime
    arriving_at_utc: datetime
    arriving_time_zone: str
    arrival_terminal: str | None
    aircraft_type: str
    cabin: str
    booking_class: str
    fare_basis: str


class OfferSlice(Struct, frozen=True, kw_only=True):
    """A journey in one direction: the airports asked for and its flights in order."""

    origin: str
    destination: str
    segments: list[OfferSegment]


class TaxLine(Struct, frozen=True, kw_only=True):
    """A tax, fee or charge of one passenger, in the selling currency."""

    code: str
    country: str
    description: str
    amount: Money


class PassengerPrice(Struct, frozen=True, kw_only=True):
    """The price of each of the `count` passengers of one type; base + taxes = total."""

    type: str
    count: int
    base: Money
    taxes: list[TaxLine]
    total: Money


class PriceBreakdown(Struct, frozen=True, kw_only=True):
    """All passengers: base + taxes = total, and each is the sum over `passengers` x count."""

    base: Money
    taxes: Money
    total: Money
    passengers: list[PassengerPrice]


class Conditions(Struct, frozen=True, kw_only=True):
    """What the brand allows. Fees are per passenger; None where it is not allowed."""

    refundable: bool
    cancellation_fee: Money | None
    changeable: bool
    change_fee: Money | None
    checked_bags: int
    seat_selection: Literal["free", "paid", "none"]


class Offer(Struct, frozen=True, kw_only=True):
    """A price for all passengers on named flights, good until `expires_at`."""

    id: str
    total: Money
    expires_at: datetime
    brand: str
    brand_code: str
    passengers: list[PassengerSpec]
    slices: list[OfferSlice]
    conditions: Conditions
    price_breakdown: PriceBreakdown


class OfferRequest(Struct, frozen=True, kw_only=True):
    """The answer to a request: offers, lowest total first; empty when nothing is on sale."""

    id: str
    offers: list[Offer]


class SoldFare(Struct, frozen=True, kw_only=True):
    """One fare component of one passenger of `passenger_type`: what an order must remember.

    A through fare covers all segments of its slice, a sector fare one. The taxes of a slice
    stand on its first component, so that base and taxes over all components of a type add up
    to that type's PassengerPrice. Fees are minor units of `currency`, per passenger and order.
    """

    passenger_type: str
    slice_index: int
    segment_ids: list[str]
    fare_basis: str
    currency: str
    base_minor: int
    taxes: list[TaxLine]
    refundable: bool
    cancellation_fee_minor: int
    changeable: bool
    change_fee_minor: int


class StoredOffer(Struct, frozen=True, kw_only=True):
    """An offer with what is not shown: the legs of each segment (by its id) and the fares.

    Offers are deleted soon after they expire: an order keeps its own copy.
    """

    offer: Offer
    leg_ids: dict[str, list[int]]
    fares: list[SoldFare]


class RefundQuote(Struct, frozen=True, kw_only=True):
    """What comes back. `taxes` is the part of `refund` that is taxes.

    `refund` + `penalty` = all that the passengers paid for fares and taxes.
    """

    refund: Money
    penalty: Money
    taxes: Money


class MarketFare(Struct, frozen=True):
    """A filed adult fare from `origin` to `destination` in minor units of the selling currency.

    `round_trip_minor` is for one direction of a round trip. At least one amount is there.
    `valid_from` and `valid_until` bound the local date of departure, both included.
    """

    origin: str
    destination: str
    brand: str
    booking_class: str
    basis: str
    one_way_minor: int | None = None
    round_trip_minor: int | None = None
    advance_purchase_days: int = 0
    minimum_stay_nights: int = 0
    valid_from: date | None = None
    valid_until: date | None = None


@service
async def request_offers(uow: UnitOfWork, request: OfferRequestBody) -> OfferRequest:
    """Price and store offers. Raises Invalid with every wrong field and its pointer."""


@service
async def offer_to_order(uow: UnitOfWork, offer_id: str) -> StoredOffer:
    """The offer while it can be ordered, by the database's clock.

    Raises NotFound for an unknown id and OfferExpired when its time is over.
    """


@service
async def refund_quote(
    uow: UnitOfWork, stored: StoredOffer, seats_used: bool, passenger_types: list[str]
) -> RefundQuote:
    """What the named passengers (a type for each) get back when their order is cancelled.

    `seats_used`: any of their flights was flown; then nothing comes back. Raises Invalid when
    more passengers of a type are named than the offer has.
    """


@hookspec("pipeline", budget=0.5)
async def fares_to_sell(
    uow: UnitOfWork, fares: list[MarketFare], request: OfferRequestBody
) -> list[MarketFare]:
    """Change, add or drop the filed fares that one request is priced from."""
