"""Payments given up, orders cancelled, refunds refused and retried."""

import asyncio
from typing import Any

import httpx
import pytest

from pss_kernel import new_id
from pss_payment.contracts import Outcome
from pss_payment_sandbox.gateway import SandboxGateway


async def test_cancelled_order_is_refunded(shop: Any) -> None:
    """The refund goes back through the network, the penalty stays, the ledger agrees."""
    order_id = shop.orders.new()
    payment = (await shop.pay(order_id)).json()
    await shop.cancel(order_id, 10000, 2345)
    assert (await shop.ledger(order_id))["balance"] == {
        "gateway_clearing": "123.45",
        "refunds_payable": "-100.00",
        "penalty_revenue": "-23.45",
    }
    await asyncio.gather(*(shop.sweep() for _ in range(4)))
    assert (await shop.ledger(order_id))["balance"] == {
        "gateway_clearing": "23.45",
        "penalty_revenue": "-23.45",
    }
    assert (await shop.payment(payment["id"]))["refunded"]["amount"] == "100.00"
    assert shop.charge(payment["id"])["refunded_minor"] == 10000
    assert await shop.events(order_id) == ["payment.payment-captured", "payment.payment-refunded"]


@pytest.mark.parametrize(
    ("token", "status", "flagged"),
    [("tok_refund_timeout", "refunded", False), ("tok_refund_declined", "refused", True)],
)
async def test_troubled_refund(shop: Any, token: str, status: str, flagged: bool) -> None:
    """A refund without an answer is tried again, once in effect; a refused one goes to staff."""
    order_id = shop.orders.new()
    await shop.pay(order_id, token)
    await shop.cancel(order_id, 12345, 0)
    await shop.sweep()
    await shop.sweep()
    ledger = await shop.ledger(order_id)
    assert [status] == [refund["status"] for refund in ledger["refunds"]]
    assert flagged == (order_id in shop.orders.flagged)


@pytest.mark.parametrize("answered", [False, True])
async def test_challenge_is_given_up(shop: Any, answered: bool) -> None:
    """A customer who gives a challenge up pays with another card at once; nothing is reserved."""
    order_id = shop.orders.new()
    asked = (await shop.pay(order_id, "tok_requires_action")).json()
    if answered:
        async with httpx.AsyncClient() as browser:
            await browser.post(asked["action"]["url"], data={"answer": "approve"})
    for _ in range(2):
        given_up = await shop.guest.post(f"/v1/payments/{asked['id']}/cancellation")
        assert (200, "failed") == (given_up.status_code, given_up.json()["status"])
        assert "payment-cancelled" == given_up.json()["failure"]["code"]
    assert "voided" == shop.charge(asked["id"])["status"]
    assert "captured" == (await shop.pay(order_id)).json()["status"]


async def test_silent_payment_is_given_up(shop: Any) -> None:
    """A payment whose answer is awaited can be given up; what was reserved unheard is voided."""
    order_id = shop.orders.new()
    pending = (await shop.pay(order_id, "tok_timeout")).json()
    given_up = await shop.guest.post(f"/v1/payments/{pending['id']}/cancellation")
    assert "payment-cancelled" == given_up.json()["failure"]["code"]
    assert "voided" == shop.charge(pending["id"])["status"]
    assert "captured" == (await shop.pay(order_id)).json()["status"]


async def test_captured_payment_is_not_given_up(shop: Any) -> None:
    """Money that was taken comes back by cancelling the order."""
    payment = (await shop.pay(shop.orders.new())).json()
    refused = await shop.guest.post(f"/v1/payments/{payment['id']}/cancellation")
    assert (409, "payment-not-cancellable") == (refused.status_code, refused.json()["code"])
    assert "captured" == (await shop.payment(payment["id"]))["status"]


async def test_refused_refund_is_retried(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staff retry a refund that was refused; it is carried out once, under a key of its own."""
    order_id = shop.orders.new()
    payment = (await shop.pay(order_id)).json()
    await shop.cancel(order_id, 12345, 0)

    async def declines(*_given: Any) -> Outcome:
        return Outcome(status="declined", decline_reason="account-closed")

    with monkeypatch.context() as closed:
        closed.setattr(SandboxGateway, "refund", declines)
        await shop.sweep()
    (refund,) = (await shop.ledger(order_id))["refunds"]
    retry = f"/v1/refunds/{refund['id']}/retry"
    assert 401 == (await shop.guest.post(retry)).status_code
    for _ in range(2):
        answer = await shop.staff.post(retry)
        assert (200, "refunded") == (answer.status_code, answer.json()["status"])
    assert {} == (await shop.ledger(order_id))["balance"]
    assert 12345 == shop.charge(payment["id"])["refunded_minor"]
    assert 404 == (await shop.staff.post(f"/v1/refunds/{new_id('rfd')}/retry")).status_code


async def test_retry_is_refused_again(shop: Any) -> None:
    """A refund that is refused again stays refused, and staff are told again."""
    order_id = shop.orders.new()
    await shop.pay(order_id, "tok_refund_declined")
    await shop.cancel(order_id, 12345, 0)
    await shop.sweep()
    (refund,) = (await shop.ledger(order_id))["refunds"]
    answer = await shop.staff.post(f"/v1/refunds/{refund['id']}/retry")
    assert (200, "refused") == (answer.status_code, answer.json()["status"])
    assert [order_id] * 2 == shop.orders.flagged
