"""Loading schedules again and again."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from pss_inventory import contracts
from pss_inventory.checks import check_schedule
from pss_inventory.contracts import Flight, SeatRequest
from pss_inventory.flights import list_flights


async def flight_on(uow: Any, day: date, flight: str = "Q1101") -> Flight:
    """Give the flight of that designator and day."""
    (found,) = await list_flights(uow, day, None, flight)
    return found


async def sell(unit_of_work: Any, airline: Any, day: date, seats: int = 2) -> int:
    """Hold seats on Q1101 and give the leg."""
    async with unit_of_work(airline) as uow:
        flight = await flight_on(uow, day)
        leg_id = flight.legs[0].leg_id
        request = SeatRequest([leg_id], "economy", "Y", seats)
        await contracts.hold_seats(uow, "hold-1", [request])
    return leg_id


async def cabin(uow: Any, leg_id: int) -> Any:
    """Read the economy cabin of a leg."""
    (row,) = await uow.hot(
        "SELECT capacity, authorised, held FROM leg_cabin WHERE leg_id = $1 AND cabin = 'economy'",
        leg_id,
    )
    return row


async def test_loading_again_changes_nothing(airline: Any, load: Any, network: Any) -> None:
    """The second load of one file finds nothing to do."""
    report = await load(airline, *network)
    assert (44, 0, 0, 0) == (report.flights, report.added, report.changed, report.withdrawn)


async def test_the_audit_trail_says_what_was_loaded(
    installation: Any, airline: Any, network: Any
) -> None:
    """The files and how many flights came of them, whichever way they were given."""
    async with installation.cell(airline).owner() as owner:
        entries = await owner.fetch(
            f"SELECT entry FROM {airline.schema}.audit_entry "
            "WHERE action = 'inventory.schedule-loaded'"
        )
    (entry,) = (json.loads(row["entry"]) for row in entries)
    assert ("tenant", ["test.ssim"]) == (entry["subject"], entry["after"]["files"])
    assert entry["after"]["flights"] == entry["after"]["added"] > 0


async def test_new_times_move_the_flight_and_keep_its_passengers(
    airline: Any, load: Any, unit_of_work: Any, network: Any, travel_date: date
) -> None:
    """A flight that leaves at another time is the same flight with the same seats taken."""
    leg_id = await sell(unit_of_work, airline, travel_date)
    report = await load(airline, replace(network[0], passenger_departure=415), *network[1:])
    async with unit_of_work(airline) as uow:
        flight = await flight_on(uow, travel_date)
        row = await cabin(uow, leg_id)
        (itinerary,) = await contracts.availability(uow, "LHR", "VIE", travel_date, 1)
    assert report.changed in {10, 11}  # today's may have left already
    assert (0, []) == (report.added, report.kept)
    assert (leg_id, (6, 55)) == (
        flight.legs[0].leg_id,
        (flight.legs[0].departing_at.hour, flight.legs[0].departing_at.minute),
    )
    assert 55 == itinerary.segments[0].departing_at.minute
    assert [2, 0, 0] == row["held"]


async def test_larger_aircraft_has_more_to_sell_and_a_smaller_one_never_less_than_taken(
    airline: Any, load: Any, unit_of_work: Any, network: Any, travel_date: date
) -> None:
    """Levels follow the seats, but stay at what is held or sold, and staff are told."""
    leg_id = await sell(unit_of_work, airline, travel_date, seats=8)
    await load(airline, replace(network[0], configuration="C4Y20"), *network[1:])
    async with unit_of_work(airline) as uow:
        assert [20, 12, 6] == (await cabin(uow, leg_id))["authorised"]
    report = await load(airline, replace(network[0], configuration="C4Y5"), *network[1:])
    async with unit_of_work(airline) as uow:
        row = await cabin(uow, leg_id)
    assert (5, [8, 3, 1]) == (row["capacity"], row["authorised"])
    assert 1 == len(report.kept)


async def test_vanished_flights_are_withdrawn_unless_they_have_passengers(
    airline: Any, load: Any, unit_of_work: Any, network: Any, travel_date: date
) -> None:
    """Empty flights go off sale; those with passengers stay and are reported."""
    await sell(unit_of_work, airline, travel_date)
    report = await load(airline, *network[1:])
    next_day = travel_date + timedelta(days=1)
    async with unit_of_work(airline) as uow:
        kept = await flight_on(uow, travel_date)
        gone = await flight_on(uow, next_day)
        assert [] == await contracts.availability(uow, "LHR", "VIE", next_day, 1)
        assert 1 == len(await contracts.availability(uow, "LHR", "VIE", travel_date, 1))
    assert ("scheduled", "cancelled") == (kept.status, gone.status)
    assert 1 == len(report.kept)
    assert str(travel_date) in report.kept[0]


async def test_withdrawn_flight_comes_back(
    airline: Any, load: Any, unit_of_work: Any, network: Any, travel_date: date
) -> None:
    """A flight that is in the schedule again is on sale again, under its old id."""
    async with unit_of_work(airline) as uow:
        before = await flight_on(uow, travel_date)
    await load(airline, *network[1:])
    await load(airline, *network)
    async with unit_of_work(airline) as uow:
        after = await flight_on(uow, travel_date)
        (found,) = await contracts.availability(uow, "LHR", "VIE", travel_date, 1)
    assert before == after
    assert 9 == found.segments[0].cabins[1].classes[0].seats


async def test_new_route_is_taken_only_without_passengers(
    airline: Any, load: Any, unit_of_work: Any, network: Any, travel_date: date
) -> None:
    """A flight to another airport is a new start; passengers are not taken there unasked."""
    await sell(unit_of_work, airline, travel_date)
    report = await load(airline, replace(network[0], destination="ATH"), *network[1:])
    async with unit_of_work(airline) as uow:
        kept = await flight_on(uow, travel_date)
        moved = await flight_on(uow, travel_date + timedelta(days=1))
    assert ("VIE", "ATH") == (kept.legs[0].destination, moved.legs[0].destination)
    assert 1 == len(report.kept)


async def test_horizon_is_extended_day_by_day(
    airline: Any, unit_of_work: Any, run_job: Any
) -> None:
    """The daily job opens the days that are missing, from the stored files."""
    async with unit_of_work(airline) as uow:
        (row,) = await uow.hot("SELECT max(flight_date) AS last FROM flight")
        await uow.hot("DELETE FROM flight WHERE flight_date = $1", row["last"])
        await uow.hot(
            "UPDATE schedule_file SET expanded_until = $1", row["last"] - timedelta(days=1)
        )
    await run_job(airline, "inventory", "extend_horizon")
    async with unit_of_work(airline) as uow:
        (after,) = await uow.hot("SELECT max(flight_date) AS last FROM flight")
    assert row["last"] == after["last"]


def test_check_names_every_problem_of_a_file(tmp_path: Path, schedule_bytes: Any) -> None:
    """Unreadable columns and unknown airports are found together, with their places."""
    lines = schedule_bytes().decode().splitlines()
    lines[10] = lines[10][:39] + "9999" + lines[10][43:]
    lines[11] = lines[11][:54] + "QQQ" + lines[11][57:]
    path = tmp_path / "w26.ssim"
    path.write_text("\n".join(lines))
    found = check_schedule(path)
    assert [(11, 40), (12, 55)] == [
        (one.line, one.column) for one in found if one.severity == "error"
    ]


async def test_another_airline_sees_nothing_of_it(
    airline: Any, make_tenant: Any, unit_of_work: Any, travel_date: date
) -> None:
    """Flights, markets and holds belong to one tenant."""
    other = await make_tenant(plugins=["inventory"])
    async with unit_of_work(airline) as uow:
        flight = await flight_on(uow, travel_date)
    async with unit_of_work(other) as uow:
        assert [] == await contracts.markets(uow)
        assert {} == await contracts.flights_of_legs(uow, [flight.legs[0].leg_id])
