"""Which flights, offers and seats the demonstration takes. Pure: nothing is asked or told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import msgspec

from pss_sdk.models import Flight, Market, Offer, SeatMap

__all__ = [
    "Airline",
    "Window",
    "choose_offer",
    "markets_to_try",
    "other_flight",
    "seats_together",
]

_MARGIN = timedelta(minutes=15)
_EAST, _WEST = timedelta(hours=14), timedelta(hours=12)  # how far local dates are from UTC's
_MOST_MARKETS = 60


class Airline(msgspec.Struct, frozen=True, kw_only=True):
    """An airline of the demonstration and the journeys that show it best."""

    tenant: str
    markets: list[tuple[str, str]]
    """For the journey, the best first."""
    nonstop_markets: list[tuple[str, str]]
    """For the last seat."""
    connection: bool
    """Whether the way out is to have one."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Departures that can be booked, eaten on, and checked in now; both ends are in UTC."""

    earliest: datetime
    latest: datetime

    @classmethod
    def around(
        cls, now: datetime, *, opens_hours: int, closes_minutes: int, service_hours: int
    ) -> Window:
        """Departures for which check-in is open at ``now``.

        ``service_hours``: extras are taken until so long before departure; where check-in
        opens later than that, they are left out of account.
        """
        latest = now + timedelta(hours=opens_hours) - _MARGIN
        closed = now + max(timedelta(minutes=closes_minutes), timedelta(hours=1)) + _MARGIN
        earliest = max(closed, now + timedelta(hours=service_hours) + _MARGIN)
        return cls(earliest=earliest if earliest < latest else closed, latest=latest)

    def holds(self, departing_at: datetime) -> bool:
        """Whether this departure is inside."""
        return self.earliest <= departing_at <= self.latest

    def dates(self) -> list[date]:
        """Every local date, anywhere, on which a departure may be inside; soonest first."""
        first = (self.earliest - _WEST).date()
        last = (self.latest + _EAST).date()
        return [first + timedelta(days=day) for day in range((last - first).days + 1)]


def markets_to_try(
    favourites: Sequence[tuple[str, str]], on_sale: Sequence[Market]
) -> list[tuple[str, str]]:
    """Those of the favourites that are on sale, then others, but not all of a large network."""
    known = [(market.origin, market.destination) for market in on_sale]
    first = [market for market in favourites if market in set(known)]
    others = [market for market in known if market not in set(first)]
    return [*first, *others][:_MOST_MARKETS]


def choose_offer(offers: Sequence[Offer], window: Window, *, connection: bool) -> Offer | None:
    """The cheapest offer, with a bag and a choice of seats if there is one like that.

    Its first departure is inside the window, and its way out has a connection or has none.
    """
    fitting = [
        offer
        for offer in offers
        if window.holds(offer.slices[0].segments[0].departing_at)
        and (len(offer.slices[0].segments) > 1) == connection
        and offer.conditions.seat_selection != "none"
    ]
    with_bag = [offer for offer in fitting if offer.conditions.checked_bags]
    return min(with_bag or fitting, key=lambda offer: offer.total.decimal, default=None)


def seats_together(seat_map: SeatMap, count: int) -> list[str]:
    """Free seats side by side (only an aisle between them), not at an exit.

    From the front; from several rows where no row has so many, and fewer where there are none.
    """
    scattered: list[str] = []
    for cabin in seat_map.cabins:
        for row in cabin.rows:
            run: list[str] = []
            for seat in row.seats:
                free = seat.status == "available" and not row.exit_row
                run = [*run, seat.seat] if free else []
                if len(run) == count:
                    return run
                scattered += [seat.seat] if free else []
    return scattered[:count]


def other_flight(flights: Sequence[Flight], flight: str) -> Flight | None:
    """A flight of the same day and airport that is not this one."""
    return next((one for one in flights if one.flight != flight), None)
