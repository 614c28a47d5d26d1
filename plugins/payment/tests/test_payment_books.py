"""The ledger on the database: one order's money can't be spent twice."""

import asyncio
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel import Conflict, Invalid, Problem, Tenant
from pss_payment.contracts import DepositsShort, Entry, balance_of_order, post_entries
from pss_payment.ledger import capture_entries

REVENUE = [
    Entry(account="customer_deposits", debit_minor=600),
    Entry(account="ticket_revenue", credit_minor=500),
    Entry(account="tax_payable", credit_minor=100),
]


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(make_tenant: Any, unit_of_work: Any) -> Tenant:
    """Open an airline with one order that has paid 10.00 EUR."""
    opened: Tenant = await make_tenant(plugins=["payment"])
    async with unit_of_work(opened) as uow:
        await post_entries(uow, "ord_1", "paid", "EUR", capture_entries(1000))
    return opened


async def test_balances_add_up(tenant: Tenant, unit_of_work: Any) -> None:
    """Every account is there, and together they are nothing."""
    async with unit_of_work(tenant) as uow:
        await post_entries(uow, "ord_1", "tickets", "EUR", REVENUE)
        balance = await balance_of_order(uow, "ord_1")
    assert 0 == sum(balance.values())
    assert (1000, -400, -500, -100) == (
        balance["gateway_clearing"],
        balance["customer_deposits"],
        balance["ticket_revenue"],
        balance["tax_payable"],
    )


async def test_deposits_are_spent_once(tenant: Tenant, unit_of_work: Any) -> None:
    """Of several postings at once that together exceed the deposits, as many pass as fit."""

    async def spend() -> str:
        try:
            async with unit_of_work(tenant) as uow:
                await post_entries(uow, "ord_1", "tickets", "EUR", REVENUE)
        except Problem as problem:
            return problem.code
        return "posted"

    assert ["deposits-short"] * 4 + ["posted"] == sorted(
        await asyncio.gather(*(spend() for _ in range(5)))
    )
    async with unit_of_work(tenant) as uow:
        assert -400 == (await balance_of_order(uow, "ord_1"))["customer_deposits"]


async def test_nothing_paid_nothing_spent(tenant: Tenant, unit_of_work: Any) -> None:
    """An order that has paid nothing has no deposits to take from."""
    with pytest.raises(DepositsShort):
        async with unit_of_work(tenant) as uow:
            await post_entries(uow, "ord_2", "tickets", "EUR", REVENUE)


async def test_one_currency_per_order(tenant: Tenant, unit_of_work: Any) -> None:
    """An order's ledger keeps to the currency of its first posting."""
    with pytest.raises(Conflict) as refusal:
        async with unit_of_work(tenant) as uow:
            await post_entries(uow, "ord_1", "paid", "JPY", capture_entries(1))
    assert "ledger-currency" == refusal.value.code


async def test_unbalanced_posting_leaves_nothing(tenant: Tenant, unit_of_work: Any) -> None:
    """A posting is entered whole or not at all."""
    with pytest.raises(Invalid):
        async with unit_of_work(tenant) as uow:
            await post_entries(uow, "ord_1", "half", "EUR", REVENUE[:2])
    async with unit_of_work(tenant) as uow:
        assert -1000 == (await balance_of_order(uow, "ord_1"))["customer_deposits"]
