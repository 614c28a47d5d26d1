"""What a cancellation gives back."""

from typing import Any

import pytest

from pss_kernel import Invalid
from pss_pricing.contracts import MarketFare, StoredOffer
from pss_pricing.domain.filed import Brand, Tax, TaxFiling
from pss_pricing.domain.refund import quote_refund
from pss_pricing.testing import make_offers, make_segment

TAXES = TaxFiling(
    currency="EUR",
    taxes=[
        Tax(
            code="QD",
            country="AT",
            description="Departure",
            applies="departure",
            per="journey",
            amount_minor=1000,
            currency="EUR",
        )
    ],
)


def stored(fare_minor: int = 10000, **brand: Any) -> StoredOffer:
    fare = MarketFare(
        origin="VIE",
        destination="LHR",
        brand="ANY",
        booking_class="Y",
        basis="Y",
        one_way_minor=fare_minor,
    )
    return make_offers(
        [[[make_segment("VIE", "LHR", "2026-11-23 07:10")]]],
        [Brand(code="ANY", name="Any", cabin="economy", **brand)],
        [fare],
        ["adult", "adult", "child", "infant"],
        taxes=TAXES,
    )[0]


def quoted(offer: StoredOffer, *types: str, used: bool = False) -> tuple[str, str, str]:
    quote = quote_refund(offer, seats_used=used, passenger_types=types)
    return quote.refund.amount, quote.penalty.amount, quote.taxes.amount


def test_refundable() -> None:
    """The fee is kept once for each passenger with a seat; taxes come back whole."""
    offer = stored(refundable=True, cancel_fee_minor=6000)
    assert quoted(offer, "adult") == ("50.00", "60.00", "10.00")
    assert quoted(offer, "child") == ("25.00", "60.00", "10.00")
    assert quoted(offer, "infant") == ("20.00", "0.00", "10.00")
    assert quoted(offer, "adult", "adult", "child", "infant") == ("145.00", "180.00", "40.00")


def test_fee_above_fare() -> None:
    """A fee never eats the taxes."""
    offer = stored(fare_minor=4000, refundable=True, cancel_fee_minor=6000)
    assert quoted(offer, "adult") == ("10.00", "40.00", "10.00")


def test_not_refundable() -> None:
    """Taxes alone come back."""
    assert quoted(stored(), "adult") == ("10.00", "100.00", "10.00")


def test_after_travel_began() -> None:
    """Nothing comes back once a flight was used."""
    offer = stored(refundable=True)
    assert quoted(offer, "adult", used=True) == ("0.00", "110.00", "0.00")


def test_strangers() -> None:
    """Passengers the offer does not have are named."""
    with pytest.raises(Invalid) as refusal:
        quoted(stored(), "child", "child", "senior")
    assert [error.pointer for error in refusal.value.errors] == [
        "/passenger_types/1",
        "/passenger_types/2",
    ]
