"""Cancelling: the quote, its confirmation, the money and the documents afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_outside.processes import until
from pss_outside.rules import broken_rules, rules_are_kept
from pss_outside.traveller import credentials

pytestmark = [pytest.mark.xdist_group("journeys")]


async def _cancel(airline: Any, order: dict[str, Any]) -> dict[str, Any]:
    known = credentials(order)
    quoted = await airline.guest.post(f"/orders/{order['id']}/cancellations", **known)
    assert (201, "quoted") == (quoted.status_code, quoted.json()["status"]), quoted.text
    path = f"/cancellations/{quoted.json()['id']}/confirm"
    stranger = await airline.guest.post(path)
    assert 401 == stranger.status_code
    done = await airline.guest.post(path, **known)
    assert (200, "confirmed") == (done.status_code, done.json()["status"]), done.text
    again = await airline.guest.post(path, **known)
    assert (409, "order-cancelled") == (again.status_code, again.json()["code"])
    confirmed: dict[str, Any] = done.json()
    return confirmed


async def test_cancelled_and_refunded(airlines: Any) -> None:
    """A refundable order gives back what was quoted; its ledger and its documents agree."""
    for airline in airlines:
        offer = await airline.guest.bookable(*airline.market, refundable=True)
        order = await airline.guest.ticketed(offer)
        done = await _cancel(airline, order)
        refund, penalty = (Decimal(done[part]["amount"]) for part in ("refund", "penalty"))
        assert Decimal(order["total"]["amount"]) == refund + penalty
        fee = offer["conditions"]["cancellation_fee"]
        assert penalty == Decimal(fee["amount"] if fee else 0)

        async def given_back(airline: Any = airline, order: Any = order) -> Any:
            ledger = await airline.staff.get("/payments/ledger", order_id=order["id"])
            return ledger if {"refunded"} == {one["status"] for one in ledger["refunds"]} else None

        ledger = await until(given_back)
        assert (True, True) == (ledger["balanced"], ledger["reconciled"])
        assert [refund] == [Decimal(one["refunded"]["amount"]) for one in ledger["payments"]]
        left = {one["account"]: Decimal(one["balance"]["amount"]) for one in ledger["accounts"]}
        assert {"gateway_clearing": penalty, "penalty_revenue": -penalty} == {
            account: amount for account, amount in left.items() if amount
        } or (penalty == 0 and not any(left.values()))
        seen = await airline.guest.own(order)
        assert "cancelled" == seen["status"]
        coupons = {coupon["status"] for one in seen["documents"] for coupon in one["coupons"]}
        assert coupons == {"refunded"}
        refused = await airline.guest.check_in(order)
        assert (409, "not-ticketed") == (refused.status_code, refused.json()["code"])


async def test_unpaid_order_costs_nothing(aurelis: Any) -> None:
    """A held order is let go for nothing, and can't be paid any more."""
    order = await aurelis.guest.book(await aurelis.guest.bookable(*aurelis.market), hold=True)
    done = await _cancel(aurelis, order)
    assert ("0.00", "0.00") == (done["refund"]["amount"], done["penalty"]["amount"])
    paid = await aurelis.guest.pay(order)
    assert (409, "order-cancelled") == (paid.status_code, paid.json()["code"])


async def test_checked_in_order_is_not_cancelled(aurelis: Any) -> None:
    """Whoever is checked in is offloaded first; then the order can be cancelled."""
    order = await aurelis.guest.ticketed(await aurelis.guest.bookable(*aurelis.market))
    (issued,) = (await aurelis.guest.check_in(order)).json()["boarding_passes"]
    path, known = f"/orders/{order['id']}/cancellations", credentials(order)
    assert 409 == (await aurelis.guest.post(path, **known)).status_code
    check_in = issued["segments"][0]["check_in_id"]
    assert 401 == (await aurelis.guest.http.delete(f"/v1/check-ins/{check_in}")).status_code
    assert 200 == (await aurelis.staff.http.delete(f"/v1/check-ins/{check_in}")).status_code
    await _cancel(aurelis, order)


async def test_money_and_documents_agree(airlines: Any) -> None:
    """Asked at any time, no airline knows of an order whose money and documents disagree."""
    for airline in airlines:
        assert [] == (await airline.staff.get("/tickets/reconciliation"))["data"]
        assert [] == (await airline.staff.get("/orders/needs-attention"))["data"]


async def test_rules_are_kept(running: Any, airlines: Any) -> None:
    """Whatever the other tests have done, no airline rule is broken in the database."""
    folder = EmbeddedPostgres(running.data_dir).url.partition("host=")[2]
    owner = await asyncpg.connect(host=folder, user="postgres", database="postgres")
    try:
        for airline in airlines:
            await rules_are_kept(lambda code=airline.code: broken_rules(owner, f"t_{code}"))
    finally:
        await owner.close()
