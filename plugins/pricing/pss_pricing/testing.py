"""Building flights and offers in tests, for this plugin's and for those that sell its offers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from pss_inventory.contracts import CabinAvailability, ClassAvailability, Itinerary, Segment

from .contracts import MarketFare, PassengerSpec, StoredOffer
from .domain.filed import Brand, Discounts, TaxFiling
from .domain.offers import draft_offers
from .domain.quote import Party, Pricing
from .domain.selection import FareTable, Trip
from .domain.taxes import TaxBook

__all__ = ["AIRPORTS", "ECONOMY", "make_offers", "make_segment"]

AIRPORTS = {
    "VIE": ("AT", "Europe/Vienna"),
    "INN": ("AT", "Europe/Vienna"),
    "LHR": ("GB", "Europe/London"),
    "MAN": ("GB", "Europe/London"),
    "ATH": ("GR", "Europe/Athens"),
    "JFK": ("US", "America/New_York"),
    "NRT": ("JP", "Asia/Tokyo"),
    "KIX": ("JP", "Asia/Tokyo"),
}
"""Country and time zone of the airports that `make_segment` knows."""

ECONOMY: Mapping[str, Mapping[str, int]] = {"economy": {"Y": 9, "K": 9, "L": 4}}
"""Seats left by cabin and booking class."""


def make_segment(
    origin: str,
    destination: str,
    departing: str,
    minutes: int = 120,
    cabins: Mapping[str, Mapping[str, int]] = ECONOMY,
) -> Segment:
    """A flight leaving at the origin's local time `departing` ("2026-11-23 07:10")."""
    (origin_country, origin_zone) = AIRPORTS[origin]
    (destination_country, destination_zone) = AIRPORTS[destination]
    leaves = datetime.fromisoformat(departing).replace(tzinfo=ZoneInfo(origin_zone))
    lands = (leaves.astimezone(UTC) + timedelta(minutes=minutes)).astimezone(
        ZoneInfo(destination_zone)
    )
    number = str(sum(map(ord, origin + destination)) % 900 + 100)
    return Segment(
        flight_id=f"flt_{origin}{destination}{leaves:%Y%m%d%H%M}",
        flight=f"Q1{number}",
        carrier="Q1",
        flight_number=number,
        flight_date=leaves.date(),
        origin=origin,
        destination=destination,
        departing_at=leaves,
        arriving_at=lands,
        departing_time_zone=origin_zone,
        arriving_time_zone=destination_zone,
        aircraft_type="320",
        leg_ids=[int(number)],
        cabins=[
            CabinAvailability(cabin, [ClassAvailability(*each) for each in classes.items()])
            for cabin, classes in cabins.items()
        ],
        origin_country=origin_country,
        destination_country=destination_country,
        departure_terminal=None,
        arrival_terminal=None,
    )


def make_offers(
    slices: Sequence[Sequence[Sequence[Segment]]],
    brands: Sequence[Brand],
    fares: Sequence[MarketFare],
    passengers: Sequence[str] = ("adult",),
    *,
    taxes: TaxFiling | None = None,
    discounts: Discounts | None = None,
    currency: str = "EUR",
    purchased_on: date = date(2026, 6, 1),
    most: int = 60,
) -> list[StoredOffer]:
    """Price flights without a database: for each slice its itineraries as lists of segments.

    The offers never expire, and their ids count from off_0.
    """
    party = Party.of(passengers)
    trip = Trip(
        purchased_on=purchased_on,
        slices=[
            (one[0][0].origin, one[0][-1].destination, one[0][0].departing_at.date())
            for one in slices
        ],
        seats=party.seats,
    )
    drafts = draft_offers(
        [[Itinerary(list(segments)) for segments in one] for one in slices],
        brands,
        FareTable(fares, trip),
        Pricing(party, discounts or Discounts(), TaxBook(taxes, currency), currency),
        passengers=[PassengerSpec(kind) for kind in passengers],
        most=most,
        segment_ids=(f"seg_{number}" for number in count()),
    )
    never = datetime.max.replace(tzinfo=UTC)
    return [draft.stored(f"off_{place}", never) for place, draft in enumerate(drafts)]
