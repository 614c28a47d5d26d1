"""Payments and ledgers as the routes show them."""

from typing import Any

from pss_kernel import Money, NotFound, UnitOfWork

from . import refund_store, store
from .books import entries_of
from .contracts import Entry
from .ledger import ACCOUNTS, balances
from .refund_store import RefundRow
from .resources import (
    Action,
    LedgerAccount,
    LedgerLine,
    OrderLedger,
    Payment,
    PaymentMethod,
    Refund,
)
from .states import public_status
from .store import PaymentRow

__all__ = ["ledger_of", "payment_view", "refund_view"]


async def payment_view(uow: UnitOfWork, payment_id: str) -> Payment:
    """Show a payment. Raises NotFound."""
    row = await store.by_id(uow, payment_id)
    return _payment(row, await refund_store.of_order(uow, row.order_id))


def refund_view(row: RefundRow) -> Refund:
    """Show a refund."""
    return Refund(
        id=row.id,
        payment_id=row.payment_id,
        status=row.status,
        amount=row.amount,
        reason=row.reason,
        created_at=row.created_at,
    )


async def ledger_of(uow: UnitOfWork, order_id: str) -> OrderLedger:
    """Show all the money of an order. Raises NotFound for an order that none was paid for."""
    payments = await store.of_order(uow, order_id)
    lines = await entries_of(uow, order_id)
    if not payments and not lines:
        raise NotFound("There is no payment and no ledger entry of this order.")
    refunds = await refund_store.of_order(uow, order_id)
    currency = lines[0]["currency"] if lines else payments[0].currency
    totals = balances(
        [
            Entry(
                account=line["account"],
                debit_minor=line["debit_minor"],
                credit_minor=line["credit_minor"],
            )
            for line in lines
        ]
    )
    return OrderLedger(
        order_id=order_id,
        currency=currency,
        balanced=sum(totals.values()) == 0,
        reconciled=_reconciled(totals, payments, refunds),
        accounts=[_account(name, lines, currency) for name in ACCOUNTS],
        entries=[_line(line) for line in lines],
        payments=[_payment(row, refunds) for row in payments],
        refunds=[refund_view(row) for row in refunds],
    )


def _reconciled(
    totals: dict[str, int], payments: list[PaymentRow], refunds: list[RefundRow]
) -> bool:
    """Tell whether clearing is captured less refunded, and what is promised the refunds due."""
    captured = sum(row.amount_minor for row in payments if row.status == "captured")
    refunded = sum(row.amount_minor for row in refunds if row.status == "refunded")
    promised = sum(row.amount_minor for row in refunds if row.status != "refunded")
    cleared, owed = totals["gateway_clearing"], -totals["refunds_payable"]
    return (cleared, owed) == (captured - refunded, promised)


def _payment(row: PaymentRow, refunds: list[RefundRow]) -> Payment:
    refunded = sum(
        each.amount_minor
        for each in refunds
        if each.payment_id == row.id and each.status == "refunded"
    )
    waits = row.status == "requires_action" and row.action_url
    return Payment(
        id=row.id,
        order_id=row.order_id,
        status=public_status(row.status),
        amount=row.amount,
        refunded=Money.of(refunded, row.currency),
        method=PaymentMethod(type=row.method_type),
        created_at=row.created_at,
        action=Action(url=row.action_url or "") if waits else None,
        failure=row.failure,
    )


def _line(line: dict[str, Any]) -> LedgerLine:
    sides = {
        side: Money.of(line[f"{side}_minor"], line["currency"])
        for side in ("debit", "credit")
        if line[f"{side}_minor"]
    }
    return LedgerLine(
        posting_id=line["posting_id"],
        posted_at=line["posted_at"],
        reason=line["reason"],
        account=line["account"],
        **sides,
    )


def _account(name: str, lines: list[dict[str, Any]], currency: str) -> LedgerAccount:
    debit = sum(line["debit_minor"] for line in lines if line["account"] == name)
    credit = sum(line["credit_minor"] for line in lines if line["account"] == name)
    return LedgerAccount(
        account=name,
        debit=Money.of(debit, currency),
        credit=Money.of(credit, currency),
        balance=Money.of(debit - credit, currency),
    )
