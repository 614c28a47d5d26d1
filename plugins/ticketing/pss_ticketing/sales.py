"""The state of issuing one paid order: due, failed, issued or cancelled (table ticket_sale)."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import RowMapping, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert

from pss_kernel import UnitOfWork

from .models import ticket_sale
from .sale import Amounts

__all__ = [
    "cancel_sale",
    "finish_sale",
    "leave_sale",
    "lock_unissued",
    "note_sale",
    "sales_to_check",
    "store_check",
    "unissued_orders",
]

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # not checked since the last change
_UNISSUED = ticket_sale.c.status.in_(("due", "failed"))


async def note_sale(uow: UnitOfWork, order_id: str, paid_minor: int, currency: str) -> None:
    """Remember that the order was paid and its documents are due; a second time does nothing."""
    await uow.execute(
        insert(ticket_sale)
        .values(
            order_id=order_id,
            status="due",
            paid_minor=paid_minor,
            base_minor=0,
            tax_minor=0,
            currency=currency,
            changed_at=func.now(),
            checked_at=_NEVER,
        )
        .on_conflict_do_nothing(index_elements=["order_id"])
    )


async def lock_unissued(uow: UnitOfWork, order_id: str) -> RowMapping | None:
    """Lock the sale for this transaction; None when its documents are issued or not wanted."""
    return await uow.fetch_one(
        select(ticket_sale.c.paid_minor, ticket_sale.c.currency)
        .where(ticket_sale.c.order_id == order_id, _UNISSUED)
        .with_for_update()
    )


async def finish_sale(uow: UnitOfWork, order_id: str, amounts: Amounts) -> None:
    """Record that documents worth the amounts were issued."""
    await _change(
        uow,
        order_id,
        status="issued",
        reason=None,
        base_minor=amounts.base_minor,
        tax_minor=amounts.tax_minor,
    )


async def leave_sale(uow: UnitOfWork, order_id: str, status: str, reason: str) -> None:
    """Record why nothing was issued: "failed" is tried again, "cancelled" is not."""
    await _change(uow, order_id, status=status, reason=reason)


async def _change(uow: UnitOfWork, order_id: str, **values: object) -> None:
    await uow.execute(
        update(ticket_sale)
        .where(ticket_sale.c.order_id == order_id, _UNISSUED)
        .values(changed_at=func.now(), checked_at=_NEVER, **values)
    )


async def cancel_sale(
    uow: UnitOfWork, order_id: str, paid_minor: int, currency: str
) -> Amounts | None:
    """End the sale once; give what was issued for it, None when it had ended before.

    An order may be cancelled before its payment was noted here: the row then keeps the
    documents from being issued later.
    """
    fresh = insert(ticket_sale).values(
        order_id=order_id,
        status="cancelled",
        paid_minor=paid_minor,
        base_minor=0,
        tax_minor=0,
        currency=currency,
        changed_at=func.now(),
        checked_at=_NEVER,
    )
    row = await uow.fetch_one(
        fresh.on_conflict_do_update(
            index_elements=["order_id"],
            set_={"status": "cancelled", "changed_at": func.now(), "checked_at": _NEVER},
            where=ticket_sale.c.status != "cancelled",
        ).returning(ticket_sale.c.base_minor, ticket_sale.c.tax_minor)
    )
    return None if row is None else Amounts(**row)


async def unissued_orders(uow: UnitOfWork, limit: int) -> list[str]:
    """List paid orders without documents, the one that was tried longest ago first."""
    rows = await uow.fetch_all(
        select(ticket_sale.c.order_id)
        .where(_UNISSUED)
        .order_by(ticket_sale.c.changed_at)
        .limit(limit)
    )
    return [row["order_id"] for row in rows]


async def sales_to_check(
    uow: UnitOfWork, settled_for: timedelta, limit: int
) -> Sequence[RowMapping]:
    """List the sales to compare with the ledger: known disagreements, then longest unchecked.

    `settled`: nothing about the sale changed within `settled_for`, so that its own money and
    documents cannot still be on their way.
    """
    sale = ticket_sale.c
    shown = select(
        sale.order_id,
        sale.status,
        sale.currency,
        sale.reason,
        (sale.changed_at <= func.now() - literal(settled_for)).label("settled"),
    )
    known = await uow.fetch_all(
        shown.where(sale.disagreement.is_not(None)).order_by(sale.order_id).limit(limit)
    )
    waiting = await uow.fetch_all(
        shown.where(sale.disagreement.is_(None)).order_by(sale.checked_at).limit(limit)
    )
    return [*known, *waiting][:limit]


async def store_check(uow: UnitOfWork, order_id: str, disagreement: str | None) -> None:
    """Record what the comparison with the ledger found; None: they agree."""
    await uow.execute(
        update(ticket_sale)
        .where(ticket_sale.c.order_id == order_id)
        .values(checked_at=func.now(), disagreement=disagreement)
    )
