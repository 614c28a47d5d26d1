"""Offers through HTTP and as other plugins use them."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from pss_kernel import Invalid, Tenant, UnitOfWork
from pss_pricing import contracts
from pss_pricing.contracts import OfferExpired, OfferRequestBody, PassengerSpec, SliceRequest
from pss_pricing.files import load_fares


def asked(*slices: tuple[str, str, date], passengers: tuple[str, ...] = ("adult",)) -> Any:
    return {
        "slices": [
            {"origin": origin, "destination": destination, "departure_date": day.isoformat()}
            for origin, destination, day in slices
        ],
        "passengers": [{"type": kind} for kind in passengers],
    }


async def offers_for(client: Any, body: Any) -> Any:
    answer = await client.post("/v1/offer-requests", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["offers"]


async def expire(unit_of_work: Any, airline: Tenant) -> None:
    async with unit_of_work(airline) as uow:
        await uow.hot("UPDATE offer_request SET expires_at = now() - interval '1 minute'")


async def test_offers(airline: Tenant, http: Any, day: date) -> None:
    """A guest gets every brand, cheapest first, with taxes, times and conditions."""
    guest = await http(airline)
    light, flex = await offers_for(guest, asked(("VIE", "LHR", day)))
    assert [light["brand"], flex["brand"]] == ["Light", "Flex"]
    assert light["total"] == {"amount": "71.00", "currency": "EUR"}
    assert flex["total"] == {"amount": "211.00", "currency": "EUR"}
    (segment,) = light["slices"][0]["segments"]
    assert [
        segment[field]
        for field in (
            "flight",
            "origin",
            "destination",
            "cabin",
            "booking_class",
            "fare_basis",
            "departing_time_zone",
        )
    ] == ["Q1101", "VIE", "LHR", "economy", "K", "KLIGHT", "Europe/Vienna"]
    assert segment["departing_at"].startswith(f"{day}T07:00:00+0")
    assert segment["departing_at_utc"].endswith("Z")
    assert "leg_ids" not in str(light)
    assert flex["conditions"]["cancellation_fee"] == {"amount": "0.00", "currency": "EUR"}


async def test_family_round_trip(airline: Tenant, http: Any, day: date) -> None:
    """Discounts, exemptions and half round-trip fares add up over a family."""
    guest = await http(airline)
    body = asked(
        ("VIE", "LHR", day),
        ("LHR", "VIE", day + timedelta(days=5)),
        passengers=("adult", "child", "infant"),
    )
    (light, _) = await offers_for(guest, body)
    # adult 98 + 12 + 15.21, child 36.75 x 2 + 12, infant 4.90 x 2 + 12
    assert [price["total"]["amount"] for price in light["price_breakdown"]["passengers"]] == [
        "125.21",
        "85.50",
        "21.80",
    ]
    assert light["total"]["amount"] == "232.51"


async def test_connection_at_through_fare(airline: Tenant, http: Any, day: date) -> None:
    """Two flights are sold at the through fare, without the tax of the transit country."""
    (light, _) = await offers_for(await http(airline), asked(("LHR", "ATH", day)))
    assert [segment["flight"] for segment in light["slices"][0]["segments"]] == ["Q1102", "Q1103"]
    assert light["total"]["amount"] == "105.21"


async def test_nothing_on_sale(airline: Tenant, http: Any, day: date) -> None:
    """Beyond the horizon there are no offers, and no error."""
    far = day + timedelta(days=400)
    assert await offers_for(await http(airline), asked(("VIE", "LHR", far))) == []


async def test_every_wrong_field(airline: Tenant, http: Any, day: date) -> None:
    """Unknown airports and past dates are listed together with all else."""
    guest = await http(airline)
    body = asked(("XXX", "LHR", day), ("VIE", "YYY", date(2020, 1, 1)), passengers=("child",))
    answer = await guest.post("/v1/offer-requests", json=body)
    assert answer.status_code == 422
    assert {
        ("/slices/0/origin", "unknown-airport"),
        ("/slices/1/destination", "unknown-airport"),
        ("/slices/1/departure_date", "out-of-order"),
        ("/slices/1/departure_date", "date-in-past"),
        ("/passengers", "adult-required"),
    } == {(error["pointer"], error["code"]) for error in answer.json()["errors"]}


async def test_unknown_airport_alone(airline: Tenant, http: Any, day: date) -> None:
    """What only availability can know points into the request as well."""
    guest = await http(airline)
    answer = await guest.post("/v1/offer-requests", json=asked(("VIE", "JFK", day)))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/slices/0/destination"]


async def test_an_offer_is_read_as_it_was_made(airline: Tenant, http: Any, day: date) -> None:
    """GET gives what POST gave, and an unknown or misshapen id is 404."""
    guest = await http(airline)
    offers = await offers_for(guest, asked(("VIE", "LHR", day)))
    for offer in offers:
        assert offer == (await guest.get(f"/v1/offers/{offer['id']}")).json()
    known = offers[0]["id"]
    for unknown in (f"{known[:-2]}zz", f"off_{'0' * 26}", "off_1", known.replace("off", "ord")):
        assert (await guest.get(f"/v1/offers/{unknown}")).status_code == 404


async def test_expiry(airline: Tenant, http: Any, unit_of_work: Any, day: date) -> None:
    """An expired offer is 410 and can't be ordered; re-pricing gives a new one."""
    guest = await http(airline)
    (offer, _) = await offers_for(guest, asked(("VIE", "LHR", day)))
    await expire(unit_of_work, airline)
    gone = await guest.get(f"/v1/offers/{offer['id']}")
    assert (gone.status_code, gone.json()["code"]) == (410, "offer-expired")
    async with unit_of_work(airline) as uow:
        with pytest.raises(OfferExpired):
            await contracts.offer_to_order(uow, offer["id"])
    fresh = (await guest.get(f"/v1/offers/{offer['id']}?reprice=true")).json()
    assert fresh["id"] != offer["id"]
    assert fresh["total"] == offer["total"]
    assert (await guest.get(f"/v1/offers/{fresh['id']}")).status_code == 200


