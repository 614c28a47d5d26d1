"""Answering a request for offers: check it, ask for seats, read fares, price, keep."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from pss_inventory import contracts as inventory
from pss_inventory.contracts import Itinerary
from pss_kernel import FieldError, Invalid, NotFound, UnitOfWork

from .contracts import (
    Offer,
    OfferRequest,
    OfferRequestBody,
    OfferSegment,
    OfferUnavailable,
    PassengerSpec,
    SliceRequest,
    StoredOffer,
    fares_to_sell,
)
from .domain.filed import Discounts
from .domain.offers import Draft, draft_offers, on_sale
from .domain.quote import Party, Pricing
from .domain.request import WantedSlice, check_airports, check_request
from .domain.selection import FareTable, Trip
from .filings import read_filed
from .settings import Settings
from .store import keep_offers, segment_ids

__all__ = ["reprice", "shop"]

_EAST_OF_ALL = timedelta(hours=14)
"""No place is further ahead of UTC: a date after today there is in the future everywhere."""


async def shop(uow: UnitOfWork, body: OfferRequestBody) -> OfferRequest:
    """Price what was asked for and keep the offers. Raises Invalid with every wrong field."""
    wanted = await _check(uow, body)
    party = Party.of([passenger.type for passenger in body.passengers])
    itineraries = await _availability(uow, wanted, party.seats)
    drafts, expires_at = await _price(uow, body, wanted, itineraries, party)
    request_id, stored = await keep_offers(uow, drafts, expires_at)
    return OfferRequest(id=request_id, offers=[one.offer for one in stored])


async def reprice(uow: UnitOfWork, stored: StoredOffer, *, live: bool) -> Offer:
    """Price the offer's flights and brand again.

    The same offer when it has not expired and nothing has changed, otherwise a new one. Raises
    OfferUnavailable when flights, seats or fares are gone.
    """
    offer = stored.offer
    body = OfferRequestBody(
        slices=[
            SliceRequest(
                origin=one.origin,
                destination=one.destination,
                departure_date=one.segments[0].departing_at.date().isoformat(),
            )
            for one in offer.slices
        ],
        passengers=offer.passengers,
    )
    wanted, _ = check_request(body)
    party = Party.of([passenger.type for passenger in body.passengers])
    found = await _availability(uow, wanted, party.seats)
    itineraries = [
        [itinerary for itinerary in options if _flights(itinerary.segments) == _flights(segments)]
        for options, segments in zip(found, (one.segments for one in offer.slices), strict=True)
    ]
    drafts, expires_at = await _price(
        uow, body, wanted, itineraries, party, brand_code=offer.brand_code
    )
    if not drafts:
        raise OfferUnavailable(
            "These flights are no longer sold at this brand for all passengers.",
            mend="Ask for offers again.",
        )
    if live and _terms(drafts[0].offer) == _terms(offer):
        return offer
    _, kept = await keep_offers(uow, drafts[:1], expires_at)
    return kept[0].offer


async def _check(uow: UnitOfWork, body: OfferRequestBody) -> list[WantedSlice]:
    """The slices of a sound request. Airports are looked up only when there is a doubt."""
    wanted, errors = check_request(body)
    tomorrow_everywhere = (datetime.now(UTC) + _EAST_OF_ALL).date() + timedelta(days=1)
    if errors or any(_date(one) < tomorrow_everywhere for one in wanted):
        zones = await _zones(uow, wanted)
        errors += check_airports(wanted, zones, await uow.now())
    if errors:
        raise _invalid(errors)
    return wanted


async def _availability(
    uow: UnitOfWork, wanted: Sequence[WantedSlice], seats: int
) -> list[list[Itinerary]]:
    """The itineraries of each slice: one round trip each."""
    try:
        return [
            await inventory.availability(uow, one.origin, one.destination, _date(one), seats)
            for one in wanted
        ]
    except Invalid as refusal:
        errors = check_airports(wanted, await _zones(uow, wanted), await uow.now())
        if errors:
            raise _invalid(errors) from refusal
        raise


async def _price(
    uow: UnitOfWork,
    body: OfferRequestBody,
    wanted: Sequence[WantedSlice],
    itineraries: Sequence[Sequence[Itinerary]],
    party: Party,
    brand_code: str | None = None,
) -> tuple[list[Draft], datetime]:
    """Offers for the itineraries, and when they expire by the database's clock."""
    settings = uow.settings(Settings)
    filed = await read_filed(uow, _markets(itineraries), [_date(one) for one in wanted])
    expires_at = filed.moment + timedelta(minutes=settings.offer_minutes)
    closes = timedelta(minutes=settings.sale_closes_minutes)
    open_ones = [
        on_sale(options, filed.moment, closes, settings.max_itineraries_per_slice)
        for options in itineraries
    ]
    brands = [
        brand
        for brand in (filed.terms.brands if filed.terms else [])
        if body.cabin in (None, brand.cabin) and brand_code in (None, brand.code)
    ]
    fares = await uow.call(fares_to_sell, fares=filed.fares, request=body)
    if not brands or not all(open_ones):
        return [], expires_at
    currency = uow.tenant.currency
    discounts = filed.terms.discounts if filed.terms else Discounts()
    drafts = draft_offers(
        open_ones,
        brands,
        FareTable(fares, _trip(filed.moment, wanted, open_ones, party)),
        Pricing(party, discounts, filed.taxes, currency),
        passengers=[PassengerSpec(one.type) for one in body.passengers],
        most=settings.max_offers,
        segment_ids=segment_ids(),
    )
    return drafts, expires_at


