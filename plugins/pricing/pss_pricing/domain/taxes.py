"""Which taxes a trip bears.

A trip is cut into journeys: flights joined by transit connections. A connection is transit when
less than 24 hours pass on the ground, the limit that states use in their departure taxes (for one
the United Kingdom's Air Passenger Duty, HM Revenue & Customs Excise Notice 550).
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from .exchange import exchange
from .filed import CABINS, Tax, TaxFiling

__all__ = ["Charge", "Flown", "TaxBook", "journeys"]

_TRANSIT = timedelta(hours=24)


class Flown(Struct, frozen=True, kw_only=True):
    """A segment as taxes see it; times are aware, in each airport's own zone."""

    slice_index: int
    flight_id: str
    origin: str
    origin_country: str
    destination: str
    destination_country: str
    departing_at: datetime
    arriving_at: datetime
    cabin: str


class Charge(Struct, frozen=True):
    """A tax in the selling currency, and the slice whose price it belongs to."""

    tax: Tax
    amount_minor: int
    slice_index: int


def journeys(flown: Iterable[Flown]) -> list[list[Flown]]:
    """The trip's flights in order, cut at stopovers.

    Going on within 24 hours is transit, in the same slice or the next one; but a slice that
    ends where the one before it began is the way back, however short the visit was.
    """
    parts: list[list[Flown]] = []
    slice_origin = ""
    for segment in flown:
        before = parts[-1][-1] if parts else None
        new_slice = before is None or before.slice_index != segment.slice_index
        joined = (
            before is not None
            and before.destination == segment.origin
            and timedelta(0) <= segment.departing_at - before.arriving_at < _TRANSIT
            and not (new_slice and segment.destination in (slice_origin, before.origin))
        )
        if new_slice:
            slice_origin = segment.origin
        if joined:
            parts[-1].append(segment)
        else:
            parts.append([segment])
    return parts


class TaxBook:
    """A filing made ready for one request: indexed, converted, and remembering its answers."""

    def __init__(self, filing: TaxFiling | None, currency: str) -> None:
        self._taxes: dict[tuple[str, str, str], list[tuple[Tax, int]]] = defaultdict(list)
        self._known: dict[tuple[tuple[str, str, str], ...], list[tuple[Tax, int, int]]] = {}
        for tax in filing.taxes if filing else []:
            rate = Decimal(filing.exchange_rates.get(tax.currency, "1")) if filing else Decimal(1)
            amount = exchange(tax.amount_minor, tax.currency, currency, rate)
            if amount:
                self._taxes[tax.per, tax.applies, tax.country].append((tax, amount))

    def charges(self, flown: Iterable[Flown]) -> list[Charge]:
        """Every charge of a passenger nobody exempts, in the order of travel."""
        found = []
        for journey in journeys(flown):
            key = tuple((part.flight_id, part.origin, part.cabin) for part in journey)
            if key not in self._known:
                self._known[key] = list(self._of_journey(journey))
            for tax, amount, position in self._known[key]:
                found.append(Charge(tax, amount, journey[position].slice_index))
        return found

    def _of_journey(self, journey: list[Flown]) -> Iterable[tuple[Tax, int, int]]:
        """The taxes of a journey with the position of the segment each belongs to."""
        last = len(journey) - 1
        for position in range(len(journey)):
            yield from self._of_part("departure", "segment", journey, position, position)
            yield from self._of_part("arrival", "segment", journey, position, position)
        yield from self._of_part("departure", "journey", journey, 0, last)
        yield from self._of_part("arrival", "journey", journey, 0, last)

    def _of_part(
        self, applies: str, per: str, journey: list[Flown], first: int, last: int
    ) -> Iterable[tuple[Tax, int, int]]:
        start, end = journey[first], journey[last]
        cabin = max((part.cabin for part in journey[first : last + 1]), key=CABINS.index)
        departs = applies == "departure"
        position = first if departs else last
        airport = start.origin if departs else end.destination
        here = start.origin_country if departs else end.destination_country
        there = end.destination_country if departs else start.origin_country
        day = journey[position].departing_at.date()
        for tax, amount in self._taxes.get((per, applies, here), []):
            if (
                (not tax.airports or airport in tax.airports)
                and (tax.scope == "any" or (tax.scope == "domestic") == (here == there))
                and (not tax.cabins or cabin in tax.cabins)
                and (not tax.destination_countries or there in tax.destination_countries)
                and there not in tax.destination_not_in
                and (tax.valid_from is None or tax.valid_from <= day)
                and (tax.valid_until is None or day <= tax.valid_until)
            ):
                yield tax, amount, position
