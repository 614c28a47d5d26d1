"""Meals on orders, as other plugins see them: through the hook, the events and the job."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel import Invalid, Money
from pss_meals.store import meals_of
from pss_pricing.contracts import Conditions, PriceBreakdown
from pss_reservation.contracts import (
    FulfilledService,
    Order,
    OrderCancelled,
    OrderPassenger,
    OrderSegment,
    OrderSlice,
    ServiceRequest,
    fulfil_service,
)

MENU = [{"code": "VGML", "name": "Vegan meal"}, {"code": "KSML", "name": "Kosher meal"}]
NOTHING = Money.of(0, "EUR")


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(make_tenant: Any) -> Any:
    """Open an airline that serves two dishes."""
    return await make_tenant(
        plugins=["meals"],
        settings={"meals": {"menu": MENU, "closes_hours": 0}},
        currency="EUR",
        time_zone="Europe/Vienna",
    )


def order_departing(departing_at: datetime) -> Order:
    """Make an order of one passenger on one segment, as reservation would show it."""
    segment = OrderSegment(
        id="seg_1",
        flight_id="flt_1",
        flight="Q1101",
        carrier="Q1",
        flight_number="101",
        flight_date=departing_at.date(),
        origin="VIE",
        destination="LHR",
        departing_at=departing_at,
        departing_at_utc=departing_at,
        departing_time_zone="Europe/Vienna",
        arriving_at=departing_at + timedelta(hours=2),
        arriving_at_utc=departing_at + timedelta(hours=2),
        arriving_time_zone="Europe/London",
        aircraft_type="320",
        cabin="economy",
        booking_class="K",
        fare_basis="KFLEX",
    )
    passenger = OrderPassenger(id="pax_1", type="adult", given_name="Ada", family_name="Keller")
    return Order(
        id="ord_1",
        booking_reference="ABC234",
        status="ticketed",
        total=NOTHING,
        payment_required_by=None,
        created_at=departing_at,
        passengers=[passenger],
        slices=[OrderSlice(origin="VIE", destination="LHR", segments=[segment])],
        brand="Flex",
        brand_code="FLEX",
        price_breakdown=PriceBreakdown(base=NOTHING, taxes=NOTHING, total=NOTHING, passengers=[]),
        conditions=Conditions(
            refundable=True,
            cancellation_fee=None,
            changeable=True,
            change_fee=None,
            checked_bags=1,
            seat_selection="free",
        ),
    )


TOMORROW = order_departing(datetime.now(UTC) + timedelta(days=1))


def asking_for(code: str, kind: str = "meal") -> ServiceRequest:
    """Make a passenger's wish."""
    return ServiceRequest(type=kind, passenger_id="pax_1", segment_id="seg_1", code=code)


async def test_meal_is_served(tenant: Any, unit_of_work: Any) -> None:
    """A dish from the menu is fulfilled; a second wish replaces the first."""
    async with unit_of_work(tenant) as uow:
        await uow.call(fulfil_service, order=TOMORROW, request=asking_for("KSML"))
        served = await uow.call(fulfil_service, order=TOMORROW, request=asking_for("vgml"))
        meals = await meals_of(uow, TOMORROW.id)
    assert FulfilledService(detail="VGML") == served
    assert ["VGML"] == [meal.code for meal in meals]


async def test_other_services_are_left_alone(tenant: Any, unit_of_work: Any) -> None:
    """What is no meal is not this plugin's business."""
    async with unit_of_work(tenant) as uow:
        request = asking_for("VGML", kind="pillow")
        assert await uow.call(fulfil_service, order=TOMORROW, request=request) is None


async def test_dish_of_another_airline(tenant: Any, unit_of_work: Any) -> None:
    """What is not on the menu is refused."""
    async with unit_of_work(tenant) as uow:
        with pytest.raises(Invalid):
            await uow.call(fulfil_service, order=TOMORROW, request=asking_for("SFML"))


async def test_menu_is_public(tenant: Any, http: Any) -> None:
    """A guest sees the menu."""
    guest = await http(tenant)
    assert MENU == (await guest.get("/v1/meals")).json()["data"]


async def test_cancelled_order_gets_no_meal(tenant: Any, unit_of_work: Any, deliver: Any) -> None:
    """The meals of a cancelled order are dropped."""
    async with unit_of_work(tenant) as uow:
        await uow.call(fulfil_service, order=TOMORROW, request=asking_for("VGML"))
        cancelled = OrderCancelled(
            order_id=TOMORROW.id, refund_minor=0, penalty_minor=0, currency="EUR"
        )
        uow.emit(cancelled, stream=TOMORROW.id)
    await deliver(tenant)
    async with unit_of_work(tenant) as uow:
        assert [] == await meals_of(uow, TOMORROW.id)


async def test_caterer_gets_the_list(tenant: Any, unit_of_work: Any, run_job: Any) -> None:
    """The nightly job emits one list per flight of the next local day."""
    async with unit_of_work(tenant) as uow:
        await uow.call(fulfil_service, order=TOMORROW, request=asking_for("VGML"))
        tomorrow = "(now() AT TIME ZONE 'Europe/Vienna')::date + 1"
        await uow.hot(f"UPDATE meal SET flight_date = {tomorrow}")
    await run_job(tenant, "meals", "send_catering_lists")
    async with unit_of_work(tenant) as uow:
        (listed,) = await uow.hot(
            "SELECT data ->> 'flight' AS flight, (data -> 'dishes')::text AS dishes"
            " FROM event WHERE event_type = 'meals.catering-listed'"
        )
    assert (listed["flight"], listed["dishes"]) == ("Q1101", '{"VGML": 1}')
