"""Which fare sells an itinerary."""

from datetime import date
from typing import Any

import pytest

from pss_pricing.contracts import MarketFare, StoredOffer
from pss_pricing.domain.filed import Brand
from pss_pricing.testing import ECONOMY, make_offers, make_segment

LIGHT = Brand(code="LIGHT", name="Light", cabin="economy")
FLEX = Brand(code="FLEX", name="Flex", cabin="economy", refundable=True, change_fee_minor=0)
PREMIUM = Brand(code="PREM", name="Premium", cabin="premium_economy")
OUT = make_segment("VIE", "LHR", "2026-11-23 07:10")
BACK = make_segment("LHR", "VIE", "2026-11-26 18:00")


def fare(
    market: str = "VIE-LHR",
    booking_class: str = "K",
    one_way: int | None = 5900,
    brand: str = "LIGHT",
    **rest: Any,
) -> MarketFare:
    origin, destination = market.split("-")
    return MarketFare(
        origin=origin,
        destination=destination,
        brand=brand,
        booking_class=booking_class,
        basis=booking_class + "OW",
        one_way_minor=one_way,
        **rest,
    )


def totals(offers: list[StoredOffer]) -> list[str]:
    return [stored.offer.total.amount for stored in offers]


def test_lowest_available_class() -> None:
    """A brand sells its cheapest fare whose class has seats for everybody."""
    fares = [fare(), fare(booking_class="L", one_way=3900)]
    two = make_offers([[[OUT]]], [LIGHT], fares, ["adult"] * 2)
    five = make_offers([[[OUT]]], [LIGHT], fares, ["adult"] * 5)
    assert totals(two) == ["78.00"]
    assert totals(five) == ["295.00"]
    assert five[0].offer.slices[0].segments[0].booking_class == "K"


def test_no_seats_no_offer() -> None:
    """A brand whose classes are all too full is not offered."""
    assert (
        make_offers([[[OUT]]], [LIGHT], [fare(booking_class="L", one_way=3900)], ["adult"] * 5)
        == []
    )


def test_infants_need_no_seat() -> None:
    """An infant on a lap does not count against the seats left."""
    fares = [fare(booking_class="L", one_way=4000)]
    offers = make_offers([[[OUT]]], [LIGHT], fares, ["adult"] * 4 + ["infant"] * 4)
    assert totals(offers) == ["176.00"]


def test_every_brand_sorted() -> None:
    """Each brand is offered, lowest total first."""
    fares = [fare(booking_class="Y", one_way=19900, brand="FLEX"), fare()]
    offers = make_offers([[[OUT]]], [FLEX, LIGHT], fares)
    assert [stored.offer.brand for stored in offers] == ["Light", "Flex"]
    flex = offers[1].offer.conditions
    assert (
        flex.refundable,
        flex.cancellation_fee.amount,
        flex.changeable,
        flex.change_fee.amount,
    ) == (True, "0.00", True, "0.00")


@pytest.mark.parametrize(
    ("purchased_on", "expected"), [(date(2026, 11, 9), "59.00"), (date(2026, 11, 10), "99.00")]
)
def test_advance_purchase(purchased_on: date, expected: str) -> None:
    """Fourteen days before departure is early enough, thirteen is not."""
    fares = [fare(advance_purchase_days=14), fare(booking_class="Y", one_way=9900)]
    assert [expected] == totals(make_offers([[[OUT]]], [LIGHT], fares, purchased_on=purchased_on))


def test_round_trip_amounts() -> None:
    """A round trip pays the round-trip amount in each direction, a single journey does not."""
    fares = [fare(market, one_way=5900, round_trip_minor=4900) for market in ("VIE-LHR", "LHR-VIE")]
    assert totals(make_offers([[[OUT]], [[BACK]]], [LIGHT], fares)) == ["98.00"]
    assert totals(make_offers([[[OUT]]], [LIGHT], fares)) == ["59.00"]


@pytest.mark.parametrize(("nights", "expected"), [(3, ["80.00"]), (4, ["118.00"])])
def test_minimum_stay(nights: int, expected: list[str]) -> None:
    """A fare with a minimum stay needs that many nights from departure to departure."""
    fares = [
        one
        for market in ("VIE-LHR", "LHR-VIE")
        for one in (
            fare(market),
            fare(market, one_way=None, round_trip_minor=4000, minimum_stay_nights=nights),
        )
    ]
    assert expected == totals(make_offers([[[OUT]], [[BACK]]], [LIGHT], fares))


def test_validity_dates() -> None:
    """A fare is sold for departures from its first to its last day, both included."""
    season = {"valid_from": date(2026, 11, 23), "valid_until": date(2026, 11, 23)}
    later = make_segment("VIE", "LHR", "2026-11-24 07:10")
    assert totals(make_offers([[[OUT]]], [LIGHT], [fare(**season)])) == ["59.00"]
    assert make_offers([[[later]]], [LIGHT], [fare(**season)]) == []


CONNECTION = [
    make_segment("LHR", "VIE", "2026-11-23 07:00"),
    make_segment("VIE", "ATH", "2026-11-23 11:30"),
]
SECTORS = [fare("LHR-VIE"), fare("VIE-ATH", booking_class="Y", one_way=8000)]


def test_through_fare_first() -> None:
    """A connection is sold at the through fare even where the sectors would cost less."""
    offers = make_offers([[CONNECTION]], [LIGHT], [*SECTORS, fare("LHR-ATH", one_way=20000)])
    assert totals(offers) == ["200.00"]
    assert [len(sold.segment_ids) for sold in offers[0].fares] == [2]


def test_sector_sum() -> None:
    """Without a through fare each flight has its own, with its own class."""
    offers = make_offers([[CONNECTION]], [LIGHT], SECTORS)
    assert totals(offers) == ["139.00"]
    assert [(one.booking_class, one.fare_basis) for one in offers[0].offer.slices[0].segments] == [
        ("K", "KOW"),
        ("Y", "YOW"),
    ]
    assert [sold.base_minor for sold in offers[0].fares] == [5900, 8000]


def test_through_fare_needs_seats_on_every_flight() -> None:
    """A through fare's class must be open on all of its flights."""
    full = make_segment("VIE", "ATH", "2026-11-23 11:30", cabins={"economy": {"Y": 9, "K": 0}})
    offers = make_offers(
        [[[CONNECTION[0], full]]], [LIGHT], [*SECTORS, fare("LHR-ATH", one_way=9000)]
    )
    assert totals(offers) == ["139.00"]


def test_elsewhere_cabin() -> None:
    """A through fare may book another cabin on aircraft that lack its own, not on all of them."""
    brand = Brand(
        code="PREM",
        name="Premium",
        cabin="premium_economy",
        elsewhere_cabin="economy",
        elsewhere_class="Y",
    )
    wide = make_segment(
        "VIE", "JFK", "2026-11-23 11:30", 600, {"premium_economy": {"W": 5}, **ECONOMY}
    )
    fares = [
        fare("LHR-JFK", booking_class="W", one_way=90000, brand="PREM"),
        fare("LHR-ATH", booking_class="W", one_way=90000, brand="PREM"),
    ]
    offers = make_offers([[[CONNECTION[0], wide]]], [brand], fares)
    assert [(one.cabin, one.booking_class) for one in offers[0].offer.slices[0].segments] == [
        ("economy", "Y"),
        ("premium_economy", "W"),
    ]
    assert make_offers([[CONNECTION]], [brand], fares) == []
