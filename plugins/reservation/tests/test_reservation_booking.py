"""Making orders, through HTTP and beside other orders."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pss_kernel import Conflict, UnitOfWork
from pss_reservation import store
from pss_reservation.booking import NewOrder, NewPassenger, book

Fixture = Any


async def post(client: Any, path: str, key: str, **request: Any) -> Any:
    return await client.post(path, headers={"Idempotency-Key": key}, **request)


async def count(airline: Any, table: str) -> int:
    async with airline.unit_of_work(airline.tenant) as uow:
        (row,) = await uow.hot(f"SELECT count(*) AS n FROM {table}")
        return int(row["n"])


async def test_guest_makes_an_order(airline: Fixture, accept: Fixture, http: Fixture) -> None:
    """A guest's order is held with its seats, has a reference, and ids of its own."""
    guest = await http(airline.tenant)
    body = accept(airline.offer("adult", "infant"))
    answer = await post(guest, "/v1/orders", "k1", json=body)
    assert 201 == answer.status_code, answer.text
    order = answer.json()
    assert "held" == order["status"]
    assert {"amount": "200.00", "currency": "EUR"} == order["total"]
    assert 6 == len(order["booking_reference"])
    adult, infant = order["passengers"]
    assert infant["infant_of"] == adult["id"]
    (segment,) = order["slices"][0]["segments"]
    assert (segment["flight"], segment["status"]) == ("Q1101", "booked")
    assert segment["id"] != "seg_of_the_offer"
    assert (1, 0) == await airline.seats()


async def test_order_is_kept_as_answered(airline: Fixture, accept: Fixture, http: Fixture) -> None:
    """What was answered is what is read later, by reference and name as well as by id."""
    guest = await http(airline.tenant)
    made = (await post(guest, "/v1/orders", "k1", json=accept(airline.offer("adult")))).json()
    known = {"booking_reference": made["booking_reference"].lower(), "family_name": "MUELLER BOEHM"}
    by_reference = await guest.get("/v1/orders", params=known)
    by_id = await guest.get(f"/v1/orders/{made['id']}", params=known)
    assert made == by_reference.json()
    assert made == by_id.json()


async def test_every_fault_is_answered(airline: Fixture, accept: Fixture, http: Fixture) -> None:
    """One 422 names every failing field, and nothing is kept."""
    guest = await http(airline.tenant)
    body = accept(airline.offer("adult", "child"))
    body["passengers"] = [{"type": "adult", "given_name": "X1", "born_on": "2024-01-01"}]
    answer = await post(guest, "/v1/orders", "k1", json=body)
    assert 422 == answer.status_code
    assert [
        "/passengers",
        "/passengers/0/given_name",
        "/passengers/0/family_name",
        "/passengers/0/born_on",
    ] == [error["pointer"] for error in answer.json()["errors"]]
    assert 0 == await count(airline, "orders")


async def test_sold_out_keeps_nothing(airline: Fixture, accept: Fixture, http: Fixture) -> None:
    """When the last seats are gone there is no order, no history and no held seat."""
    guest = await http(airline.tenant)
    answer = await post(
        guest, "/v1/orders", "k1", json=accept(airline.offer("adult", "adult", "adult"))
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "sold-out")
    assert (0, 0) == await airline.seats()
    assert [0, 0, 0] == [await count(airline, t) for t in ("orders", "order_history", "event")]


async def test_asked_hold_lasts_a_day(airline: Fixture, accept: Fixture) -> None:
    """An order made with `hold` keeps its seats for the airline's 24 hours."""
    accept(airline.offer("adult"))
    async with airline.unit_of_work(airline.tenant) as uow:
        order = await _book(uow, hold=True)
    assert order.created_at + timedelta(hours=24) == order.payment_required_by


async def test_hold_ends_before_departure(airline: Fixture, accept: Fixture) -> None:
    """A hold ends when booking closes for the first departure; after that there is none."""
    airline.departing_at = datetime.now(UTC) + timedelta(hours=2)
    accept(airline.offer("adult"))
    async with airline.unit_of_work(airline.tenant) as uow:
        order = await _book(uow, hold=True)
    assert airline.departing_at - timedelta(hours=1) == order.payment_required_by
    airline.departing_at -= timedelta(minutes=61)
    accept(airline.offer("adult"))
    with pytest.raises(Conflict) as refused:
        async with airline.unit_of_work(airline.tenant) as uow:
            await _book(uow)
    assert "departure-too-near" == refused.value.code


async def test_taken_locator_is_passed_over(
    airline: Fixture, accept: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the drawn locators the first free one is used; when none is free, it is drawn again."""
    accept(airline.offer("adult"))
    drawn = itertools.chain(["AAAAAA"] * 9, ["BBBBBB"] * 4)
    monkeypatch.setattr(store, "new_locator", lambda: next(drawn))
    references = []
    for _ in range(2):
        async with airline.unit_of_work(airline.tenant) as uow:
            references.append((await _book(uow)).booking_reference)
    assert ["AAAAAA", "BBBBBB"] == references


async def test_locators_run_out_politely(
    airline: Fixture, accept: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two orders at the same moment never share a locator: the later one is refused."""
    accept(airline.offer("adult"))
    monkeypatch.setattr(store, "new_locator", lambda: "CCCCCC")

    async def order() -> str:
        async with airline.unit_of_work(airline.tenant) as uow:
            return (await _book(uow)).booking_reference

    results = await asyncio.gather(order(), order(), return_exceptions=True)
    refused = [one for one in results if isinstance(one, Conflict)]
    assert ["no-locator"] == [one.code for one in refused]
    assert "CCCCCC" in results


async def _book(uow: UnitOfWork, *, hold: bool = False) -> Any:
    adult = NewPassenger(type="adult", given_name="Ada", family_name="Keller")
    return await book(uow, NewOrder(offer_id="off_1", passengers=[adult], hold=hold))


async def test_a_guests_hold_is_short(airline: Fixture, accept: Fixture, http: Fixture) -> None:
    """A guest can't block seats for a day; a key with a permission on orders can."""
    held = []
    for scopes in (None, ["reservation:book"]):
        client = await http(airline.tenant, *([scopes] if scopes else []))
        body = accept(airline.offer("adult")) | {"hold": True}
        order = (await post(client, "/v1/orders", "k1", json=body)).json()
        until, since = order["payment_required_by"], order["created_at"]
        held.append(datetime.fromisoformat(until) - datetime.fromisoformat(since))
    assert [timedelta(hours=1), timedelta(hours=24)] == held


async def test_lists_have_an_end(airline: Fixture, accept: Fixture, http: Fixture) -> None:
    """More passengers, documents or letters than an order can have are refused by number."""
    guest = await http(airline.tenant)
    body = accept(airline.offer("adult"))
    body["passengers"] = [{"documents": [{}] * 6, "email": "x" * 321}, *[{}] * 20]
    answer = await post(guest, "/v1/orders", "k1", json=body)
    assert 422 == answer.status_code
    assert "/passengers" in {one["pointer"] for one in answer.json()["errors"]}
    body["passengers"] = body["passengers"][:1]
    answer = await post(guest, "/v1/orders", "k2", json=body)
    faults = {(one["pointer"], one["code"]) for one in answer.json()["errors"]}
    assert ("/passengers/0/documents", "too-many") in faults
    assert "/passengers/0/email" in {pointer for pointer, _ in faults}
