"""Which itineraries are found, with which seats."""

from datetime import date, timedelta
from typing import Any

import pytest

from pss_inventory import contracts
from pss_inventory.contracts import SeatRequest
from pss_kernel import Invalid


async def find(uow: Any, origin: str, destination: str, day: date, **more: Any) -> list[Any]:
    """Ask for one seat unless `more` says otherwise."""
    return await contracts.availability(uow, origin, destination, day, **{"seats": 1} | more)


async def test_nonstop_flight_has_local_times_and_nested_seats(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """A segment tells local times with their offset and what each class has left."""
    async with unit_of_work(airline) as uow:
        (itinerary,) = await find(uow, "LHR", "VIE", travel_date)
    (segment,) = itinerary.segments
    assert ("Q1101", "GB", "AT") == (
        segment.flight,
        segment.origin_country,
        segment.destination_country,
    )
    assert (travel_date, 7, 10) == (
        segment.departing_at.date(),
        segment.departing_at.hour,
        segment.arriving_at.hour,
    )
    assert timedelta(hours=2, minutes=15) == segment.arriving_at - segment.departing_at
    seats = {cabin.cabin: [one.seats for one in cabin.classes] for cabin in segment.cabins}
    assert {"business": [4, 2], "economy": [9, 6, 3]} == seats


async def test_connection_keeps_the_minimum_connecting_time(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """An hour is enough to connect, twenty minutes are not."""
    async with unit_of_work(airline) as uow:
        (itinerary,) = await find(uow, "LHR", "ATH", travel_date)
    assert ["Q1101", "Q1102"] == [segment.flight for segment in itinerary.segments]


async def test_flight_with_a_stop_is_sold_through_and_by_leg(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """A board and off point of a flight with two legs is one segment with both legs."""
    async with unit_of_work(airline) as uow:
        (through,) = await find(uow, "VIE", "JFK", travel_date)
        (onward,) = await find(uow, "LHR", "JFK", travel_date)
    assert 2 == len(through.segments[0].leg_ids)
    assert through.segments[0].leg_ids[1:] == onward.segments[0].leg_ids


async def test_shortest_leg_decides_what_a_segment_has(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """What is taken on one leg is missing on every segment that uses it."""
    async with unit_of_work(airline) as uow:
        (onward,) = await find(uow, "LHR", "JFK", travel_date)
        request = SeatRequest(onward.segments[0].leg_ids, "economy", "Y", 8)
        await contracts.hold_seats(uow, "hold-1", [request])
    async with unit_of_work(airline) as uow:
        (through,) = await find(uow, "VIE", "JFK", travel_date, cabin="economy")
        assert [] == await find(uow, "VIE", "JFK", travel_date, cabin="economy", seats=3)
    assert [[2, 2, 2]] == [[c.seats for c in cabin.classes] for cabin in through.segments[0].cabins]


@pytest.mark.parametrize(
    ("origin", "destination", "pointers"),
    [
        ("QQQ", "VIE", ["/origin"]),
        ("VIE", "FRA", ["/destination"]),
        ("", "\x7f", ["/origin", "/destination"]),
    ],
)
async def test_airports_outside_the_network_are_named(
    airline: Any,
    unit_of_work: Any,
    travel_date: date,
    origin: str,
    destination: str,
    pointers: list[str],
) -> None:
    """Every unknown airport is pointed at."""
    async with unit_of_work(airline) as uow:
        with pytest.raises(Invalid) as caught:
            await find(uow, origin, destination, travel_date)
    assert "unknown-airport" == caught.value.code
    assert pointers == [error.pointer for error in caught.value.errors]


async def test_nothing_is_found_beyond_the_horizon_or_in_the_past(
    airline: Any, unit_of_work: Any, travel_date: date
) -> None:
    """Known airports without a flight that day give an empty list."""
    async with unit_of_work(airline) as uow:
        for days in (-20, 40):
            assert [] == await find(uow, "LHR", "VIE", travel_date + timedelta(days=days))
        assert [] == await find(uow, "VIE", "VIE", travel_date)


async def test_markets_are_routes_and_connections(airline: Any, unit_of_work: Any) -> None:
    """What can be flown nonstop, with a stop or with one connection is a market."""
    async with unit_of_work(airline) as uow:
        markets = await contracts.markets(uow)
    assert {
        ("LHR", "ATH"),
        ("LHR", "JFK"),
        ("LHR", "VIE"),
        ("VIE", "ATH"),
        ("VIE", "JFK"),
        ("VIE", "LHR"),
    } == {(market.origin, market.destination) for market in markets}


async def test_airports_of_the_network_have_their_zone(airline: Any, unit_of_work: Any) -> None:
    """An airport of the schedule is known with its IANA zone and country."""
    async with unit_of_work(airline) as uow:
        airport = await contracts.airport(uow, "JFK")
    assert ("US", "America/New_York") == (airport.country, airport.time_zone)
