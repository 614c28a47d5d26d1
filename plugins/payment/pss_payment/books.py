"""The ledger in the database: locking an order's account, posting, adding up."""

from datetime import timedelta
from typing import Any

from sqlalchemy import RowMapping, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from pss_kernel import Conflict, UnitOfWork, new_id

from .contracts import DepositsShort, Entry
from .ledger import balances, check_entries, deposits_change
from .models import ledger_entry, order_account

__all__ = ["balance", "entries_of", "lock_account", "post", "posted_since"]


async def lock_account(uow: UnitOfWork, order_id: str, currency: str) -> RowMapping:
    """Lock the order's account until this transaction ends, opening it where there is none.

    Whoever posts, captures or cancels holds it, so that none of them misses another.
    """
    opened = {"order_id": order_id, "currency": currency, "deposits_minor": 0}
    await uow.execute(upsert(order_account).values(opened).on_conflict_do_nothing())
    statement = (
        select(
            order_account.c.currency,
            order_account.c.cancellation_refund_minor,
            order_account.c.cancellation_penalty_minor,
            order_account.c.cancellation_settled_at,
        )
        .where(order_account.c.order_id == order_id)
        .with_for_update()
    )
    account = await uow.fetch_one(statement)
    assert account is not None
    if account["currency"] != currency:
        raise Conflict(
            f"The ledger of this order is kept in {account['currency']}.", code="ledger-currency"
        )
    return account


async def post(
    uow: UnitOfWork, order_id: str, reason: str, currency: str, entries: list[Entry]
) -> None:
    """Write one posting; see ``contracts.post_entries``."""
    check_entries(entries)
    await lock_account(uow, order_id, currency)
    deposits = order_account.c.deposits_minor + deposits_change(entries)
    covered = (
        update(order_account)
        .where(order_account.c.order_id == order_id, deposits >= 0)
        .values(deposits_minor=deposits)
        .returning(order_account.c.order_id)
    )
    if await uow.scalar(covered) is None:
        raise DepositsShort("The order has less in its deposits than this would take out.")
    posting = {
        "posting_id": new_id("pst"),
        "order_id": order_id,
        "reason": reason,
        "currency": currency,
        "posted_at": func.now(),
    }
    rows = [
        {
            **posting,
            "account": entry.account,
            "debit_minor": entry.debit_minor,
            "credit_minor": entry.credit_minor,
        }
        for entry in entries
    ]
    # One statement: the database checks the balance of what a statement inserts.
    await uow.execute(insert(ledger_entry).values(rows))


async def posted_since(uow: UnitOfWork, order_id: str, period: timedelta) -> bool:
    """Whether the last posting of the order is younger than ``period``."""
    statement = select(func.max(ledger_entry.c.posted_at) > func.now() - literal(period)).where(
        ledger_entry.c.order_id == order_id
    )
    return bool(await uow.scalar(statement))


async def entries_of(uow: UnitOfWork, order_id: str) -> list[dict[str, Any]]:
    """All entries of an order as they were posted."""
    statement = (
        select(
            ledger_entry.c.posting_id,
            ledger_entry.c.posted_at,
            ledger_entry.c.reason,
            ledger_entry.c.account,
            ledger_entry.c.currency,
            ledger_entry.c.debit_minor,
            ledger_entry.c.credit_minor,
        )
        .where(ledger_entry.c.order_id == order_id)
        .order_by(ledger_entry.c.id)
    )
    return [dict(row) for row in await uow.fetch_all(statement)]


async def balance(uow: UnitOfWork, order_id: str) -> dict[str, int]:
    """Each account's balance, debit minus credit."""
    return balances(
        [
            Entry(
                account=row["account"],
                debit_minor=row["debit_minor"],
                credit_minor=row["credit_minor"],
            )
            for row in await entries_of(uow, order_id)
        ]
    )
