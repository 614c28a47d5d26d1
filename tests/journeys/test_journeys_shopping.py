"""Looking around: the airline itself, its markets, offers and the seats of an offer."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

pytestmark = [pytest.mark.xdist_group("journeys")]


def _soon(days: int = 2) -> date:
    return date.today() + timedelta(days=days)  # noqa: DTZ011 - any day near ours will do


async def test_tenant(airlines: Any) -> None:
    """Each airline says who it is, how it looks and what it offers."""
    shown = [await airline.guest.get("/tenant") for airline in airlines]
    assert ["aurelis", "pipit"] == [one["code"] for one in shown]
    assert ["EUR", "JPY"] == [one["currency"] for one in shown]
    assert ["#14213d", "#0f766e"] == [one["brand"]["primary_color"] for one in shown]
    assert ["meals"] == sorted({*shown[0]["plugins"]} - {*shown[1]["plugins"], "demo"})
    for one in shown:
        assert {"name", "brand", "locales", "time_zone"} <= one.keys()
        assert "logo" in one["brand"]


async def test_tenant_by_host_name(running: Any, aurelis: Any) -> None:
    """An airline's own host name names it, and contradicting it is refused."""
    http = aurelis.guest.http
    port = running.address.rpartition(":")[2]
    named = await http.get("/v1/tenant", headers={"Host": f"aurelis.localhost:{port}"})
    assert (200, "aurelis") == (named.status_code, named.json()["code"])
    other = await http.get("/v1/markets", headers={"Host": f"pipit.localhost:{port}"})
    assert (400, "tenant-mismatch") == (other.status_code, other.json()["code"])


async def test_no_tenant(aurelis: Any) -> None:
    """A name that no airline has is 404 with a problem."""
    answer = await aurelis.guest.http.get("/v1/markets", headers={"PSS-Tenant": "nobody"})
    assert (404, "tenant-unknown") == (answer.status_code, answer.json()["code"])


async def test_markets_can_be_asked_for(airlines: Any) -> None:
    """What an airline lists as a market, it knows when asked for offers."""
    for airline in airlines:
        listed = (await airline.guest.get("/markets"))["data"]
        pairs = [(one["origin"], one["destination"]) for one in listed]
        assert airline.market in pairs
        assert len(pairs) == len(set(pairs))
        assert await airline.guest.offers((*airline.market, _soon()))


async def test_offers_are_cheapest_first(airlines: Any) -> None:
    """Offers come in order of price, with ids of their own, and hold for a while."""
    for airline in airlines:
        found = await airline.guest.offers((*airline.market, _soon()), passengers=("adult",))
        amounts = [float(one["total"]["amount"]) for one in found]
        assert sorted(amounts) == amounts
        assert len({one["id"] for one in found}) == len(found) > 1
        assert len({one["brand"] for one in found}) > 1


async def test_round_trip_and_cabin(aurelis: Any) -> None:
    """A return has two slices, and a cabin that is asked for is the cabin offered."""
    origin, destination = aurelis.market
    found = await aurelis.guest.offers(
        (origin, destination, _soon()),
        (destination, origin, _soon(4)),
        passengers=("adult", "child", "infant"),
        cabin="business",
    )
    assert {2} == {len(one["slices"]) for one in found}
    cabins = {
        segment["cabin"] for one in found for part in one["slices"] for segment in part["segments"]
    }
    assert {"business"} == cabins


async def test_low_cost_airline_has_no_connections(pipit: Any) -> None:
    """Pipit flies point to point: no offer of it has two segments."""
    origin, destination = pipit.market
    found = await pipit.guest.offers((origin, destination, _soon()))
    assert {1} == {len(part["segments"]) for one in found for part in one["slices"]}


async def test_offer_again_and_repriced(airlines: Any) -> None:
    """An offer can be read again as it was, and re-priced to the same while it holds."""
    for airline in airlines:
        offer = (await airline.guest.offers((*airline.market, _soon())))[0]
        assert offer == await airline.guest.get(f"/offers/{offer['id']}")
        repriced = await airline.guest.get(f"/offers/{offer['id']}", reprice="true")
        assert offer["total"] == repriced["total"]


async def test_offer_of_the_other_airline(aurelis: Any, pipit: Any) -> None:
    """An offer of one airline does not exist for the other."""
    offer = (await aurelis.guest.offers((*aurelis.market, _soon())))[0]
    answer = await pipit.guest.http.get(f"/v1/offers/{offer['id']}")
    assert (404, "not-found") == (answer.status_code, answer.json()["code"])


async def test_nothing_on_sale(aurelis: Any) -> None:
    """Beyond the horizon of sale there are no offers, which is no error."""
    assert [] == await aurelis.guest.offers((*aurelis.market, _soon(200)))


async def test_seat_maps_of_an_offer(airlines: Any) -> None:
    """Seats can be seen before anything is bought, as many as the cabin has."""
    for airline in airlines:
        offer = (await airline.guest.offers((*airline.market, _soon())))[0]
        (shown,) = (await airline.guest.get("/seat-maps", offer_id=offer["id"]))["data"]
        segment = offer["slices"][0]["segments"][0]
        assert (segment["id"], segment["cabin"]) == (shown["segment_id"], shown["cabin"])
        seats = [
            seat for cabin in shown["cabins"] for row in cabin["rows"] for seat in row["seats"]
        ]
        assert len({one["seat"] for one in seats}) == len(seats) > 50
        assert {"available", "blocked", "occupied"} >= {one["status"] for one in seats}


async def test_openapi_document(aurelis: Any) -> None:
    """The interface describes itself, in OpenAPI 3.1."""
    document = (await aurelis.guest.http.get("/docs/openapi.json")).json()
    assert "3.1" == document["openapi"][:3]
    for path in ("/v1/offer-requests", "/v1/orders", "/v1/payments", "/v1/check-ins"):
        assert "post" in document["paths"][path]
