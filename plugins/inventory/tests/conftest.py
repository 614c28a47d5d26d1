"""An airline with a small schedule in the days to come."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from pss_inventory.schedule import LoadReport, load_schedule
from pss_inventory.ssim import Carrier, CarrierSchedule, FlightLeg, ScheduleFile, write

CABINS = {
    "business": {"designator": "C", "classes": ["J", "C"], "authorised": [100, 50]},
    "economy": {"designator": "Y", "classes": ["Y", "M", "K"], "authorised": [100, 60, 30]},
}


def flight_leg(
    number: int, origin: str, departure: str, destination: str, arrival: str, **changes: Any
) -> FlightLeg:
    """Make a daily leg; `departure` and `arrival` are local times like "0700"."""
    fields: dict[str, Any] = {
        "carrier": "Q1",
        "flight_number": number,
        "operates_from": date(2026, 1, 1),
        "operates_until": None,
        "days": (1, 2, 3, 4, 5, 6, 7),
        "origin": origin,
        "passenger_departure": int(departure[:2]) * 60 + int(departure[2:]),
        "destination": destination,
        "passenger_arrival": int(arrival[:2]) * 60 + int(arrival[2:]),
        "aircraft_type": "320",
        "configuration": "C4Y10",
    }
    return FlightLeg(**fields | changes)


NETWORK = (
    flight_leg(101, "LHR", "0700", "VIE", "1015"),
    flight_leg(102, "VIE", "1115", "ATH", "1430"),
    flight_leg(104, "VIE", "1035", "ATH", "1350"),
    flight_leg(201, "VIE", "0700", "LHR", "0830"),
    flight_leg(201, "LHR", "1000", "JFK", "1300", leg_sequence=2),
)


def schedule_bytes(*legs: FlightLeg) -> bytes:
    """Write a schedule file with these legs."""
    schedule = CarrierSchedule(carrier=Carrier(carrier="Q1"), legs=list(legs))
    return write(ScheduleFile(schedules=[schedule]))


@pytest.fixture
def travel_date() -> date:
    """A day on which every flight is still to come, in any time zone."""
    return (datetime.now(UTC) + timedelta(days=5)).date()


@pytest.fixture
def load(unit_of_work: Any) -> Callable[..., Awaitable[LoadReport]]:
    """Give a function that makes an airline's schedule these legs."""

    async def load_legs(airline: Any, *legs: FlightLeg) -> LoadReport:
        async with unit_of_work(airline) as uow:
            return await load_schedule(uow, {"test.ssim": schedule_bytes(*legs)}, source="tenant")

    return load_legs


@pytest.fixture
async def airline(make_tenant: Any, load: Any) -> Any:
    """An airline that flies the little network for ten days."""
    settings = {"carrier": "Q1", "horizon_days": 10, "cabins": CABINS}
    tenant = await make_tenant(plugins=["inventory"], settings={"inventory": settings})
    await load(tenant, *NETWORK)
    return tenant


@pytest.fixture
def network() -> tuple[FlightLeg, ...]:
    """The legs that `airline` flies."""
    return NETWORK


@pytest.fixture(name="schedule_bytes")
def schedule_bytes_fixture() -> Callable[[], bytes]:
    """`schedule_bytes()` writes the little network as a file."""
    return lambda: schedule_bytes(*NETWORK)
