"""Whatever is filed, the parts of a price add up."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pss_pricing.contracts import MarketFare, StoredOffer
from pss_pricing.domain.filed import PASSENGER_TYPES, Brand, Discounts, Tax, TaxFiling
from pss_pricing.domain.refund import quote_refund
from pss_pricing.testing import make_offers, make_segment

SLICES = [
    [
        make_segment("LHR", "VIE", "2026-11-23 07:00"),
        make_segment("VIE", "ATH", "2026-11-23 11:30"),
    ],
    [
        make_segment("ATH", "VIE", "2026-11-30 07:00"),
        make_segment("VIE", "LHR", "2026-11-30 11:30"),
    ],
]
MARKETS = [("LHR", "ATH"), ("ATH", "LHR"), *((s.origin, s.destination) for x in SLICES for s in x)]
CURRENCIES = st.sampled_from(["EUR", "JPY", "KWD"])
AMOUNTS = st.integers(0, 10**9)
PARTIES = st.tuples(st.integers(1, 5), st.integers(0, 3), st.integers(0, 5)).map(
    lambda counts: [
        kind
        for kind, count in zip(
            PASSENGER_TYPES, (counts[0], counts[1], min(counts[2], counts[0])), strict=True
        )
        for _ in range(count)
    ]
)


@st.composite
def fares(draw: st.DrawFn) -> list[MarketFare]:
    """Through and sector fares of one brand, as an airline might file them."""
    return [
        MarketFare(
            origin=origin,
            destination=destination,
            brand="ANY",
            booking_class="Y",
            basis="YOW",
            one_way_minor=draw(AMOUNTS),
            round_trip_minor=draw(st.none() | AMOUNTS),
        )
        for origin, destination in MARKETS[draw(st.integers(0, 2)) :]
    ]


@st.composite
def taxes(draw: st.DrawFn, currency: str) -> TaxFiling:
    """Any taxes of the countries on the way."""
    filed = [
        Tax(
            code=draw(st.sampled_from(["AA", "BB"])),
            country=draw(st.sampled_from(["GB", "AT", "GR"])),
            description="A tax",
            applies=draw(st.sampled_from(["departure", "arrival"])),
            per=draw(st.sampled_from(["segment", "journey"])),
            scope=draw(st.sampled_from(["international", "domestic", "any"])),
            amount_minor=draw(AMOUNTS),
            currency=draw(st.sampled_from(["USD", currency])),
            exempt=draw(st.lists(st.sampled_from(PASSENGER_TYPES), max_size=2)),
        )
        for _ in range(draw(st.integers(0, 6)))
    ]
    rate = draw(st.decimals("0.000001", "1000", places=6, allow_nan=False))
    return TaxFiling(currency=currency, exchange_rates={"USD": str(rate)}, taxes=filed)


@st.composite
def offers(draw: st.DrawFn) -> list[StoredOffer]:
    """Offers for any party at any filing."""
    currency = draw(CURRENCIES)
    brand = Brand(
        code="ANY",
        name="Any",
        cabin="economy",
        refundable=draw(st.booleans()),
        cancel_fee_minor=draw(AMOUNTS),
    )
    return make_offers(
        [[one] for one in SLICES],
        [brand],
        draw(fares()),
        draw(PARTIES),
        taxes=draw(taxes(currency)),
        discounts=Discounts(child=draw(st.integers(0, 100)), infant=draw(st.integers(0, 100))),
        currency=currency,
    )


@settings(max_examples=60, deadline=None)
@given(offers())
def test_totals_are_the_sums_of_their_parts(found: list[StoredOffer]) -> None:
    """Offer, breakdown, passenger prices, tax lines and sold fares are the same money."""
    for stored in found:
        breakdown = stored.offer.price_breakdown
        assert breakdown.total == stored.offer.total
        assert breakdown.total.minor == breakdown.base.minor + breakdown.taxes.minor
        assert breakdown.base.minor == sum(p.count * p.base.minor for p in breakdown.passengers)
        assert breakdown.total.minor == sum(p.count * p.total.minor for p in breakdown.passengers)
        for price in breakdown.passengers:
            sold = [fare for fare in stored.fares if fare.passenger_type == price.type]
            lines = sum(line.amount.minor for line in price.taxes)
            assert price.total.minor == price.base.minor + lines
            assert price.base.minor == sum(fare.base_minor for fare in sold)
            assert lines == sum(line.amount.minor for fare in sold for line in fare.taxes)


@settings(max_examples=60, deadline=None)
@given(offers())
def test_nothing_is_negative_and_nobody_pays_more_than_an_adult(found: list[StoredOffer]) -> None:
    """No amount is below nothing, and no discounted fare above the adult's."""
    for stored in found:
        prices = stored.offer.price_breakdown.passengers
        adult = next(price for price in prices if price.type == "adult")
        for price in prices:
            assert 0 <= price.base.minor <= adult.base.minor
            assert all(line.amount.minor > 0 for line in price.taxes)


@settings(max_examples=60, deadline=None)
@given(offers(), st.booleans(), st.data())
def test_refund_and_penalty_are_what_was_paid(
    found: list[StoredOffer], used: bool, data: st.DataObject
) -> None:
    """For any of the passengers, refund and penalty together are their whole price."""
    for stored in found:
        types = [passenger.type for passenger in stored.offer.passengers]
        chosen = types[: data.draw(st.integers(0, len(types)))]
        quote = quote_refund(stored, seats_used=used, passenger_types=chosen)
        price = {p.type: p.total.minor for p in stored.offer.price_breakdown.passengers}
        assert sum(price[kind] for kind in chosen) == quote.refund.minor + quote.penalty.minor
        assert 0 <= quote.taxes.minor <= quote.refund.minor
        assert quote.penalty.minor >= 0
