"""From periods of operation to dated flights."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from pss_inventory.expand import DatedFlight, Expansion, expand
from pss_inventory.periods import operating_dates
from pss_inventory.schedule import zone_of_airport
from pss_inventory.ssim import Carrier, CarrierSchedule, FlightLeg, ScheduleFile

ALL_WEEK = (1, 2, 3, 4, 5, 6, 7)


def leg(**changes: object) -> FlightLeg:
    """Give VIE-LHR in northern winter 2026/27, with these changes."""
    usual = FlightLeg(
        carrier="Q1",
        flight_number=101,
        operates_from=date(2026, 10, 25),
        operates_until=date(2027, 3, 27),
        days=ALL_WEEK,
        origin="VIE",
        passenger_departure=7 * 60,
        destination="LHR",
        passenger_arrival=8 * 60 + 30,
        aircraft_type="320",
        line=1,
    )
    return replace(usual, **changes)


def expanded(*legs: FlightLeg, start: date, end: date, mode: str = "local") -> Expansion:
    """Expand these legs with a cabin of 150 seats each."""
    carrier = Carrier(carrier="Q1", time_mode=mode)
    file = ScheduleFile(schedules=[CarrierSchedule(carrier=carrier, legs=list(legs))])
    return expand(file, start, end, zone_of_airport, lambda _: {"economy": 150})


def only(expansion: Expansion) -> DatedFlight:
    """Give the one flight that there is."""
    (flight,) = expansion.flights.values()
    return flight


def test_days_of_operation_choose_the_dates() -> None:
    """A period from Sunday with days 1 and 3 operates on Mondays and Wednesdays."""
    dates = list(operating_dates(leg(days=(1, 3)), date(2026, 11, 1), date(2026, 11, 11)))
    assert [2, 4, 9, 11] == [day.day for day in dates]


def test_fortnightly_counts_weeks_from_the_start_of_the_period() -> None:
    """Frequency rate 2 leaves out every second week of the period, whatever is asked for."""
    record = leg(operates_from=date(2026, 11, 2), frequency_rate=2, days=(1, 5))
    dates = list(operating_dates(record, date(2026, 11, 4), date(2026, 12, 4)))
    assert [(11, 6), (11, 16), (11, 20), (11, 30), (12, 4)] == [(d.month, d.day) for d in dates]


def test_open_end_operates_as_far_as_is_asked() -> None:
    """A period until further notice has no last day."""
    record = leg(operates_until=None)
    assert [date(2040, 6, 1)] == list(operating_dates(record, date(2040, 6, 1), date(2040, 6, 1)))


@pytest.mark.parametrize(
    ("day", "departing", "arriving"),
    [
        (date(2027, 3, 27), "2027-03-27T06:00+00:00", "2027-03-27T08:30+00:00"),
        (date(2027, 3, 28), "2027-03-28T05:00+00:00", "2027-03-28T07:30+00:00"),
    ],
)
def test_daylight_saving_moves_the_moment_not_the_local_time(
    day: date, departing: str, arriving: str
) -> None:
    """The same local times are an hour earlier in UTC from the last Sunday of March."""
    flight = only(expanded(leg(operates_until=None), start=day, end=day))
    assert datetime.fromisoformat(departing) == flight.legs[0].departing_at
    assert datetime.fromisoformat(arriving) == flight.legs[0].arriving_at


@pytest.mark.parametrize("arrival_day", [None, 1, 0])
def test_overnight_flight_arrives_on_the_next_day(arrival_day: int | None) -> None:
    """The arrival follows the departure, also where the date variation is blank or wrong."""
    record = leg(
        destination="BKK",
        passenger_departure=23 * 60,
        passenger_arrival=15 * 60,
        arrival_day=arrival_day,
    )
    expansion = expanded(record, start=date(2026, 12, 1), end=date(2026, 12, 1))
    flight = only(expansion)
    assert datetime(2026, 12, 2, 8, tzinfo=UTC) == flight.legs[0].arriving_at
    assert ([194] if arrival_day == 0 else []) == [one.column for one in expansion.findings]


def test_flight_over_the_date_line_may_arrive_the_day_before() -> None:
    """NRT to HNL arrives in the morning of the same local day that it leaves in the evening."""
    record = leg(
        origin="NRT", destination="HNL", passenger_departure=20 * 60, passenger_arrival=8 * 60
    )
    flight = only(expanded(record, start=date(2026, 12, 1), end=date(2026, 12, 1)))
    arriving = flight.legs[0].arriving_at.astimezone(ZoneInfo("Pacific/Honolulu"))
    assert date(2026, 12, 1) == arriving.date()


def later_leg(**changes: object) -> FlightLeg:
    """Give LHR-JFK as the second leg, with these changes."""
    usual = {
        "leg_sequence": 2,
        "origin": "LHR",
        "destination": "JFK",
        "passenger_departure": 10 * 60,
        "passenger_arrival": 13 * 60,
        "line": 2,
    }
    return leg(**usual | changes)


def test_legs_of_one_flight_are_flown_one_after_the_other() -> None:
    """Two legs with one itinerary variation are one dated flight."""
    flight = only(expanded(leg(), later_leg(), start=date(2026, 12, 1), end=date(2026, 12, 1)))
    assert ["LHR", "JFK"] == [one.destination for one in flight.legs]


@pytest.mark.parametrize(
    "changes",
    [{"departure_day": 1, "arrival_day": 1}, {}],
    ids=["by date variation", "dated by its own departure"],
)
def test_later_leg_after_midnight_belongs_to_the_flight_date(changes: dict[str, int]) -> None:
    """A second leg that leaves after midnight stays with the first leg's flight date."""
    first = leg(passenger_departure=22 * 60, passenger_arrival=23 * 60 + 30)
    second = later_leg(passenger_departure=60, passenger_arrival=4 * 60, **changes)
    flight = only(expanded(first, second, start=date(2026, 12, 1), end=date(2026, 12, 1)))
    assert date(2026, 12, 1) == flight.key.flight_date
    assert [date(2026, 12, 1), date(2026, 12, 2)] == [one.departure_date for one in flight.legs]


