"""Paying through HTTP, as a client does, against the network of its own process."""

import asyncio
from dataclasses import replace
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from pss_kernel import new_id

CAPTURED = {"gateway_clearing": "123.45", "customer_deposits": "-123.45"}


async def test_payment_is_captured(shop: Any) -> None:
    """A good card pays the order: captured, entered, told to the other plugins, once."""
    order_id, key = shop.orders.new(), new_id("key")
    answer = await shop.pay(order_id, key=key)
    payment = answer.json()
    assert (answer.status_code, payment["status"]) == (201, "captured")
    assert payment == await shop.payment(payment["id"])
    assert payment == (await shop.pay(order_id, key=key)).json()
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


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"method": {"type": "card", "token": 5}}, ["/method/token"]),
        (
            {"method": {"type": "cash", "token": ""}, "return_url": "ftp://x", "tip": 1},
            ["/method/token", "/method/type", "/return_url", "/tip"],
        ),
    ],
)
async def test_malformed_payment(shop: Any, body: dict[str, Any], pointers: list[str]) -> None:
    """Every field that is wrong is named."""
    answer = await shop.pay(shop.orders.new(), **body)
    assert (422, "invalid") == (answer.status_code, answer.json()["code"])
    assert pointers == sorted(error["pointer"] for error in answer.json()["errors"])


@pytest.mark.parametrize("content", [b"", b"{", b"4111111111111111 {", b"\xff"])
async def test_no_json(shop: Any, content: bytes) -> None:
    """What is no JSON is refused without a word of it."""
    headers = {"Content-Type": "application/json"}
    answer = await shop.guest.post("/v1/payments", content=content, headers=headers)
    assert answer.status_code in {400, 422}
    assert "1111" not in answer.text


async def test_payment_is_described(shop: Any) -> None:
    """OpenAPI shows every field of a payment, with its meaning."""
    described = (await shop.guest.get("/docs/openapi.json")).json()
    operation = described["paths"]["/v1/payments"]["post"]
    (content,) = operation["requestBody"]["content"].values()
    schema = described["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
    assert {"order_id", "amount", "method", "return_url", "metadata"} == set(schema["properties"])
    assert {"order_id", "amount", "method"} == set(schema["required"])
    assert "The order that is paid." == schema["properties"]["order_id"]["description"]


async def test_key_is_of_one_payment(shop: Any) -> None:
    """A caller's key names one payment for ever, also when its answer is forgotten."""
    first, second, key = shop.orders.new(), shop.orders.new(), new_id("key")
    payment = (await shop.pay(first, key=key)).json()
    async with shop.kit.unit_of_work(shop.tenant) as uow:
        await uow.execute(text("DELETE FROM idempotency WHERE key = :key"), {"key": key})
    assert payment["id"] == (await shop.pay(first, key=key)).json()["id"]
    async with shop.kit.unit_of_work(shop.tenant) as uow:
        await uow.execute(text("DELETE FROM idempotency WHERE key = :key"), {"key": key})
    other = await shop.pay(second, key=key)
    assert (422, "idempotency-key-reused") == (other.status_code, other.json()["code"])


async def test_callers_have_keys_of_their_own(shop: Any) -> None:
    """The same key of another caller is another payment."""
    key = new_id("key")
    mine = (await shop.pay(shop.orders.new(), key=key)).json()
    async with shop.kit.http(shop.tenant, ["payment:pay"]) as integrator:
        theirs = (await replace(shop, guest=integrator).pay(shop.orders.new(), key=key)).json()
    assert "captured" == theirs["status"]
    assert mine["id"] != theirs["id"]


async def test_challenge_gives_way(shop: Any) -> None:
    """A challenge that nobody answers blocks no other payment; its reservation is given up."""
    order_id = shop.orders.new()
    blocking = (await shop.pay(order_id, "tok_requires_action")).json()
    paid = await shop.pay(order_id)
    assert (201, "captured") == (paid.status_code, paid.json()["status"])
    await shop.sweep()
    ended = await shop.payment(blocking["id"])
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "payment-cancelled")
    assert "voided" == shop.charge(blocking["id"])["status"]
    assert (await shop.ledger(order_id))["balance"] == CAPTURED


async def test_one_of_many_replaces_the_challenge(shop: Any) -> None:
    """Of payments that meet on a challenge one pays, and the order is paid once."""
    order_id = shop.orders.new()
    blocking = (await shop.pay(order_id, "tok_requires_action")).json()
    async with httpx.AsyncClient() as browser:
        await browser.post(blocking["action"]["url"], data={"answer": "approve"})
    confirmations = f"/v1/payments/{blocking['id']}/confirmations"
    await asyncio.gather(*(shop.pay(order_id) for _ in range(4)), shop.guest.post(confirmations))
    await shop.sweep()
    shown = await shop.ledger(order_id)
    assert ["captured"] == [one["status"] for one in shown["payments"] if one["status"] != "failed"]
    assert shown["balance"] == CAPTURED


async def test_card_number_as_key(shop: Any) -> None:
    """An Idempotency-Key that looks like a card number is refused, and no payment is begun."""
    order_id = shop.orders.new()
    answer = await shop.pay(order_id, key="4111111111111111")
    assert (422, "card-number-refused") == (answer.status_code, answer.json()["code"])
    assert "4111" not in answer.text
    async with shop.kit.unit_of_work(shop.tenant) as uow:
        for table in ("payment", "idempotency"):
            statement = text(
                f"SELECT count(*) FROM {table} AS kept WHERE kept::text LIKE '%411111%'"
            )
            assert 0 == await uow.scalar(statement)
