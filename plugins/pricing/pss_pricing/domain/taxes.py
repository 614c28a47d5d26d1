"""Which taxes a trip bears.

A trip is cut into journeys: flights joined by transit connections. A connection is transit when
less than 24 hours pass on the ground, the limit that states use in their departure taxes (for one
the United Kingdom's Air Passenger Duty, HM Revenue & Customs Excise Notice 550).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from pss_inventory.contracts import Segment

from .exchange import exchange
from .filed import CABINS, Tax, TaxFiling

__all__ = ["Charge", "Flown", "TaxBook", "journeys"]

_TRANSIT = timedelta(hours=24)


class Flown(NamedTuple):
    """A segment as taxes see it."""

    slice_index: int
    segment: Segment
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
    for part in flown:
        segment = part.segment
        before = parts[-1][-1] if parts else None
        new_slice = before is None or before.slice_index != part.slice_index
        joined = (
            before is not None
            and before.segment.destination == segment.origin
            and timedelta(0) <= segment.departing_at - before.segment.arriving_at < _TRANSIT
            and not (new_slice and segment.destination in (slice_origin, before.segment.origin))
        )
        if new_slice:
            slice_origin = segment.origin
        if joined:
            parts[-1].append(part)
        else:
            parts.append([part])
    return parts


class TaxBook:
    """A filing made ready: indexed, and converted to the selling currency. Never changes."""

    def __init__(self, filing: TaxFiling | None, currency: str) -> None:
        self._taxes: dict[tuple[str, str, str], list[tuple[Tax, int]]] = defaultdict(list)
        for tax in filing.taxes if filing else []:
            rate = Decimal(filing.exchange_rates.get(tax.currency, "1")) if filing else Decimal(1)
            amount = exchange(tax.amount_minor, tax.currency, currency, rate)
            if amount:
                self._taxes[tax.per, tax.applies, tax.country].append((tax, amount))

    def charges(self, flown: Iterable[Flown]) -> list[Charge]:
        """Every charge of a passenger nobody exempts, in the order of travel."""
        return [charge for journey in journeys(flown) for charge in self._of_journey(journey)]

    def _of_journey(self, journey: list[Flown]) -> Iterator[Charge]:
        for part in journey:
            yield from self._of_part("departure", "segment", [part])
            yield from self._of_part("arrival", "segment", [part])
        yield from self._of_part("departure", "journey", journey)
        yield from self._of_part("arrival", "journey", journey)

    def _of_part(self, applies: str, per: str, flown: list[Flown]) -> Iterator[Charge]:
        """The taxes on leaving where the part begins, or on arriving where it ends."""
        start, end = flown[0].segment, flown[-1].segment
        here, there = start.origin_country, end.destination_country
        airport, taxed = start.origin, flown[0]
        if applies == "arrival":
            here, there = there, here
            airport, taxed = end.destination, flown[-1]
        filed = self._taxes.get((per, applies, here))
        if not filed:
            return
        cabin = max((part.cabin for part in flown), key=CABINS.index)
        day = taxed.segment.departing_at.date()
        for tax, amount in filed:
            if (
                (not tax.airports or airport in tax.airports)
                and (tax.scope == "any" or (tax.scope == "domestic") == (here == there))
                and (not tax.cabins or cabin in tax.cabins)
                and (not tax.destination_countries or there in tax.destination_countries)
                and there not in tax.destination_not_in
                and (tax.valid_from is None or tax.valid_from <= day)
                and (tax.valid_until is None or day <= tax.valid_until)
            ):
                yield Charge(tax, amount, taxed.slice_index)
