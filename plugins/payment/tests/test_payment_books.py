"""The ledger on the database: one order's money can't be spent twice."""

import asyncio
import datetime as dt
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError

from pss_kernel import Conflict, Invalid, Problem, Tenant, new_id
from pss_kernel.testing import TestKit
from pss_payment.contracts import (
    DepositsShort,
    Entry,
    balance_of_order,
    post_entries,
    posted_within,
)
from pss_payment.ledger import capture_entries
from pss_payment.models import ledger_entry

REVENUE = [
    Entry(account="customer_deposits", debit_minor=600),
    Entry(account="ticket_revenue", credit_minor=500),
    Entry(account="tax_payable", credit_minor=100),
]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tenant(installation: Any) -> Tenant:
    """Open an airline for all tests; each has orders of its own."""
    return await TestKit(installation).make_tenant(plugins=["payment"])


@pytest_asyncio.fixture(loop_scope="session")
async def order_id(tenant: Tenant, unit_of_work: Any) -> str:
    """Make an order that has paid 10.00 EUR."""
    made = new_id("ord")
    async with unit_of_work(tenant) as uow:
        await post_entries(uow, made, "paid", "EUR", capture_entries(1000))
    return made


async def test_balances_add_up(tenant: Tenant, unit_of_work: Any, order_id: str) -> None:
    """Every account is there, and together they are nothing."""
    async with unit_of_work(tenant) as uow:
        await post_entries(uow, order_id, "tickets", "EUR", REVENUE)
        balance = await balance_of_order(uow, order_id)
    assert 0 == sum(balance.values())
    assert (1000, -400, -500, -100) == (
        balance["gateway_clearing"],
        balance["customer_deposits"],
        balance["ticket_revenue"],
        balance["tax_payable"],
    )


async def test_deposits_are_spent_once(tenant: Tenant, unit_of_work: Any, order_id: str) -> None:
    """Of several postings at once that together exceed the deposits, as many pass as fit."""

    async def spend() -> str:
        try:
            async with unit_of_work(tenant) as uow:
                await post_entries(uow, order_id, "tickets", "EUR", REVENUE)
        except Problem as problem:
            return problem.code
        return "posted"

    assert ["deposits-short"] * 4 + ["posted"] == sorted(
        await asyncio.gather(*(spend() for _ in range(5)))
    )
    async with unit_of_work(tenant) as uow:
        assert -400 == (await balance_of_order(uow, order_id))["customer_deposits"]


async def test_nothing_paid_nothing_spent(tenant: Tenant, unit_of_work: Any) -> None:
    """An order that has paid nothing has no deposits to take from."""
    with pytest.raises(DepositsShort):
        async with unit_of_work(tenant) as uow:
            await post_entries(uow, new_id("ord"), "tickets", "EUR", REVENUE)


async def test_one_currency_per_order(tenant: Tenant, unit_of_work: Any, order_id: str) -> None:
    """An order's ledger keeps to the currency of its first posting."""
    with pytest.raises(Conflict) as refusal:
        async with unit_of_work(tenant) as uow:
            await post_entries(uow, order_id, "paid", "JPY", capture_entries(1))
    assert "ledger-currency" == refusal.value.code


async def test_unbalanced_posting_leaves_nothing(
    tenant: Tenant, unit_of_work: Any, order_id: str
) -> None:
    """A posting is entered whole or not at all."""
    with pytest.raises(Invalid):
        async with unit_of_work(tenant) as uow:
            await post_entries(uow, order_id, "half", "EUR", REVENUE[:2])
    async with unit_of_work(tenant) as uow:
        assert -1000 == (await balance_of_order(uow, order_id))["customer_deposits"]


def line(order_id: str, account: str, debit: int, credit: int, **changes: Any) -> dict[str, Any]:
    facts = {
        "posting_id": "pst_1",
        "order_id": order_id,
        "reason": "by hand",
        "account": account,
        "currency": "EUR",
        "debit_minor": debit,
        "credit_minor": credit,
        "posted_at": dt.datetime.now(dt.UTC),
    }
    return facts | changes


@pytest.mark.parametrize(
    "second",
    [{"credit_minor": 499}, {"currency": "JPY"}, {"posting_id": "pst_2"}],
)
async def test_database_refuses_unbalanced_posting(
    tenant: Tenant, unit_of_work: Any, order_id: str, second: dict[str, Any]
) -> None:
    """What doesn't pass through the ledger's rules meets the same rule in the database."""
    rows = [
        line(order_id, "customer_deposits", 500, 0),
        line(order_id, "ticket_revenue", 0, 500, **second),
    ]
    with pytest.raises(IntegrityError, match="debits equal its credits"):
        async with unit_of_work(tenant) as uow:
            await uow.execute(insert(ledger_entry).values(rows))


@pytest.mark.parametrize(
    "change", ["UPDATE ledger_entry SET debit_minor = 0", "DELETE FROM ledger_entry"]
)
async def test_database_refuses_changes(
    tenant: Tenant, unit_of_work: Any, order_id: str, change: str
) -> None:
    """An entry stays as it was posted."""
    with pytest.raises(IntegrityError, match="append-only"):
        async with unit_of_work(tenant) as uow:
            await uow.execute(text(change))
    async with unit_of_work(tenant) as uow:
        assert -1000 == (await balance_of_order(uow, order_id))["customer_deposits"]


async def test_postings_within_a_period(tenant: Tenant, unit_of_work: Any, order_id: str) -> None:
    """A posting is recent for so long by the database's clock, and an order without one never."""
    async with unit_of_work(tenant) as uow:
        assert await posted_within(uow, order_id, dt.timedelta(hours=1))
        assert not await posted_within(uow, order_id, dt.timedelta(0))
        assert not await posted_within(uow, new_id("ord"), dt.timedelta(hours=1))
