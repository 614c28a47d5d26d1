"""An airline with one flight on sale, and offers for it that were never priced."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from msgspec import Struct, field

from pss_kernel import Money, Tenant, UnitOfWork, new_id
from pss_pricing.contracts import (
    Conditions,
    Offer,
    OfferSegment,
    OfferSlice,
    PassengerPrice,
    PassengerSpec,
    PriceBreakdown,
    SoldFare,
    StoredOffer,
)
from pss_reservation import booking
from pss_reservation.order import Order

VIENNA, LONDON = ZoneInfo("Europe/Vienna"), ZoneInfo("Europe/London")


class Airline(Struct):
    """A tenant, its flight, and a way into its transactions."""

    tenant: Tenant
    unit_of_work: Callable[..., Any]
    departing_at: datetime
    flight_id: str = field(default_factory=lambda: new_id("flt"))
    leg_id: int = 0

    async def put_on_sale(self, seats: int) -> None:
        """Insert the flight with so many seats in class K of its economy cabin."""
        async with self.unit_of_work(self.tenant) as uow:
            await uow.hot(
                "INSERT INTO flight (id, carrier, flight_number, flight_date, schedule_digest)"
                " VALUES ($1, 'Q1', '101', $2, '')",
                self.flight_id,
                self.departing_at.date(),
            )
            rows = await uow.hot(
                "INSERT INTO leg (flight_id, sequence, origin, destination, departing_at,"
                " arriving_at, aircraft_type) VALUES ($1, 1, 'VIE', 'LHR', $2, $3, '320')"
                " RETURNING id",
                self.flight_id,
                self.departing_at,
                self.departing_at + timedelta(hours=2),
            )
            self.leg_id = rows[0]["id"]
            await uow.hot(
                "INSERT INTO leg_cabin (leg_id, cabin, capacity, classes, authorised, held, sold)"
                " VALUES ($1, 'economy', $2, '{K}', ARRAY[$2::integer], '{0}', '{0}')",
                self.leg_id,
                seats,
            )

    async def seats(self) -> tuple[int, int]:
        """Count the seats that are held and sold."""
        async with self.unit_of_work(self.tenant) as uow:
            (row,) = await uow.hot("SELECT held[1] AS held, sold[1] AS sold FROM leg_cabin")
            return row["held"], row["sold"]

    def offer(self, *types: str) -> StoredOffer:
        """Make a refundable offer of 100 EUR, 40 of it to be kept when it is cancelled."""
        segment = self._segment()
        each, zero = Money.of(10000, "EUR"), Money.of(0, "EUR")
        prices = [PassengerPrice(type=t, count=1, base=each, taxes=[], total=each) for t in types]
        total = Money.of(10000 * len(types), "EUR")
        return StoredOffer(
            offer=Offer(
                id=new_id("off"),
                total=total,
                expires_at=self.departing_at,
                brand="Flex",
                brand_code="FLEX",
                passengers=[PassengerSpec(kind) for kind in types],
                slices=[OfferSlice(origin="VIE", destination="LHR", segments=[segment])],
                conditions=Conditions(
                    refundable=True,
                    cancellation_fee=Money.of(4000, "EUR"),
                    changeable=False,
                    change_fee=None,
                    checked_bags=1,
                    seat_selection="free",
                ),
                price_breakdown=PriceBreakdown(
                    base=total, taxes=zero, total=total, passengers=prices
                ),
            ),
            leg_ids={segment.id: [self.leg_id]},
            fares=[_fare(kind, segment.id) for kind in dict.fromkeys(types)],
        )

    def _segment(self) -> OfferSegment:
        arriving_at = self.departing_at + timedelta(hours=2)
        return OfferSegment(
            id="seg_of_the_offer",
            flight_id=self.flight_id,
            flight="Q1101",
            carrier="Q1",
            flight_number="101",
            flight_date=self.departing_at.date(),
            origin="VIE",
            destination="LHR",
            departing_at=self.departing_at.astimezone(VIENNA),
            departing_at_utc=self.departing_at,
            departing_time_zone="Europe/Vienna",
            departure_terminal="3",
            arriving_at=arriving_at.astimezone(LONDON),
            arriving_at_utc=arriving_at,
            arriving_time_zone="Europe/London",
            arrival_terminal=None,
            aircraft_type="320",
            cabin="economy",
            booking_class="K",
            fare_basis="KFLEX",
        )


def _fare(kind: str, segment_id: str) -> SoldFare:
    return SoldFare(
        passenger_type=kind,
        slice_index=0,
        segment_ids=[segment_id],
        fare_basis="KFLEX",
        currency="EUR",
        base_minor=10000,
        taxes=[],
        refundable=True,
        cancellation_fee_minor=4000,
        changeable=False,
        change_fee_minor=0,
    )


PEOPLE = {
    "adult": {"type": "adult", "given_name": "Jörg", "family_name": "Müller-Böhm"},
    "child": {"type": "child", "given_name": "Ida", "family_name": "Keller"},
    "infant": {"type": "infant", "given_name": "Max", "family_name": "Keller"},
}


@pytest_asyncio.fixture(loop_scope="session")
async def airline(make_tenant: Any, unit_of_work: Any) -> Airline:
    """Open an airline with a flight of two seats that departs in ten days."""
    tenant = await make_tenant(plugins=["reservation"], currency="EUR", time_zone="Europe/Vienna")
    departing_at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10)
    opened = Airline(tenant, unit_of_work, departing_at)
    await opened.put_on_sale(2)
    return opened


@pytest.fixture
def accept(monkeypatch: pytest.MonkeyPatch) -> Callable[[StoredOffer], dict[str, Any]]:
    """Let the next order find this offer; gives the body that accepts it."""

    def accept(stored: StoredOffer) -> dict[str, Any]:
        async def offer_to_order(_uow: UnitOfWork, _offer_id: str) -> StoredOffer:
            return stored

        monkeypatch.setattr(booking, "offer_to_order", offer_to_order)
        people = [PEOPLE[passenger.type] for passenger in stored.offer.passengers]
        return {"offer_id": stored.offer.id, "passengers": people}

    return accept


@pytest_asyncio.fixture(loop_scope="session")
async def order(airline: Airline, accept: Any) -> Order:
    """Make an order of one adult, held for twenty minutes."""
    body = accept(airline.offer("adult"))
    async with airline.unit_of_work(airline.tenant) as uow:
        new = booking.NewOrder(
            offer_id=body["offer_id"], passengers=[booking.NewPassenger(**PEOPLE["adult"])]
        )
        return await booking.book(uow, new)


async def end_hold(airline: Airline, order_id: str, milliseconds: int = 0) -> None:
    """Let the order's hold end so much later than now."""
    async with airline.unit_of_work(airline.tenant) as uow:
        await uow.hot(
            "UPDATE orders SET payment_required_by ="
            " clock_timestamp() + make_interval(secs => $2 / 1000.0) WHERE id = $1",
            order_id,
            milliseconds,
        )


@pytest.fixture
def hold_ends() -> Any:
    """Give `end_hold`, which takes the airline, the order's id and milliseconds."""
    return end_hold
