"""Inventory over HTTP, as guests and staff use it."""

from datetime import date
from typing import Any


async def test_guest_sees_the_markets(airline: Any, http: Any) -> None:
    """The markets on sale need no account."""
    client = await http(airline)
    answer = await client.get("/v1/markets")
    assert 200 == answer.status_code
    assert {"origin": "LHR", "destination": "ATH"} in answer.json()["data"]
    assert answer.json()["next_cursor"] is None


async def test_guest_does_not_see_flights(airline: Any, http: Any, travel_date: date) -> None:
    """Flights are for the staff."""
    client = await http(airline)
    answer = await client.get("/v1/flights", params={"date": str(travel_date)})
    assert 401 == answer.status_code


async def test_staff_finds_flights_by_day_origin_and_number(
    airline: Any, http: Any, travel_date: date
) -> None:
    """A flight is found by any airport that it leaves from, and shows each leg's times."""
    client = await http(airline, scopes=["inventory:read"])
    day = {"date": str(travel_date)}
    everything = (await client.get("/v1/flights", params=day)).json()["data"]
    from_heathrow = (await client.get("/v1/flights", params=day | {"origin": "LHR"})).json()
    by_number = (await client.get("/v1/flights", params=day | {"flight": "Q1201"})).json()
    assert ["Q1101", "Q1102", "Q1104", "Q1201"] == [one["flight"] for one in everything]
    assert ["Q1101", "Q1201"] == [one["flight"] for one in from_heathrow["data"]]
    (flight,) = by_number["data"]
    assert flight == (await client.get(f"/v1/flights/{flight['id']}")).json()
    leg = flight["legs"][1]
    assert ("LHR", "Europe/London", "America/New_York") == (
        leg["origin"],
        leg["departing_time_zone"],
        leg["arriving_time_zone"],
    )
    assert leg["departing_at"].startswith(f"{travel_date}T10:00:00")
    assert leg["departing_at_utc"].endswith("Z")


async def test_flight_list_needs_a_real_date(airline: Any, http: Any) -> None:
    """A missing or impossible date is told, not guessed."""
    client = await http(airline, scopes=["inventory:read"])
    for params in ({}, {"date": "2026-02-30"}):
        answer = await client.get("/v1/flights", params=params)
        assert answer.status_code in {400, 422}
        assert "application/problem+json" in answer.headers["content-type"]


async def test_unknown_flight_is_not_found(airline: Any, http: Any) -> None:
    """An id that no flight has, or could have, is 404."""
    client = await http(airline, scopes=["inventory:read"])
    for flight_id in ("flt_00000000000000000000000000", "nonsense"):
        assert 404 == (await client.get(f"/v1/flights/{flight_id}")).status_code


async def flight_id_of(client: Any, day: date) -> str:
    """Give the id of Q1101 on that day."""
    params = {"date": str(day), "flight": "Q1101"}
    found: str = (await client.get("/v1/flights", params=params)).json()["data"][0]["id"]
    return found


async def test_staff_sets_authorisations(airline: Any, http: Any, travel_date: date) -> None:
    """Named classes get their new level, the others keep theirs."""
    client = await http(airline, scopes=["inventory:read", "inventory:manage"])
    path = f"/v1/flights/{await flight_id_of(client, travel_date)}/authorisations"
    answer = await client.put(path, json={"cabin": "economy", "authorised": {"K": 5}})
    assert 200 == answer.status_code
    (leg,) = [one for one in (await client.get(path)).json()["data"] if one["cabin"] == "economy"]
    assert {"Y": 10, "M": 6, "K": 5} == leg["authorised"]


async def test_authorisation_below_what_is_sold_is_refused(
    airline: Any, http: Any, unit_of_work: Any, travel_date: date
) -> None:
    """What is taken stays authorised."""
    client = await http(airline, scopes=["inventory:read", "inventory:manage"])
    flight_id = await flight_id_of(client, travel_date)
    async with unit_of_work(airline) as uow:
        await uow.hot(
            "UPDATE leg_cabin SET sold = '{0,0,3}' WHERE cabin = 'economy'"
            " AND leg_id IN (SELECT id FROM leg WHERE flight_id = $1)",
            flight_id,
        )
    answer = await client.put(
        f"/v1/flights/{flight_id}/authorisations",
        json={"cabin": "economy", "authorised": {"M": 2}},
    )
    assert (409, "authorised-below-sold") == (answer.status_code, answer.json()["code"])


async def test_every_wrong_authorisation_is_pointed_at(
    airline: Any, http: Any, travel_date: date
) -> None:
    """Unknown classes and negative levels are listed together."""
    client = await http(airline, scopes=["inventory:read", "inventory:manage"])
    path = f"/v1/flights/{await flight_id_of(client, travel_date)}/authorisations"
    body = {"cabin": "economy", "authorised": {"X": 1, "Y": -1}}
    answer = await client.put(path, json=body)
    assert 422 == answer.status_code
    assert ["/authorised/X", "/authorised/Y"] == [
        error["pointer"] for error in answer.json()["errors"]
    ]