def _trip(
    now: datetime,
    wanted: Sequence[WantedSlice],
    itineraries: Sequence[Sequence[Itinerary]],
    party: Party,
) -> Trip:
    """What fare rules look at; the day of the purchase is the one where the trip begins."""
    zone = ZoneInfo(itineraries[0][0].segments[0].departing_time_zone)
    return Trip(
        purchased_on=now.astimezone(zone).date(),
        slices=[(one.origin, one.destination, _date(one)) for one in wanted],
        seats=party.seats,
    )


async def _zones(uow: UnitOfWork, wanted: Iterable[WantedSlice]) -> dict[str, str | None]:
    """The time zone of each airport named, None for one outside the network."""
    zones: dict[str, str | None] = {}
    for code in {code for one in wanted for code in (one.origin, one.destination) if code}:
        zones[code] = None
        with suppress(NotFound):
            zones[code] = (await inventory.airport(uow, code)).time_zone
    return zones


def _invalid(errors: list[FieldError]) -> Invalid:
    return Invalid("The request for offers has wrong values; each is listed.", errors=errors)


def _date(wanted: WantedSlice) -> date:
    """The slice's date; one that could not be read is already refused, so any will do."""
    return wanted.departure_date or date.max


def _markets(itineraries: Iterable[Iterable[Itinerary]]) -> set[tuple[str, str]]:
    """Every market a fare could be filed for: of each itinerary and of each of its segments."""
    markets = set()
    for options in itineraries:
        for itinerary in options:
            segments = itinerary.segments
            markets.add((segments[0].origin, segments[-1].destination))
            markets.update((segment.origin, segment.destination) for segment in segments)
    return markets


def _flights(segments: Iterable[inventory.Segment | OfferSegment]) -> list[tuple[str, str, str]]:
    return [(segment.flight_id, segment.origin, segment.destination) for segment in segments]


def _terms(offer: Offer) -> tuple[object, ...]:
    """What a passenger would see change."""
    booked = [
        (segment.flight_id, segment.departing_at, segment.cabin, segment.booking_class)
        for one in offer.slices
        for segment in one.segments
    ]
    return offer.total, offer.price_breakdown, offer.conditions, booked
