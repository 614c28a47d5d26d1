"""Paying through HTTP, as a client does, against the network of its own process."""

import asyncio
from typing import Any

import httpx
import pytest

CAPTURED = {"gateway_clearing": "123.45", "customer_deposits": "-123.45"}


async def test_payment_is_captured(shop: Any) -> None:
    """A good card pays the order: captured, entered, told to the other plugins, once."""
    order_id = shop.orders.new()
    answer = await shop.pay(order_id, key="k1")
    payment = answer.json()
    assert (answer.status_code, payment["status"]) == (201, "captured")
    assert payment == await shop.payment(payment["id"])
    assert payment == (await shop.pay(order_id, key="k1")).json()
    assert (await shop.ledger(order_id))["balance"] == CAPTURED
    assert await shop.events(order_id) == ["payment.payment-captured"]
    assert shop.charge(payment["id"])["captured_minor"] == 12345


async def test_paid_order_is_not_paid_again(shop: Any) -> None:
    """The reservation plugin's refusal reaches the customer."""
    order_id = shop.orders.new()
    await shop.pay(order_id)
    again = await shop.pay(order_id)
    assert (again.status_code, again.json()["code"]) == (409, "already-paid")


async def test_declined_card_then_another(shop: Any) -> None:
    """A declined card fails the payment with a reason; another card pays."""
    order_id = shop.orders.new()
    answer = await shop.pay(order_id, "tok_insufficient_funds")
    assert (answer.status_code, answer.json()["status"]) == (201, "failed")
    assert answer.json()["failure"]["code"] == "card-declined"
    assert shop.orders.statuses[order_id] == "held"
    assert (await shop.pay(order_id)).json()["status"] == "captured"
    assert (await shop.ledger(order_id))["balance"] == CAPTURED


async def test_silent_network(shop: Any) -> None:
    """An authorisation without an answer is pending, then found and captured by the sweeper."""
    order_id = shop.orders.new()
    answer = await shop.pay(order_id, "tok_timeout")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    blocked = await shop.pay(order_id)
    assert (blocked.status_code, blocked.json()["code"]) == (409, "payment-in-progress")
    await shop.sweep()
    assert (await shop.payment(answer.json()["id"]))["status"] == "captured"
    assert (await shop.ledger(order_id))["balance"] == CAPTURED


async def test_silent_capture(shop: Any) -> None:
    """A capture without an answer leaves the payment authorised; the sweeper ends it, once."""
    order_id = shop.orders.new()
    answer = await shop.pay(order_id, "tok_capture_timeout")
    assert (answer.status_code, answer.json()["status"]) == (202, "authorised")
    await shop.sweep()
    assert (await shop.payment(answer.json()["id"]))["status"] == "captured"
    assert shop.charge(answer.json()["id"])["captured_minor"] == 12345
    assert await shop.events(order_id) == ["payment.payment-captured"]


@pytest.mark.parametrize(
    ("pressed", "status", "code"),
    [("approve", "captured", None), ("decline", "failed", "card-declined")],
)
async def test_challenge(shop: Any, pressed: str, status: str, code: str | None) -> None:
    """The customer answers the card issuer, and the confirmation goes on from there."""
    order_id = shop.orders.new()
    asked = (await shop.pay(order_id, "tok_requires_action")).json()
    assert (asked["status"], asked["action"]["type"]) == ("requires_action", "redirect")
    confirmations = f"/v1/payments/{asked['id']}/confirmations"
    early = (await shop.guest.post(confirmations)).json()
    assert early["status"] == "requires_action"
    async with httpx.AsyncClient() as browser:
        await browser.post(asked["action"]["url"], data={"answer": pressed})
    done = await shop.guest.post(confirmations)
    assert (200, status) == (done.status_code, done.json()["status"])
    assert code == (done.json()["failure"] or {}).get("code")


async def test_unanswered_challenge(shop: Any) -> None:
    """A challenge that nobody answers ends, and the reservation of the money with it."""
    order_id = shop.orders.new()
    asked = (await shop.pay(order_id, "tok_requires_action")).json()
    await shop.deadlines_pass()
    await shop.sweep()
    ended = await shop.payment(asked["id"])
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "action-expired")
    assert shop.charge(asked["id"])["status"] == "voided"


async def test_order_expires_meanwhile(shop: Any) -> None:
    """Money reserved for an order that has expired is given up, and nothing is captured."""
    order_id = shop.orders.new()
    pending = (await shop.pay(order_id, "tok_timeout")).json()
    shop.orders.statuses[order_id] = "expired"
    await shop.sweep()
    ended = await shop.payment(pending["id"])
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "order-expired")
    assert shop.charge(pending["id"])["status"] == "voided"
    assert await shop.events(order_id) == []


async def test_total_changes_meanwhile(shop: Any) -> None:
    """A reservation of another amount than the order's is given up; the order stays held."""
    order_id = shop.orders.new()
    asked = (await shop.pay(order_id, "tok_timeout")).json()
    shop.orders.total = shop.orders.total.of(20000, "EUR")
    await shop.sweep()
    assert (await shop.payment(asked["id"]))["failure"]["code"] == "amount-changed"


async def test_two_payments_at_once(shop: Any) -> None:
    """Of several payments of one order at the same time one goes on, and one is captured."""
    order_id = shop.orders.new()
    answers = await asyncio.gather(*(shop.pay(order_id) for _ in range(5)))
    assert [answer.status_code for answer in answers].count(201) == 1
    refused = {answer.json()["code"] for answer in answers if answer.status_code != 201}
    assert refused <= {"payment-in-progress", "already-paid"}
    ledger = await shop.ledger(order_id)
    assert ledger["balance"] == CAPTURED
    assert len(ledger["payments"]) == 1


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


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"method": {"type": "card", "token": "4111 1111 1111 1111"}}, "/method/token"),
        ({"metadata": {"note": "pay with 4111-1111-1111-1111"}}, "/metadata/note"),
        ({"card_number": 4111111111111111}, "/card_number"),
        ({"method": {"type": "4111111111111111"}}, "/method/type"),
    ],
)
async def test_card_number_is_refused(
    shop: Any, caplog: pytest.LogCaptureFixture, body: dict[str, Any], pointer: str
) -> None:
    """A card number anywhere is refused, and neither answered, logged nor kept."""
    order_id = shop.orders.new()
    answer = await shop.pay(order_id, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "card-number-refused")
    assert [pointer] == [error["pointer"] for error in answer.json()["errors"]]
    assert "1111" not in answer.text
    assert "1111" not in caplog.text
    assert (await shop.pay(order_id)).json()["status"] == "captured"


async def test_wrong_amount(shop: Any) -> None:
    """Less than the total is no payment."""
    answer = await shop.pay(shop.orders.new(), amount={"amount": "1.00", "currency": "EUR"})
    assert (answer.status_code, answer.json()["code"]) == (422, "amount-mismatch")
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/amount"]


async def test_malformed_payment(shop: Any) -> None:
    """A field of the wrong type is named."""
    answer = await shop.pay(shop.orders.new(), method={"type": "card", "token": 5})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/method/token")
