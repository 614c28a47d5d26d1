"""Which combinations are offered when there are too many."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from pss_inventory.contracts import Itinerary
from pss_pricing.contracts import MarketFare
from pss_pricing.domain.combine import Option, combinations
from pss_pricing.domain.filed import Brand
from pss_pricing.domain.selection import BrandedItinerary, FareTable, Trip, sell_itinerary
from pss_pricing.testing import make_offers, make_segment

OUT = [make_segment("VIE", "LHR", f"2026-11-23 {hour:02}:00") for hour in range(6, 22)]
BACK = [make_segment("LHR", "VIE", f"2026-11-23 {hour:02}:00") for hour in range(6, 22)]
BUSINESS = {"business": {"J": 9}, "economy": {"Y": 9}}
BRANDS = [
    Brand(code="LIGHT", name="Light", cabin="economy"),
    Brand(code="BIZ", name="Business", cabin="business"),
]


def fare(
    origin: str,
    destination: str,
    brand: str = "LIGHT",
    booking_class: str = "Y",
    amount: int = 5000,
) -> MarketFare:
    return MarketFare(
        origin=origin,
        destination=destination,
        brand=brand,
        booking_class=booking_class,
        basis="X",
        one_way_minor=amount,
    )


FARES = [
    fare("VIE", "LHR"),
    fare("LHR", "VIE"),
    fare("VIE", "LHR", "BIZ", "J", 90000),
    fare("LHR", "VIE", "BIZ", "J", 90000),
]


def test_every_brand_and_itinerary_has_room() -> None:
    """The dearest brand and the least convenient flight stay in, within the limit."""
    out = [
        make_segment("VIE", "LHR", f"2026-11-23 {hour:02}:00", cabins=BUSINESS)
        for hour in range(6, 22)
    ]
    back = [
        make_segment("LHR", "VIE", f"2026-11-25 {hour:02}:00", cabins=BUSINESS)
        for hour in range(6, 22)
    ]
    offers = make_offers([[[s] for s in out], [[s] for s in back]], BRANDS, FARES, most=40)
    flown = {
        segment.flight_id for o in offers for one in o.offer.slices for segment in one.segments
    }
    assert len(offers) == 40
    assert {"LIGHT", "BIZ"} == {stored.offer.brand_code for stored in offers}
    assert {segment.flight_id for segment in out + back} == flown
    totals = [stored.offer.total.minor for stored in offers]
    assert sorted(totals) == totals


def test_no_departure_before_arrival() -> None:
    """On a day return only slices that can be flown one after the other are combined."""
    offers = make_offers([[[s] for s in OUT], [[s] for s in BACK]], BRANDS[:1], FARES, most=250)
    assert offers
    for stored in offers:
        first, second = stored.offer.slices
        assert first.segments[-1].arriving_at <= second.segments[0].departing_at


def option(price: int, index: int) -> Option:
    brand = BRANDS[0]
    trip = Trip(
        purchased_on=OUT[0].flight_date, slices=[("VIE", "LHR", OUT[0].flight_date)], seats=1
    )
    sold = sell_itinerary(Itinerary([OUT[0]]), brand, FareTable(FARES, trip), 0)
    return Option(sold, price, index)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.integers(1, 10))
def test_cheapest_first_of_one_slice(prices: list[int], most: int) -> None:
    """One slice gives its options in order of price."""
    found = combinations([[option(price, at) for at, price in enumerate(prices)]], most)
    assert sorted(prices)[:most] == [one.price_minor for (one,) in found]


@settings(max_examples=50, deadline=None)
@given(*[st.lists(st.integers(0, 1000), min_size=1, max_size=6)] * 2, st.integers(1, 36))
def test_cheapest_sums_first(first: list[int], second: list[int], most: int) -> None:
    """Two slices give the cheapest sums of all pairs, in order."""
    later = Option(_back(), 0, 0)
    found = combinations(
        [
            [option(price, at) for at, price in enumerate(first)],
            [Option(later.branded, price, at) for at, price in enumerate(second)],
        ],
        most,
    )
    expected = sorted(a + b for a, b in product(first, second))[:most]
    assert expected == [sum(one.price_minor for one in pair) for pair in found]


def _back() -> BrandedItinerary | None:
    late = BACK[-1]
    trip = Trip(purchased_on=late.flight_date, slices=[("LHR", "VIE", late.flight_date)], seats=1)
    return sell_itinerary(Itinerary([late]), BRANDS[0], FareTable(FARES, trip), 0)
