"""A network for all tests, and an airline whose orders are played."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from pss_kernel import Money, Tenant, UnitOfWork, new_id
from pss_kernel.testing import TestKit
from pss_payment import cancellations, flow, refunds, steps
from pss_payment_sandbox.testing import RunningNetwork, running_network
from pss_reservation.contracts import (
    AlreadyPaid,
    OrderCancelled,
    OrderCancelledProblem,
    OrderExpiredProblem,
)

REFUSALS = {
    "expired": OrderExpiredProblem,
    "cancelled": OrderCancelledProblem,
    "confirmed": AlreadyPaid,
}


@pytest.fixture(scope="session")
def start_network() -> Iterator[Callable[[Path], RunningNetwork]]:
    """Start further networks, each on its state file."""
    with contextlib.ExitStack() as stack:
        yield lambda state: stack.enter_context(running_network(state))


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNetwork]:
    """One network for all tests; each test uses payments of its own."""
    with running_network(tmp_path_factory.mktemp("network")) as running:
        yield running


@dataclass
class Orders:
    """Orders of 123.45 EUR, as the reservation plugin would keep them."""

    statuses: dict[str, str] = field(default_factory=dict)
    flagged: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    total: Money = field(default_factory=lambda: Money("123.45", "EUR"))

    def new(self, status: str = "held") -> str:
        """Make an order."""
        order_id = new_id("ord")
        self.statuses[order_id] = status
        return order_id

    async def payable(self, _uow: UnitOfWork, order_id: str) -> SimpleNamespace:
        self._refuse(order_id)
        return SimpleNamespace(order_id=order_id, total=self.total, status="held")

    async def confirm_order(self, _uow: UnitOfWork, order_id: str) -> None:
        self._refuse(order_id)
        self.statuses[order_id] = "confirmed"

    async def order_by_id(self, _uow: UnitOfWork, order_id: str) -> SimpleNamespace:
        return SimpleNamespace(id=order_id, status=self.statuses[order_id], total=self.total)

    async def mark_needs_attention(self, _uow: UnitOfWork, order_id: str, reason: str) -> None:
        self.flagged.append(order_id)
        self.reasons.append(reason)

    def _refuse(self, order_id: str) -> None:
        if self.statuses[order_id] != "held":
            raise REFUSALS[self.statuses[order_id]]


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Orders:
    """Play the reservation plugin for the payment plugin."""
    played = Orders()
    for module in (cancellations, flow, refunds, steps):
        for name in ("payable", "confirm_order", "order_by_id", "mark_needs_attention"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, getattr(played, name))
    return played


@dataclass
class Shop:
    """An airline that takes cards: its guests, its staff, its clock and its jobs."""

    tenant: Tenant
    kit: Any
    guest: Any
    staff: Any
    orders: Orders
    network: RunningNetwork

    async def pay(self, order_id: str, card: str = "tok_visa", **more: Any) -> Any:
        """Ask for a payment of the order's total."""
        key = more.pop("key", new_id("key"))
        body = {
            "order_id": order_id,
            "amount": {"amount": "123.45", "currency": "EUR"},
            "method": {"type": "card", "token": card},
        } | more
        return await self.guest.post("/v1/payments", json=body, headers={"Idempotency-Key": key})

    async def payment(self, payment_id: str) -> dict[str, Any]:
        """See the payment as the guest does."""
        return (await self.guest.get(f"/v1/payments/{payment_id}")).json()

    async def ledger(self, order_id: str) -> dict[str, Any]:
        """See the order's ledger, which must hold together whenever it is looked at."""
        shown = (await self.staff.get("/v1/payments/ledger", params={"order_id": order_id})).json()
        assert shown["balanced"], shown
        assert shown["reconciled"], shown
        shown["balance"] = {
            one["account"]: one["balance"]["amount"]
            for one in shown["accounts"]
            if one["balance"]["amount"] != "0.00"
        }
        return shown

    async def sweep(self) -> None:
        """Let everything be due, then run both jobs."""
        await self.due()
        await self.kit.run_job(self.tenant, "payment", "settle_payments")
        await self.kit.run_job(self.tenant, "payment", "settle_refunds")

    async def due(self) -> None:
        """Let every payment and refund be due."""
        async with self.kit.unit_of_work(self.tenant) as uow:
            await uow.execute(text("UPDATE payment SET attempt_at = now()"))
            await uow.execute(text("UPDATE refund SET attempt_at = now()"))

    async def deadlines_pass(self) -> None:
        """Let challenges and watches end."""
        async with self.kit.unit_of_work(self.tenant) as uow:
            await uow.execute(text("UPDATE payment SET deadline_at = now() - interval '1 second'"))

    async def cancel(self, order_id: str, refund_minor: int, penalty_minor: int) -> None:
        """Cancel the order on these terms, and have the event handled."""
        self.orders.statuses[order_id] = "cancelled"
        async with self.kit.unit_of_work(self.tenant) as uow:
            event = OrderCancelled(
                order_id=order_id,
                refund_minor=refund_minor,
                penalty_minor=penalty_minor,
                currency="EUR",
            )
            uow.emit(event, stream=order_id)
        await self.kit.deliver(self.tenant)

    async def events(self, order_id: str) -> list[str]:
        """Name the payment plugin's events of the order, in their order."""
        async with self.kit.unit_of_work(self.tenant) as uow:
            rows = await uow.fetch_all(
                text(
                    "SELECT event_type AS type FROM event WHERE stream = :order"
                    " ORDER BY stream_version"
                ),
                {"order": order_id},
            )
        return [row["type"] for row in rows if row["type"].startswith("payment.")]

    def charge(self, payment_id: str) -> dict[str, Any] | None:
        """See the payment's charge as the network does."""
        with self.network.client(self.tenant.code) as client:
            found = client.get("/charges", params={"payment_id": payment_id}).json()["data"]
        return found[0] if found else None


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def airline(installation: Any, network: RunningNetwork) -> AsyncIterator[Shop]:
    """Open an airline with leases that end at once, so that workers meet on every payment."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(
        settings={
            "payment": {"lease_seconds": 0, "attention_attempts": 2},
            "payment_sandbox": {"url": network.url, "timeout_seconds": 0.5},
        },
        plugins=["payment", "payment_sandbox"],
    )
    staff_scopes = ["payment:read", "payment:refund"]
    async with kit.http(tenant) as guest, kit.http(tenant, staff_scopes) as staff:
        yield Shop(tenant, kit, guest, staff, Orders(), network)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(airline: Shop, orders: Orders) -> AsyncIterator[Shop]:
    """Open the airline with orders of the test's own; what the test leaves undone is ended."""
    yield replace(airline, orders=orders)
    async with airline.kit.unit_of_work(airline.tenant) as uow:
        await uow.execute(
            text("UPDATE payment SET status = 'failed' WHERE status NOT IN ('captured', 'failed')")
        )
        await uow.execute(text("UPDATE refund SET status = 'refused' WHERE status = 'pending'"))
