"""An airline with a small schedule, for the tests that need a database."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from pss_inventory.ssim import Carrier, CarrierSchedule, FlightLeg, ScheduleFile, write
from pss_kernel import Tenant
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit

TENANT = """\
[tenant]
code = "{code}"
name = "Test Air"
currency = "EUR"
time_zone = "Europe/Vienna"
[plugins.inventory]
carrier = "Q1"
horizon_days = 30
[plugins.pricing]
"""
FARES = """\
currency = "EUR"
[[brand]]
code = "LIGHT"
name = "Light"
cabin = "economy"
[[brand]]
code = "FLEX"
name = "Flex"
cabin = "economy"
refundable = true
change_fee = "0.00"
[[fare_group]]
markets = ["VIE-LHR", "VIE-ATH"]
[[fare_group.levels]]
brand = "LIGHT"
booking_class = "K"
basis = "KLIGHT"
one_way = "59.00"
round_trip = "49.00"
[[fare_group.levels]]
brand = "FLEX"
booking_class = "Y"
basis = "YFLEX"
one_way = "199.00"
[[fare]]
market = "LHR-ATH"
brand = "LIGHT"
booking_class = "K"
basis = "KTHRU"
one_way = "90.00"
"""
TAXES = """\
currency = "EUR"
[exchange_rates]
GBP = "1.17"
[[tax]]
code = "GB"
country = "GB"
description = "Air Passenger Duty"
applies = "departure"
amount = "13.00"
currency = "GBP"
exempt = ["child", "infant"]
source = "made up for tests"
[[tax]]
code = "QD"
country = "AT"
description = "Air transport levy"
applies = "departure"
amount = "12.00"
source = "made up for tests"
"""
_LEGS = (
    (101, "VIE", "LHR", 420, 510),
    (102, "LHR", "VIE", 600, 810),
    (103, "VIE", "ATH", 900, 1080),
    (104, "ATH", "VIE", 1140, 1200),
)


@pytest.fixture(scope="session")
def day() -> date:
    """A departure date on sale that is in the future everywhere."""
    return datetime.now(UTC).date() + timedelta(days=10)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def airline(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tenant]:
    """Test Air: VIE-LHR and VIE-ATH daily, both ways, with fares and taxes from files."""
    folder = tmp_path_factory.mktemp("testair")
    write_airline(folder)
    yield await TestKit(installation).apply(folder, code="pricing_air")


def write_airline(folder: Path, fares: str = FARES) -> None:
    """The airline's folder."""
    first = datetime.now(UTC).date() - timedelta(days=1)
    legs = [
        FlightLeg(
            carrier="Q1",
            flight_number=number,
            operates_from=first,
            operates_until=first + timedelta(days=60),
            days=(1, 2, 3, 4, 5, 6, 7),
            origin=origin,
            passenger_departure=departure,
            aircraft_departure=departure,
            departure_utc_variation=0,
            destination=destination,
            passenger_arrival=arrival,
            aircraft_arrival=arrival,
            arrival_utc_variation=0,
            aircraft_type="320",
            configuration="Y180",
        )
        for number, origin, destination, departure, arrival in _LEGS
    ]
    carrier = Carrier(carrier="Q1", valid_from=first, valid_until=first + timedelta(days=60))
    schedule = ScheduleFile(schedules=[CarrierSchedule(carrier=carrier, legs=legs)])
    for name, content in {
        "tenant.toml": TENANT.format(code=folder.name.rstrip("0123456789")).encode(),
        "schedule/test.ssim": write(schedule),
        "fares/fares.toml": fares.encode(),
        "taxes.toml": TAXES.encode(),
    }.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
