"""Payments against time and against a network that falls silent or dies."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from pss_outside.processes import until

pytestmark = [pytest.mark.xdist_group("faults")]

_RACES = 36


async def test_hold_expiry_against_payment(airline: Any) -> None:
    """A hold that ends while it is paid is ticketed and paid, or expired and not: never both."""
    orders = await airline.book(await airline.nonstop("BCN"), _RACES)
    chance = random.Random(11)  # noqa: S311 - the same moments every time
    # A third has ended before, a third ends in the middle, a third long after.
    ends = [(-50, chance.randrange(250), 20_000)[place % 3] for place in range(_RACES)]
    for order, milliseconds in zip(orders, ends, strict=True):
        await airline.sql(
            "UPDATE orders SET payment_required_by ="
            " clock_timestamp() + make_interval(secs => $2::float8 / 1000) WHERE id = $1",
            order["id"],
            milliseconds,
        )
    paying = True

    async def expire() -> None:
        while paying:
            await airline.kit.run_job(airline.tenant, "reservation", "expire_holds")

    expiring = [asyncio.create_task(expire()) for _ in range(2)]
    answers = await asyncio.gather(*(airline.guest.pay(one) for one in orders))
    paying = False
    await asyncio.gather(*expiring)
    assert {201, 202, 409} >= {one.status_code for one in answers}
    assert {"order-expired"} == {one.json()["code"] for one in answers if one.status_code == 409}
    await airline.sql(
        "UPDATE orders SET payment_required_by = now() WHERE status = 'held' AND id = ANY($1)",
        [one["id"] for one in orders],
    )
    await airline.keeps_the_rules()
    outcomes = [await _outcome(airline, one) for one in orders]
    assert {("ticketed", 1, 1), ("expired", 0, 0)} == set(outcomes)
    # Only what ended in the middle could go either way.
    assert {("expired", 0, 0)} == set(outcomes[0::3])
    assert {("ticketed", 1, 1)} == set(outcomes[2::3])


async def _outcome(airline: Any, order: dict[str, Any]) -> tuple[str, int, int]:
    """Give the order's status, and how many payments were captured and tickets issued for it."""
    (row,) = await airline.sql(
        "SELECT status,"
        " (SELECT count(*) FROM payment WHERE order_id = o.id AND status = 'captured') AS paid,"
        " (SELECT count(*) FROM ticket WHERE order_id = o.id) AS tickets"
        " FROM orders o WHERE id = $1",
        order["id"],
    )
    return (row["status"], row["paid"], row["tickets"])


@pytest.mark.parametrize("token", ["tok_timeout", "tok_capture_timeout"])
async def test_silent_gateway(airline: Any, token: str) -> None:
    """A payment without an answer is kept, looked up and ended; the customer is ticketed once."""
    (order,) = await airline.book(await airline.nonstop("ZRH"), 1)
    answer = await airline.guest.pay(order, token)
    assert 202 == answer.status_code
    await airline.keeps_the_rules()
    assert ("ticketed", 1, 1) == await _outcome(airline, order)


async def test_network_dies_under_payments(airline: Any) -> None:
    """Killed while it takes money, the network comes back: every payment ends one way or other."""
    orders = await airline.book(await airline.nonstop("BER"), 16)
    paying = [asyncio.create_task(airline.guest.pay(one)) for one in orders]
    await until(lambda: any(one.done() for one in paying))
    airline.cards.kill()
    answers = await asyncio.gather(*paying)
    assert {201, 202} >= {one.status_code for one in answers}
    airline.cards.start()
    await airline.keeps_the_rules()
    for order, answer in zip(orders, answers, strict=True):
        shown = await airline.guest.get(f"/payments/{answer.json()['id']}")
        assert shown["status"] in {"captured", "failed"}
        expected = "ticketed" if shown["status"] == "captured" else "held"
        assert expected == (await airline.guest.own(order))["status"]


async def test_payment_and_cancellation_at_once(airline: Any) -> None:
    """An order that is paid and cancelled in the same moment is refunded or never charged."""
    orders = await airline.book(await airline.nonstop("MUC"), 12)

    async def cancel(order: dict[str, Any]) -> int:
        path = f"/orders/{order['id']}/cancellations"
        quoted = await airline.staff.post(path)
        if quoted.status_code != 201:
            return int(quoted.status_code)
        done = await airline.staff.post(f"/cancellations/{quoted.json()['id']}/confirm")
        return int(done.status_code)

    answers = await asyncio.gather(
        *(airline.guest.pay(one) for one in orders), *(cancel(one) for one in orders)
    )
    assert {200, 409} >= set(answers[len(orders) :])
    await airline.keeps_the_rules()
    ended = {(await airline.guest.own(one))["status"] for one in orders}
    assert {"ticketed", "cancelled"} >= ended
