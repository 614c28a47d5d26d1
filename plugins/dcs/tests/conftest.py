"""A day of travel: two connecting flights with a seat map; the other plugins are played."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from msgspec.structs import replace
from sqlalchemy import delete

from pss_dcs import availability, check_in, hooks, journey, matching, offload, passes, routes, store
from pss_dcs.models import metadata
from pss_dcs.requests import CheckInRequest
from pss_dcs.seat_map import CabinLayout, SeatMap
from pss_inventory.contracts import Airport, Flight, Leg
from pss_kernel import Actor, Money, NotFound, Tenant, UnitOfWork
from pss_kernel.testing import TestKit
from pss_pricing.contracts import Conditions, PriceBreakdown
from pss_reservation.contracts import Order, OrderPassenger, OrderSegment, OrderSlice
from pss_ticketing.contracts import CouponRef, CouponUsed

ZONES = {"LHR": "Europe/London", "VIE": "Europe/Vienna", "ATH": "Europe/Athens"}
CITIES = {"LHR": "London", "VIE": "Vienna", "ATH": "Athens"}
SEAT_MAP = SeatMap(
    aircraft_type="320",
    cabin=[
        CabinLayout(cabin="business", rows=(1, 2), columns="AC DF"),
        CabinLayout(cabin="economy", rows=(3, 8), columns="ABC DEF", exit_rows=[5], blocked=["8F"]),
    ],
)
GUEST = Actor("guest")


def leg(leg_id: int, origin: str, destination: str, departing_at: datetime) -> Leg:
    """Make a leg of two hours."""
    arriving_at = departing_at + timedelta(hours=2)
    return Leg(
        leg_id=leg_id,
        sequence=1,
        origin=origin,
        destination=destination,
        departing_at=departing_at.astimezone(ZoneInfo(ZONES[origin])),
        departing_at_utc=departing_at,
        departing_time_zone=ZONES[origin],
        arriving_at=arriving_at.astimezone(ZoneInfo(ZONES[destination])),
        arriving_at_utc=arriving_at,
        arriving_time_zone=ZONES[destination],
        aircraft_type="320",
        cabins={"business": 8, "economy": 36},
    )


def flight(number: str, *legs: Leg) -> Flight:
    """Make a dated flight of these legs."""
    return Flight(
        id=f"flt_{number}",
        flight=f"Q1{number}",
        carrier="Q1",
        flight_number=number,
        flight_date=legs[0].departing_at.date(),
        status="scheduled",
        legs=list(legs),
    )


@dataclass
class Airline:
    """A tenant and what the other plugins know: orders, flights, coupons."""

    tenant: Tenant
    unit_of_work: Callable[..., Any]
    flights: dict[str, Flight] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    coupons: dict[tuple[str, str], str] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def fly(self, departing_in: timedelta) -> None:
        """Let LHR-VIE depart so much later than now, and VIE-ATH four hours after it."""
        start = datetime.now(UTC).replace(microsecond=0) + departing_in
        first = flight("102", leg(1, "LHR", "VIE", start))
        second = flight("871", leg(2, "VIE", "ATH", start + timedelta(hours=4)))
        self.flights = {first.id: first, second.id: second}

    def order(self, *types: str, status: str = "ticketed", seat_selection: Any = "free") -> Order:
        """Make a ticketed order from LHR to ATH for these passengers."""
        number = next(self.numbers)
        adult = f"pax_{number}_0"
        made = Order(
            id=f"ord_{number}",
            booking_reference=f"ABC{number:03d}",
            status=status,
            total=Money.of(20000, "EUR"),
            payment_required_by=None,
            created_at=datetime.now(UTC),
            passengers=[
                OrderPassenger(
                    id=f"pax_{number}_{index}",
                    type=kind,
                    given_name=("Jörg", "Ida", "Max", "Eva", "Leo")[index],
                    family_name="Müller",
                    infant_of=adult if kind == "infant" else None,
                )
                for index, kind in enumerate(types)
            ],
            slices=[
                OrderSlice(
                    origin="LHR",
                    destination="ATH",
                    segments=[self._segment(number, one) for one in self.flights.values()],
                )
            ],
            brand="Light",
            brand_code="LIGHT",
            price_breakdown=PriceBreakdown(
                base=Money.of(20000, "EUR"),
                taxes=Money.of(0, "EUR"),
                total=Money.of(20000, "EUR"),
                passengers=[],
            ),
            conditions=Conditions(
                refundable=False,
                cancellation_fee=None,
                changeable=False,
                change_fee=None,
                checked_bags=1,
                seat_selection=seat_selection,
            ),
        )
        self.orders[made.id] = made
        self.coupons |= {
            (passenger.id, segment.id): "open"
            for passenger in made.passengers
            for segment in made.segments()
        }
        return made

    def _segment(self, number: int, one: Flight) -> OrderSegment:
        (only,) = one.legs
        return OrderSegment(
            id=f"seg_{number}_{one.flight_number}",
            flight_id=one.id,
            flight=one.flight,
            carrier=one.carrier,
            flight_number=one.flight_number,
            flight_date=one.flight_date,
            origin=only.origin,
            destination=only.destination,
            departing_at=only.departing_at,
            departing_at_utc=only.departing_at_utc,
            departing_time_zone=only.departing_time_zone,
            arriving_at=only.arriving_at,
            arriving_at_utc=only.arriving_at_utc,
            arriving_time_zone=only.arriving_time_zone,
            aircraft_type="320",
            cabin="economy",
            booking_class="K",
            fare_basis="KLIGHT",
        )

    async def check_in(self, order: Order, **request: Any) -> list[Any]:
        """Check in as a guest would; the boarding passes."""
        body = CheckInRequest(
            booking_reference=order.booking_reference, family_name="Müller", **request
        )
        async with self.unit_of_work(self.tenant, GUEST) as uow:
            return (await check_in.check_in(uow, body)).boarding_passes

    async def order_by_reference(
        self, _uow: UnitOfWork, booking_reference: str, _family_name: str
    ) -> Order:
        for one in self.orders.values():
            if one.booking_reference == booking_reference:
                return one
        raise NotFound

    async def order_by_id(self, _uow: UnitOfWork, order_id: str) -> Order:
        if order_id not in self.orders:
            raise NotFound
        return self.orders[order_id]

    async def keep_ticketed(self, uow: UnitOfWork, order_id: str) -> None:
        await self.order_by_id(uow, order_id)

    async def flight_by_id(self, _uow: UnitOfWork, flight_id: str) -> Flight:
        if flight_id not in self.flights:
            raise NotFound
        return self.flights[flight_id]

    async def airport(self, _uow: UnitOfWork, code: str) -> Airport:
        return Airport(code, f"{CITIES[code]} Airport", CITIES[code], "XX", ZONES[code])

    async def coupon_of(self, _uow: UnitOfWork, passenger_id: str, segment_id: str) -> CouponRef:
        status = self.coupons.get((passenger_id, segment_id))
        if status is None:
            raise NotFound
        number = f"991{passenger_id.replace('pax', '').replace('_', ''):0>10}"
        coupon = 1 if segment_id.endswith("102") else 2
        return CouponRef(ticket_number=number, coupon_number=coupon, status=status)

    async def move_coupon(
        self, uow: UnitOfWork, ticket_number: str, coupon_number: int, before: str, after: str
    ) -> None:
        for place, status in self.coupons.items():
            found = await self.coupon_of(uow, *place)
            if (found.ticket_number, found.coupon_number) == (ticket_number, coupon_number):
                if status != before:
                    raise CouponUsed
                self.coupons[place] = after
                return
        raise NotFound

    async def passengers_on_segment(
        self, _uow: UnitOfWork, flight_id: str, origin: str | None = None
    ) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                booking_reference=order.booking_reference, family_name=passenger.family_name
            )
            for order in self.orders.values()
            for segment in order.segments()
            for passenger in order.passengers
            if (segment.flight_id, segment.origin) == (flight_id, origin)
        ]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tenant_of_this_run(installation: Any) -> Tenant:
    """Make the tenant once; every test begins by emptying its tables."""
    return await TestKit(installation).make_tenant(
        plugins=["dcs"], settings={"dcs": {"accounting_code": "991"}}
    )


@pytest_asyncio.fixture(loop_scope="session")
async def airline(
    tenant_of_this_run: Tenant, unit_of_work: Any, monkeypatch: pytest.MonkeyPatch
) -> Airline:
    """Open an airline whose flights depart in five and in nine hours."""
    opened = Airline(tenant_of_this_run, unit_of_work)
    opened.fly(timedelta(hours=5))
    async with unit_of_work(tenant_of_this_run) as uow:
        for table in reversed(metadata.sorted_tables):
            await uow.execute(delete(table))
        await store.replace_seat_maps(uow, [SEAT_MAP])
    for module in (availability, check_in, hooks, journey, matching, offload, passes, routes):
        for name in (
            "order_by_reference",
            "order_by_id",
            "keep_ticketed",
            "flight_by_id",
            "airport",
            "coupon_of",
            "move_coupon",
            "passengers_on_segment",
        ):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(opened, name))
    return opened


@pytest.fixture
def with_settings(airline: Airline, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change settings of the airline for one test."""

    def change(**values: Any) -> None:
        before = UnitOfWork.settings

        def settings(uow: UnitOfWork, kind: Any) -> Any:
            return replace(before(uow, kind), **values)

        monkeypatch.setattr(UnitOfWork, "settings", settings)

    return change


@pytest.fixture
def today() -> date:
    """Give a day to resolve years by."""
    return datetime.now(UTC).date()
