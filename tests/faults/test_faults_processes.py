"""Workers that die, and a database that goes away and comes back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_outside.passengers import party
from pss_outside.processes import until, worker
from pss_outside.traveller import fresh_key

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(180)]


async def _tickets(airline: Any, orders: list[dict[str, Any]]) -> int:
    ids = [one["id"] for one in orders]
    (row,) = await airline.sql("SELECT count(*) FROM ticket WHERE order_id = ANY($1)", ids)
    return int(row["count"])


async def _all_ticketed(airline: Any, orders: list[dict[str, Any]]) -> None:
    async def done() -> bool:
        return await _tickets(airline, orders) >= len(orders)

    await until(done, seconds=60)
    await airline.keeps_the_rules(by_itself=True)
    assert len(orders) == await _tickets(airline, orders)


async def test_worker_dead_then_killed(airline: Any, folder: Path) -> None:
    """Paid while no worker lives, or while one is killed: each ticket appears, once."""
    data_dir, log = airline.installation.config.data_dir, folder / "worker.log"
    offer = await airline.nonstop("WAW")
    before = await airline.book(offer, 4)
    paid = await asyncio.gather(*(airline.guest.pay(one) for one in before))
    assert {"captured"} == {one.json()["status"] for one in paid}
    assert {"confirmed"} == {(await airline.guest.own(one))["status"] for one in before}
    assert 0 == await _tickets(airline, before)
    with worker(data_dir, log) as first:
        await _all_ticketed(airline, before)
        orders = await airline.book(offer, 24)
        paying = [asyncio.create_task(airline.guest.pay(one)) for one in orders]

        async def begun() -> bool:
            return await _tickets(airline, orders) > 0

        await until(begun)
        first.kill()
        first.wait()
        issued = await _tickets(airline, orders)
        await asyncio.gather(*paying)
    assert 0 < issued < len(orders)
    await airline.leases_end()
    with worker(data_dir, log):
        await _all_ticketed(airline, orders)


async def test_database_stops_and_starts_again(airline: Any, folder: Path) -> None:
    """A crash of the database is 503 for a while; afterwards all goes on and nothing is lost."""
    database = EmbeddedPostgres(airline.installation.config.data_dir)
    offer = await airline.nonstop("KRK")
    orders = await airline.book(offer, 10)
    with worker(airline.installation.config.data_dir, folder / "worker.log"):
        await _sold_while_a_worker_runs(airline, offer)
        keys = [fresh_key() for _ in orders]
        families = [f"Absturz{letter}" for letter in "abcdefgh"]
        booking = [asyncio.create_task(_book(airline, offer, one)) for one in families]
        paying = [
            asyncio.create_task(_pay(airline, one, key))
            for one, key in zip(orders, keys, strict=True)
        ]
        await until(lambda: any(one.done() for one in paying))
        await asyncio.to_thread(database._run, "pg_ctl", "stop", "--mode=immediate", "--wait")
        try:
            cut_short = await asyncio.gather(*paying)
            assert {201, 202, 503} >= {one.status_code for one in cut_short}
            booked = await asyncio.gather(*booking)
            assert {201, 503} >= {one.status_code for one in booked}
            await _check_unavailable(airline)
        finally:
            await asyncio.to_thread(database._start)
        await until(lambda: _ready(airline))
        again = await asyncio.gather(
            *(_pay(airline, one, key) for one, key in zip(orders, keys, strict=True))
        )
        await _check_booked_once(airline, offer, families, booked)
        # A request that was cut short leaves its payment to the sweeper for a minute.
        assert {201, 202, 409} >= {one.status_code for one in again}
        await airline.leases_end()
        await airline.keeps_the_rules(by_itself=True)
        for order in orders:
            if (await airline.guest.own(order))["status"] == "held":
                assert (await airline.guest.pay(order)).status_code in {201, 202}
        await _all_ticketed(airline, orders)
        await _sold_while_a_worker_runs(airline, await airline.nonstop("KRK"))


async def _book(airline: Any, offer: dict[str, Any], family: str) -> Any:
    """Make an order of this family's own, under a key of its own."""
    body = {"offer_id": offer["id"], "passengers": party("adult", family_name=family)}
    body["passengers"][0]["given_name"] = "Ada"  # the same request whenever it is repeated
    return await airline.guest.http.post(
        "/v1/orders", json=body, headers={"Idempotency-Key": family}
    )


async def _check_booked_once(
    airline: Any, offer: dict[str, Any], families: list[str], before: list[Any]
) -> None:
    """Sent again, what was made is answered as it was, and what was not may be made now."""
    after = await asyncio.gather(*(_book(airline, offer, one) for one in families))
    for family, first, again in zip(families, before, after, strict=True):
        # A crash empties the table of offers, which is not logged: 404, ask for new ones.
        assert {201, 404} >= {again.status_code}
        if first.status_code == 201:
            assert first.content == again.content
        orders = await airline.sql(
            "SELECT order_id FROM order_passenger WHERE family_name = $1", family
        )
        assert int(again.status_code == 201) == len(orders)


async def _pay(airline: Any, order: dict[str, Any], key: dict[str, str]) -> Any:
    body = {
        "order_id": order["id"],
        "amount": order["total"],
        "method": {"type": "card", "token": "tok_visa"},
    }
    return await airline.guest.http.post("/v1/payments", json=body, headers=key)


async def _sold_while_a_worker_runs(airline: Any, offer: dict[str, Any]) -> None:
    order = await airline.guest.book(offer)
    assert 201 == (await airline.guest.pay(order)).status_code
    await airline.guest.awaited(order, "ticketed")


async def _ready(airline: Any) -> bool:
    return bool((await airline.guest.http.get("/ready")).status_code == 200)


async def _check_unavailable(airline: Any) -> None:
    """Every kind of request says that trying again may help."""
    http = airline.guest.http
    wanted = {
        "slices": [{"origin": "VIE", "destination": "KRK", "departure_date": "2099-01-01"}],
        "passengers": [{"type": "adult"}],
    }
    answers = [
        await http.get("/v1/markets"),
        await http.get("/v1/orders", params={"booking_reference": "ABCDEF", "family_name": "X"}),
        await http.post("/v1/offer-requests", json=wanted, headers=fresh_key()),
        await http.post(
            "/v1/orders",
            json={"offer_id": f"off_{'0' * 26}", "passengers": party("adult")},
            headers=fresh_key(),
        ),
        await http.get("/ready"),
    ]
    assert {503} == {one.status_code for one in answers}
    assert {True} == {one.json()["retryable"] for one in answers}
    assert {"1"} == {one.headers["retry-after"] for one in answers}
    assert 200 == (await http.get("/health")).status_code
