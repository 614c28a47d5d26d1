"""Payments whose worker dies half-way, and workers that meet on one payment."""

import asyncio
from typing import Any

import httpx
import pytest

from pss_payment import refund_store, steps, store
from pss_payment.contracts import Outcome
from pss_payment.flow import resume
from pss_payment.refunds import carry_out
from pss_payment_sandbox.gateway import SandboxGateway

WORKERS = 4
CAPTURED = {"gateway_clearing": "123.45", "customer_deposits": "-123.45"}


class Died(BaseException):
    """The process ended here."""


def die(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, after: bool) -> None:
    """Let the next call of a coroutine function die, before or after what it does."""
    original = getattr(owner, name)

    async def dying(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        if after:
            await original(*given, **named)
        raise Died

    monkeypatch.setattr(owner, name, dying)


async def dying_payment(shop: Any, order_id: str, card: str = "tok_visa") -> str:
    """Pay until the worker dies; gives the payment's id."""
    with pytest.raises(BaseException) as death:  # noqa: PT011 - the client may wrap it in a group
        await shop.pay(order_id, card)
    assert (
        death.group_contains(Died)
        if isinstance(death.value, BaseExceptionGroup)
        else (isinstance(death.value, Died))
    )
    (payment,) = (await shop.ledger(order_id))["payments"]
    return str(payment["id"])


async def unheard_payment(shop: Any, monkeypatch: pytest.MonkeyPatch, order_id: str) -> str:
    """Let the network reserve the money, and nobody hear of it; gives the payment's id."""
    die(monkeypatch, SandboxGateway, "authorise", after=True)
    return await dying_payment(shop, order_id)


@pytest.mark.parametrize(
    ("owner", "name", "after"),
    [
        (SandboxGateway, "authorise", True),
        (SandboxGateway, "capture", False),
        (SandboxGateway, "capture", True),
        (steps, "_confirm_order", False),
        (steps, "_enter_capture", False),
        (steps, "_enter_capture", True),
    ],
)
async def test_death_is_finished(
    shop: Any, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, after: bool
) -> None:
    """Wherever the request dies once the money is reserved, the sweeper captures it, once."""
    order_id = shop.orders.new()
    die(monkeypatch, owner, name, after=after)
    payment_id = await dying_payment(shop, order_id)
    await shop.sweep()
    assert (await shop.payment(payment_id))["status"] == "captured"
    assert (await shop.ledger(order_id))["balance"] == CAPTURED
    assert shop.charge(payment_id)["captured_minor"] == 12345
    assert await shop.events(order_id) == ["payment.payment-captured"]


async def test_death_before_the_network_was_asked(
    shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payment that the network never saw fails, and the order can be paid anew."""
    order_id = shop.orders.new()
    die(monkeypatch, SandboxGateway, "authorise", after=False)
    payment_id = await dying_payment(shop, order_id)
    await shop.sweep()
    ended = await shop.payment(payment_id)
    assert (ended["status"], ended["failure"]["code"]) == ("failed", "gateway-no-answer")
    assert (await shop.pay(order_id)).json()["status"] == "captured"
    assert (await shop.ledger(order_id))["balance"] == CAPTURED


async def test_late_authorisation_is_given_up(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authorisation that turns up after the payment has failed is voided."""
    order_id = shop.orders.new()
    die(monkeypatch, SandboxGateway, "authorise", after=False)
    payment_id = await dying_payment(shop, order_id)
    await shop.sweep()
    with shop.network.client(shop.tenant.code) as client:
        body = {"payment_id": payment_id, "amount_minor": 12345, "currency": "EUR"}
        client.post(
            "/charges", json=body | {"token": "tok_visa"}, headers={"Idempotency-Key": payment_id}
        )
    await shop.deadlines_pass()
    await shop.sweep()
    assert shop.charge(payment_id)["status"] == "voided"
    assert (await shop.payment(payment_id))["status"] == "failed"


@pytest.mark.parametrize("after", [False, True])
async def test_death_while_giving_up(
    shop: Any, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """The reservation for an order that can't be confirmed is given up by whoever comes next."""
    order_id = shop.orders.new()
    payment_id = await unheard_payment(shop, monkeypatch, order_id)
    shop.orders.statuses[order_id] = "cancelled"
    die(monkeypatch, SandboxGateway, "void", after=after)
    with pytest.raises(Died):
        await shop.sweep()
    assert (await shop.payment(payment_id))["status"] == "failed"
    await shop.sweep()
    assert shop.charge(payment_id)["status"] == "voided"


@pytest.mark.parametrize("after", [False, True])
async def test_death_while_refunding(
    shop: Any, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """A refund is carried out once, whoever died over it."""
    order_id = shop.orders.new()
    payment = (await shop.pay(order_id)).json()
    await shop.cancel(order_id, 12345, 0)
    die(monkeypatch, SandboxGateway, "refund", after=after)
    with pytest.raises(Died):
        await shop.sweep()
    assert (await shop.ledger(order_id))["balance"] == {
        "gateway_clearing": "123.45",
        "refunds_payable": "-123.45",
    }
    await shop.sweep()
    assert (await shop.ledger(order_id))["balance"] == {}
    assert shop.charge(payment["id"])["refunded_minor"] == 12345


def meet(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the answers of a gateway's method reach all workers at the same moment, once."""
    original = getattr(SandboxGateway, name)
    everybody = asyncio.Barrier(WORKERS)

    async def meeting(*given: Any) -> Any:
        answer = await original(*given)
        await everybody.wait()
        monkeypatch.setattr(SandboxGateway, name, original)
        return answer

    monkeypatch.setattr(SandboxGateway, name, meeting)


async def all_work(shop: Any, rows: Any, order_id: str, act: Any) -> None:
    """Let several workers that have read the same row act on it, as when a lease has ended."""
    async with shop.kit.unit_of_work(shop.tenant) as uow:
        (row,) = await rows.of_order(uow, order_id)
    async with asyncio.timeout(20):
        await asyncio.gather(
            *(act(shop.kit.installation.work(shop.tenant), row) for _ in range(WORKERS))
        )


@pytest.mark.parametrize("method", ["lookup", "capture"])
async def test_many_workers_on_one_payment(
    shop: Any, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Workers that hear the same answer at once capture once, enter it once, tell it once."""
    order_id = shop.orders.new()
    payment_id = await unheard_payment(shop, monkeypatch, order_id)
    meet(monkeypatch, method)
    await all_work(shop, store, order_id, resume)
    assert "captured" == (await shop.payment(payment_id))["status"]
    assert CAPTURED == (await shop.ledger(order_id))["balance"]
    assert ["payment.payment-captured"] == await shop.events(order_id)
    assert "captured" == shop.charge(payment_id)["status"]


@pytest.mark.parametrize("turn", range(3))
async def test_confirmed_and_given_up_at_once(shop: Any, turn: int) -> None:
    """Of a confirmation and a cancellation at once one decides, and the money agrees with it."""
    order_id = shop.orders.new()
    asked = (await shop.pay(order_id, "tok_requires_action")).json()
    async with httpx.AsyncClient() as browser:
        await browser.post(asked["action"]["url"], data={"answer": "approve"})
    calls = ["confirmations", "cancellation"]
    answers = await asyncio.gather(
        *(shop.guest.post(f"/v1/payments/{asked['id']}/{call}") for call in calls)
    )
    await shop.sweep()
    ended = (await shop.payment(asked["id"]))["status"], shop.charge(asked["id"])["status"]
    cancelled = answers[1].status_code == 200
    assert ended == (("failed", "voided") if cancelled else ("captured", "captured"))
    assert (await shop.ledger(order_id))["balance"] == ({} if cancelled else CAPTURED)


async def test_many_workers_on_one_refund(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that carry out the same refund at once give the money back once."""
    order_id = shop.orders.new()
    payment = (await shop.pay(order_id)).json()
    await shop.cancel(order_id, 10000, 2345)
    meet(monkeypatch, "refund")
    await all_work(shop, refund_store, order_id, carry_out)
    assert {"gateway_clearing": "23.45", "penalty_revenue": "-23.45"} == (
        await shop.ledger(order_id)
    )["balance"]
    assert 10000 == shop.charge(payment["id"])["refunded_minor"]
    assert 1 == (await shop.events(order_id)).count("payment.payment-refunded")


async def test_cancelled_while_capturing(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture that ends after the cancellation is settled by its terms, and issues nothing."""
    order_id = shop.orders.new()
    die(monkeypatch, SandboxGateway, "capture", after=True)
    await dying_payment(shop, order_id)
    await shop.cancel(order_id, 10000, 2345)
    await shop.sweep()
    await shop.sweep()
    assert (await shop.ledger(order_id))["balance"] == {
        "gateway_clearing": "23.45",
        "penalty_revenue": "-23.45",
    }
    assert await shop.events(order_id) == ["payment.payment-refunded"]


async def test_captured_for_an_expired_order(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Money captured for an order that has ended goes back whole."""
    order_id = shop.orders.new()
    die(monkeypatch, SandboxGateway, "capture", after=True)
    payment_id = await dying_payment(shop, order_id)
    shop.orders.statuses[order_id] = "expired"
    await shop.sweep()
    await shop.sweep()
    assert (await shop.ledger(order_id))["balance"] == {}
    assert shop.charge(payment_id)["refunded_minor"] == 12345


async def test_refused_capture(shop: Any) -> None:
    """A confirmed order whose money can't be captured is put before staff."""
    order_id = shop.orders.new()
    answer = await shop.pay(order_id, "tok_capture_declined")
    assert answer.json()["failure"]["code"] == "capture-refused"
    assert [order_id] == shop.orders.flagged
    assert (await shop.ledger(order_id))["balance"] == {}


async def test_refund_of_what_was_never_captured(shop: Any) -> None:
    """Staff are told when a cancelled order was promised money that was never taken."""
    order_id = shop.orders.new()
    await shop.pay(order_id, "tok_capture_declined")
    await shop.cancel(order_id, 10000, 2345)
    assert "A refund of 100.00 EUR was quoted" in shop.orders.reasons[-1]
    assert [order_id] * 2 == shop.orders.flagged


async def test_unpaid_order_is_cancelled(shop: Any) -> None:
    """An order that was never paid is cancelled without a word to staff."""
    await shop.cancel(shop.orders.new(), 0, 0)
    assert [] == shop.orders.flagged


async def test_silent_gateway_is_reported(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payment stays pending while the gateway is silent, and staff are told."""

    async def silent(*_given: Any) -> Outcome:
        return Outcome(status="unknown")

    monkeypatch.setattr(SandboxGateway, "lookup", silent)
    order_id = shop.orders.new()
    pending = (await shop.pay(order_id, "tok_timeout")).json()
    for _ in range(3):
        await shop.sweep()
    assert (await shop.payment(pending["id"]))["status"] == "pending"
    assert [order_id] == shop.orders.flagged
