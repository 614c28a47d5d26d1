"""The order as people and other plugins see it."""

from datetime import date, datetime
from typing import Annotated

from msgspec import Meta, Struct, field

from pss_kernel import Money, PersonalData
from pss_pricing.contracts import Conditions, PriceBreakdown

__all__ = [
    "Coupon",
    "Document",
    "HistoryEntry",
    "Order",
    "OrderPassenger",
    "OrderSegment",
    "OrderService",
    "OrderSlice",
    "TravelDocument",
]


class TravelDocument(Struct, kw_only=True):
    """A passenger's travel document; countries are ISO 3166-1 (two or three letters)."""

    type: Annotated[str, Meta(max_length=40)] = "passport"  # passport | identity_card | visa
    number: Annotated[str, Meta(max_length=40), PersonalData("number of a travel document")] = ""
    issuing_country: Annotated[str, Meta(max_length=10)] | None = None
    nationality: Annotated[str, Meta(max_length=10)] | None = None
    expires_on: date | None = None


class OrderPassenger(Struct, kw_only=True):
    """A passenger of an order; `infant_of` is the adult whose lap an infant travels on."""

    id: str  # pax_…
    type: str  # adult | child | infant
    given_name: Annotated[str, PersonalData("given name")]
    family_name: Annotated[str, PersonalData("family name")]
    title: Annotated[str | None, PersonalData("title")] = None
    born_on: Annotated[date | None, PersonalData("date of birth")] = None
    email: Annotated[str | None, PersonalData("e-mail address")] = None
    phone: Annotated[str | None, PersonalData("telephone")] = None
    documents: Annotated[list[TravelDocument], PersonalData("travel documents")] = field(
        default_factory=list
    )
    infant_of: str | None = None
    erased: bool = False  # the personal facts were erased for good; the name is left


class OrderSegment(Struct, kw_only=True):
    """A flight segment of an order. Its id is the order's own, not the offer's."""

    id: str  # seg_…
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
    departure_terminal: str | None = None
    arriving_at: datetime
    arriving_at_utc: datetime
    arriving_time_zone: str
    arrival_terminal: str | None = None
    aircraft_type: str
    cabin: str
    booking_class: str
    fare_basis: str
    status: str = "booked"  # booked | cancelled


class OrderSlice(Struct, kw_only=True):
    """One direction of the journey, as it was asked for in the offer request."""

    origin: str
    destination: str
    segments: list[OrderSegment]


class Coupon(Struct, kw_only=True):
    """A document's right to one segment."""

    number: int
    segment_id: str
    flight: str
    origin: str
    destination: str
    status: str


class Document(Struct, kw_only=True):
    """A ticket or EMD issued for a passenger of the order."""

    type: str  # ticket | emd
    number: str  # 13 digits
    passenger_id: str
    status: str = "issued"
    coupons: list[Coupon] = field(default_factory=list)


class OrderService(Struct, kw_only=True):
    """A fulfilled extra: one of a type per passenger and segment.

    `seat` or `code`, as it was asked for; the other one is null.
    """

    id: str  # srv_…
    type: str  # seat | meal | …
    passenger_id: str
    segment_id: str
    seat: str | None  # "12A"
    code: str | None  # "VGML", …
    price: Money


class HistoryEntry(Struct, kw_only=True):
    """One change of an order: what, by whom, when, from which status to which."""

    occurred_at: datetime
    change: str
    from_status: str | None
    to_status: str
    actor: str
    detail: str


class Order(Struct, kw_only=True):
    """An order. `status`: held, confirmed, ticketed, cancelled, expired, needs_attention.

    The service `order_by_id` leaves `documents` empty (`documents_of_order` gives them: the
    issuer of documents itself reads the order), and `history` is filled for staff only.
    """

    id: str  # ord_…
    booking_reference: str
    status: str
    total: Money
    payment_required_by: datetime | None  # None once nothing is to be paid
    created_at: datetime
    passengers: list[OrderPassenger]
    slices: list[OrderSlice]
    brand: str
    brand_code: str
    price_breakdown: PriceBreakdown
    conditions: Conditions
    documents: list[Document] = field(default_factory=list)
    services: list[OrderService] = field(default_factory=list)
    history: list[HistoryEntry] | None = None

    def segments(self) -> list[OrderSegment]:
        """List all segments, in order of travel."""
        return [segment for part in self.slices for segment in part.segments]

    def passenger(self, passenger_id: str) -> OrderPassenger | None:
        """Find the passenger of this id, or None if the order has no such passenger."""
        return next((p for p in self.passengers if p.id == passenger_id), None)

    def segment(self, segment_id: str) -> OrderSegment | None:
        """Find the segment of this id, or None if the order has no such segment."""
        return next((s for s in self.segments() if s.id == segment_id), None)