def test_utc_mode_gives_the_local_flight_date() -> None:
    """In UTC mode 23:30 at NRT is the next morning's flight."""
    record = leg(
        origin="NRT",
        destination="KIX",
        passenger_departure=23 * 60 + 30,
        passenger_arrival=60,
        arrival_day=1,
    )
    expansion = expanded(record, start=date(2026, 12, 2), end=date(2026, 12, 2), mode="utc")
    flight = only(expansion)
    assert date(2026, 12, 2) == flight.key.flight_date
    assert datetime(2026, 12, 1, 23, 30, tzinfo=UTC) == flight.legs[0].departing_at


def test_utc_variation_that_differs_is_a_warning_only() -> None:
    """The time zone decides; the file's own variation is compared and reported."""
    expansion = expanded(
        leg(departure_utc_variation=120), start=date(2026, 12, 1), end=date(2026, 12, 3)
    )
    assert [(48, "warning")] == [(one.column, one.severity) for one in expansion.findings]
    assert datetime(2026, 12, 1, 6, tzinfo=UTC) == min(
        one.legs[0].departing_at for one in expansion.flights.values()
    )


def test_unknown_airport_is_an_error_and_gives_no_flight() -> None:
    """A leg to an airport that nobody knows cannot be placed in time."""
    expansion = expanded(leg(destination="QQQ"), start=date(2026, 12, 1), end=date(2026, 12, 1))
    assert [(55, "error")] == [(one.column, one.severity) for one in expansion.findings]
    assert {} == expansion.flights


def test_flight_that_stands_twice_is_reported_and_the_later_line_wins() -> None:
    """Overlapping periods of one flight give one flight a day."""
    twice = leg(line=7, passenger_departure=9 * 60, passenger_arrival=10 * 60 + 30)
    expansion = expanded(leg(), twice, start=date(2026, 12, 1), end=date(2026, 12, 5))
    assert [(7, 6)] == [(one.line, one.column) for one in expansion.findings]
    assert {8} == {one.legs[0].departing_at.hour for one in expansion.flights.values()}


def test_cargo_legs_are_left_out() -> None:
    """Service type F carries no passengers."""
    expansion = expanded(leg(service_type="F"), start=date(2026, 12, 1), end=date(2026, 12, 1))
    assert {} == expansion.flights


def test_operational_suffix_makes_another_flight() -> None:
    """101 and 101Z on one day are two flights."""
    expansion = expanded(
        leg(), leg(operational_suffix="Z"), start=date(2026, 12, 1), end=date(2026, 12, 1)
    )
    assert ["101", "101Z"] == [key.flight_number for key in expansion.flights]