async def test_reprice(
    airline: Tenant, http: Any, unit_of_work: Any, day: date, tmp_path: Path
) -> None:
    """The same offer while nothing changed; a new one at the new fare, the old one as it was."""
    guest = await http(airline)
    (offer, _) = await offers_for(guest, asked(("VIE", "ATH", day)))
    assert offer == (await guest.get(f"/v1/offers/{offer['id']}?reprice=true")).json()
    async with unit_of_work(airline) as uow:
        await uow.hot("UPDATE fare SET one_way_minor = 6500 WHERE one_way_minor = 5900")
    try:
        fresh = (await guest.get(f"/v1/offers/{offer['id']}?reprice=true")).json()
        assert offer["id"] != fresh["id"]
        assert fresh["total"]["amount"] == "77.00"
        assert offer == (await guest.get(f"/v1/offers/{offer['id']}")).json()
    finally:
        async with unit_of_work(airline) as uow:
            await uow.hot("UPDATE fare SET one_way_minor = 5900 WHERE one_way_minor = 6500")


async def test_reprice_of_what_is_gone(
    airline: Tenant, http: Any, unit_of_work: Any, day: date
) -> None:
    """An offer whose brand is no longer filed for its market is 409."""
    guest = await http(airline)
    (_, flex) = await offers_for(guest, asked(("VIE", "ATH", day)))
    async with unit_of_work(airline) as uow:
        await uow.hot("UPDATE fare SET brand = 'GONE' WHERE brand = 'FLEX'")
    try:
        answer = await guest.get(f"/v1/offers/{flex['id']}?reprice=true")
        assert (answer.status_code, answer.json()["code"]) == (409, "offer-unavailable")
    finally:
        async with unit_of_work(airline) as uow:
            await uow.hot("UPDATE fare SET brand = 'FLEX' WHERE brand = 'GONE'")


async def test_expired_offers_are_deleted(
    airline: Tenant, http: Any, unit_of_work: Any, run_job: Any, day: date
) -> None:
    """Offers that expired longer ago than the setting go, the others stay."""
    guest = await http(airline)
    (old, _) = await offers_for(guest, asked(("VIE", "LHR", day)))
    async with unit_of_work(airline) as uow:
        await uow.hot("UPDATE offer_request SET expires_at = now() - interval '2 hours'")
    (young, _) = await offers_for(guest, asked(("VIE", "LHR", day)))
    await run_job(airline, "pricing", "delete_expired_offers")
    assert (await guest.get(f"/v1/offers/{old['id']}")).status_code == 404
    assert (await guest.get(f"/v1/offers/{young['id']}")).status_code == 200


async def test_round_trips(
    airline: Tenant, unit_of_work: Any, day: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request costs one statement per slice, one for fares and taxes, one to keep the offers."""
    statements: list[str] = []
    hot = UnitOfWork.hot

    async def counted(self: UnitOfWork, sql: str, *arguments: Any) -> Any:
        statements.append(sql)
        return await hot(self, sql, *arguments)

    monkeypatch.setattr(UnitOfWork, "hot", counted)
    body = OfferRequestBody(
        slices=[
            SliceRequest(origin="VIE", destination="LHR", departure_date=day.isoformat()),
            SliceRequest(
                origin="LHR",
                destination="VIE",
                departure_date=(day + timedelta(days=3)).isoformat(),
            ),
        ],
        passengers=[PassengerSpec("adult")],
    )
    async with unit_of_work(airline) as uow:
        request = await contracts.request_offers(uow, body)
    assert len(statements) == 4
    assert len(request.offers) == 2


async def test_what_an_order_takes(
    airline: Tenant, http: Any, unit_of_work: Any, day: date
) -> None:
    """An order gets the legs and fares that the passenger does not see, and a refund quote."""
    guest = await http(airline)
    (_, flex) = await offers_for(guest, asked(("VIE", "LHR", day)))
    async with unit_of_work(airline) as uow:
        stored = await contracts.offer_to_order(uow, flex["id"])
        quote = await contracts.refund_quote(uow, stored, False, ["adult"])
    (segment,) = stored.offer.slices[0].segments
    assert [len(legs) for legs in stored.leg_ids.values()] == [1]
    assert {segment.id} == set(stored.leg_ids)
    assert [(fare.fare_basis, fare.base_minor) for fare in stored.fares] == [("YFLEX", 19900)]
    assert (quote.refund.amount, quote.penalty.amount) == ("211.00", "0.00")


async def test_fares_in_another_currency(
    airline: Tenant, unit_of_work: Any, tmp_path: Path
) -> None:
    """Fares in a currency the airline does not sell in are refused, and the old ones stay."""
    path = tmp_path / "fares.toml"
    path.write_text('currency = "JPY"\n')
    with pytest.raises(Invalid, match="is in JPY"):
        async with unit_of_work(airline) as uow:
            await load_fares(uow, [path], lambda _done, _total: None)
    async with unit_of_work(airline) as uow:
        assert (await uow.hot("SELECT count(*) FROM fare"))[0]["count"] == 10
