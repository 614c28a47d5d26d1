"""Comparing what the documents are worth with what the ledger says, order by order."""

from collections.abc import Mapping
from datetime import timedelta

from msgspec import Struct
from sqlalchemy import RowMapping, func, select

from pss_kernel import Money, UnitOfWork
from pss_payment.contracts import balance_of_order, posted_within

from .models import ticket, ticket_coupon
from .sales import sales_to_check

__all__ = ["Disagreement", "DocumentTotals", "check_sales", "disagreement"]

_SETTLED_FOR = timedelta(minutes=1)  # deliveries and retries of one order end well within this


class Disagreement(Struct, kw_only=True, frozen=True):
    """An order whose money and documents disagree.

    `balance` is the order's ledger: debit minus credit of each account that was used.
    """

    order_id: str
    status: str
    detail: str
    balance: dict[str, Money]


class DocumentTotals(Struct, kw_only=True, frozen=True):
    """The documents of an order: values in minor units, coupons by what can become of them."""

    base_minor: int = 0
    tax_minor: int = 0
    usable: int = 0
    flown: int = 0
    ended: int = 0


def disagreement(
    status: str, totals: DocumentTotals, balance: Mapping[str, int], *, settled: bool
) -> str | None:
    """Say where documents and ledger disagree for a sale of that status, or None.

    Unless the sale is `settled`, its documents or its refund may still be on their way: only
    what is wrong at any time is reported.
    """
    if status == "issued":
        return _of_issued(totals, balance)
    if status == "cancelled":
        return _of_cancelled(totals, balance, settled=settled)
    waiting = status == "failed" or settled
    return "Paid, but no documents were issued." if waiting else None


def _of_issued(totals: DocumentTotals, balance: Mapping[str, int]) -> str | None:
    earned = -balance.get("ticket_revenue", 0), -balance.get("tax_payable", 0)
    if earned != (totals.base_minor, totals.tax_minor):
        return "The ledger's revenue and taxes are not what the documents are worth."
    if balance.get("customer_deposits", 0):
        return "Money is held although all documents are issued."
    if totals.ended or not (totals.usable or totals.flown):
        return "Coupons have ended although the order stands."
    return None


def _of_cancelled(
    totals: DocumentTotals, balance: Mapping[str, int], *, settled: bool
) -> str | None:
    if totals.usable:
        return "The order is cancelled but coupons can still be used."
    if balance.get("ticket_revenue", 0) or balance.get("tax_payable", 0):
        return "Revenue or taxes remain although the documents were cancelled."
    held = balance.get("customer_deposits", 0)
    return "Money is held for a cancelled order." if held and settled else None


async def check_sales(uow: UnitOfWork, limit: int) -> list[tuple[str, Disagreement | None]]:
    """Compare up to `limit` sales with the ledger; those that disagreed before come first."""
    rows = await sales_to_check(uow, _SETTLED_FOR, limit)
    totals = await _totals(uow, [row["order_id"] for row in rows])
    return [(row["order_id"], await _check(uow, row, totals)) for row in rows]


async def _check(
    uow: UnitOfWork, row: RowMapping, totals: Mapping[str, DocumentTotals]
) -> Disagreement | None:
    balance = await balance_of_order(uow, row["order_id"])
    documents = totals.get(row["order_id"], DocumentTotals())
    found = disagreement(row["status"], documents, balance, settled=row["settled"])
    if found is None or await _is_being_cancelled(uow, row, balance):
        return None
    return Disagreement(
        order_id=row["order_id"],
        status=row["status"],
        detail=f"{found} {row['reason']}" if row["reason"] else found,
        balance={
            account: Money.of(minor, row["currency"]) for account, minor in balance.items() if minor
        },
    )


async def _is_being_cancelled(uow: UnitOfWork, row: RowMapping, balance: Mapping[str, int]) -> bool:
    """Whether the ledger has just settled a cancellation whose documents end in a moment.

    The two are consumers of one event, in transactions of their own.
    """
    settled = not (balance.get("ticket_revenue", 0) or balance.get("tax_payable", 0))
    return (
        row["status"] == "issued"
        and settled
        and await posted_within(uow, row["order_id"], _SETTLED_FOR)
    )


async def _totals(uow: UnitOfWork, order_ids: list[str]) -> dict[str, DocumentTotals]:
    values = {
        row["order_id"]: dict(row)
        for row in await uow.fetch_all(
            select(
                ticket.c.order_id,
                func.sum(ticket.c.base_minor).label("base_minor"),
                func.sum(ticket.c.tax_minor).label("tax_minor"),
            )
            .where(ticket.c.order_id.in_(order_ids))
            .group_by(ticket.c.order_id)
        )
    }
    for order_id, counts in (await _coupons(uow, order_ids)).items():
        values[order_id].update(counts)
    return {
        order_id: DocumentTotals(
            **{name: int(value) for name, value in row.items() if name != "order_id"}
        )
        for order_id, row in values.items()
    }


async def _coupons(uow: UnitOfWork, order_ids: list[str]) -> dict[str, dict[str, int]]:
    status = ticket_coupon.c.status
    rows = await uow.fetch_all(
        select(
            ticket.c.order_id,
            func.count().filter(status.in_(("open", "checked_in"))).label("usable"),
            func.count().filter(status == "flown").label("flown"),
            func.count().filter(status.in_(("refunded", "void"))).label("ended"),
        )
        .join_from(ticket, ticket_coupon, ticket_coupon.c.ticket_number == ticket.c.number)
        .where(ticket.c.order_id.in_(order_ids))
        .group_by(ticket.c.order_id)
    )
    return {
        row["order_id"]: {key: row[key] for key in ("usable", "flown", "ended")} for row in rows
    }
