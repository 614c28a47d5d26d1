"""Which taxes a trip bears."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pss_inventory.contracts import Segment
from pss_pricing.contracts import MarketFare
from pss_pricing.domain.exchange import exchange
from pss_pricing.domain.filed import Brand, Tax, TaxFiling
from pss_pricing.testing import make_offers, make_segment

ANY = Brand(code="ANY", name="Any", cabin="economy")


def tax(
    code: str = "GB", country: str = "GB", amount: int = 1300, currency: str = "GBP", **rest: Any
) -> Tax:
    return Tax(
        **{
            "code": code,
            "country": country,
            "description": f"Tax {code}",
            "applies": "departure",
            "per": "journey",
            "amount_minor": amount,
            "currency": currency,
            **rest,
        }
    )


def charged(
    slices: Sequence[list[Segment]], *taxes: Tax, passengers: Sequence[str] = ("adult",)
) -> dict[str, list[tuple[str, str]]]:
    """The tax lines of each passenger type, for one itinerary per slice at a fare of nothing."""
    ends = {(one[a].origin, one[b].destination) for one in slices for a, b in ((0, -1), (0, 0))}
    ends |= {(segment.origin, segment.destination) for one in slices for segment in one}
    fares = [
        MarketFare(
            origin=origin,
            destination=destination,
            brand="ANY",
            booking_class="Y",
            basis="Y",
            one_way_minor=0,
        )
        for origin, destination in ends
    ]
    filing = TaxFiling(currency="EUR", exchange_rates={"GBP": "1.17"}, taxes=list(taxes))
    (stored,) = make_offers([[one] for one in slices], [ANY], fares, passengers, taxes=filing)
    return {
        price.type: [(line.code, line.amount.amount) for line in price.taxes]
        for price in stored.offer.price_breakdown.passengers
    }


LHR_VIE = make_segment("LHR", "VIE", "2026-11-23 07:00")
VIE_ATH = make_segment("VIE", "ATH", "2026-11-23 11:30")
VIE_LHR = make_segment("VIE", "LHR", "2026-11-23 18:00")
MAN_LHR = make_segment("MAN", "LHR", "2026-11-23 07:00", 60)
LHR_JFK = make_segment("LHR", "JFK", "2026-11-23 11:00", 480)
AT = tax("QD", "AT", 1200, "EUR")


def test_departure_converted() -> None:
    """A departure tax is charged in the selling currency, exact to the cent."""
    assert charged([[LHR_VIE]], tax()) == {"adult": [("GB", "15.21")]}
    assert charged([[VIE_ATH]], tax()) == {"adult": []}


def test_not_in_transit() -> None:
    """Whoever changes planes within 24 hours does not depart from there in the tax's sense."""
    assert charged([[LHR_VIE, VIE_ATH]], tax(), AT) == {"adult": [("GB", "15.21")]}


def test_per_segment() -> None:
    """A charge per segment is due in transit too."""
    per_segment = tax("ZY", "AT", 800, "EUR", per="segment")
    assert charged([[LHR_VIE, VIE_ATH]], per_segment) == {"adult": [("ZY", "8.00")]}


def test_stopover_over_24_hours() -> None:
    """Two slices more than 24 hours apart are two journeys."""
    later = make_segment("VIE", "ATH", "2026-11-24 11:00")
    assert charged([[LHR_VIE], [later]], tax(), AT) == {"adult": [("GB", "15.21"), ("QD", "12.00")]}


def test_going_on_in_another_slice() -> None:
    """Two slices joined within 24 hours are one journey."""
    assert charged([[LHR_VIE], [VIE_ATH]], tax(), AT) == {"adult": [("GB", "15.21")]}


def test_day_return() -> None:
    """The way back on the same day is a departure, not transit."""
    assert charged([[LHR_VIE], [VIE_LHR]], tax(), AT) == {
        "adult": [("GB", "15.21"), ("QD", "12.00")]
    }


def test_international_by_the_journeys_end() -> None:
    """A domestic flight that connects abroad is charged once, at the international rate."""
    domestic = tax("GB", amount=700, scope="domestic")
    international = tax("GB", amount=9400, scope="international")
    assert charged([[MAN_LHR, LHR_JFK]], domestic, international) == {"adult": [("GB", "109.98")]}
    assert charged([[MAN_LHR]], domestic, international) == {"adult": [("GB", "8.19")]}


def test_arrival() -> None:
    """An arrival tax is due where the journey ends, whatever it passed through."""
    arrival = tax("US", "US", 500, "EUR", applies="arrival")
    vienna = tax("VA", "AT", 500, "EUR", applies="arrival")
    onward = make_segment("VIE", "JFK", "2026-11-23 11:30", 600)
    assert charged([[LHR_VIE, onward]], arrival, vienna) == {"adult": [("US", "5.00")]}


@pytest.mark.parametrize(
    ("restriction", "expected"),
    [
        ({"airports": ["LHR"]}, 1),
        ({"airports": ["MAN"]}, 0),
        ({"cabins": ["economy"]}, 1),
        ({"cabins": ["business"]}, 0),
        ({"destination_countries": ["AT"]}, 1),
        ({"destination_countries": ["GR"]}, 0),
        ({"destination_not_in": ["AT"]}, 0),
        ({"valid_from": date(2026, 11, 23), "valid_until": date(2026, 11, 23)}, 1),
        ({"valid_from": date(2026, 11, 24)}, 0),
        ({"valid_until": date(2026, 11, 22)}, 0),
    ],
)
def test_restrictions(restriction: dict[str, Any], expected: int) -> None:
    """Airports, cabins, the other end's country and dates restrict a tax."""
    assert expected == len(charged([[LHR_VIE]], tax(**restriction))["adult"])


def test_exempt_by_age() -> None:
    """Exempt passenger types pay nothing; the others do."""
    lines = charged(
        [[LHR_VIE]], tax(exempt=["child", "infant"]), passengers=("adult", "child", "infant")
    )
    assert lines == {"adult": [("GB", "15.21")], "child": [], "infant": []}


def test_one_line_per_tax() -> None:
    """What is charged on both slices stands on one line."""
    there = make_segment("VIE", "LHR", "2026-11-20 18:00")
    anywhere = tax("ZY", "AT", 800, "EUR", per="segment")
    lines = charged([[there], [LHR_VIE]], anywhere, tax("ZY", "AT", 800, "EUR", applies="arrival"))
    assert lines == {"adult": [("ZY", "16.00")]}


@pytest.mark.parametrize(
    ("minor", "source", "target", "rate", "expected"),
    [
        (1300, "GBP", "EUR", "1.17", 1521),
        (1000, "JPY", "EUR", "0.0061", 610),
        (100, "EUR", "JPY", "163.5", 164),
        (1, "EUR", "KWD", "0.335", 3),
        (1, "KWD", "JPY", "499.9", 0),
        (1, "KWD", "JPY", "500", 1),
        (12345, "EUR", "EUR", "9", 12345),
        (2**62, "EUR", "JPY", "100", 2**62),
    ],
)
def test_exchange_rounds_once(
    minor: int, source: str, target: str, rate: str, expected: int
) -> None:
    """Half up, to the target currency's own 0, 2 or 3 decimals."""
    assert expected == exchange(minor, source, target, Decimal(rate))
