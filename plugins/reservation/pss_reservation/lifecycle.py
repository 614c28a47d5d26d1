"""An order's way through its states: paid, ticketed, expired, in need of attention."""

from datetime import datetime

from msgspec import Struct
from sqlalchemy import select

from pss_inventory.contracts import confirm_seats, release_seats
from pss_kernel import Conflict, Page, UnitOfWork

from .contracts import OrderConfirmed, OrderExpired, OrderTicketed, Payable
from .models import order_history, orders
from .order import HistoryEntry
from .status import CONFIRM, EXPIRE, PAID, TICKET, refusal
from .store import move_order, read_order

__all__ = [
    "AttentionItem",
    "attention_queue",
    "confirm",
    "expire",
    "expired_holds",
    "history_of",
    "keep_ticketed",
    "ticketed",
    "to_pay",
]


class AttentionItem(Struct, kw_only=True):
    """An order that waits for staff, and why."""

    order_id: str
    booking_reference: str
    status: str
    reason: str
    created_at: datetime


async def to_pay(uow: UnitOfWork, order_id: str) -> Payable:
    """Say what is to be paid for the order; see `contracts.payable`."""
    found = await read_order(uow, order_id)
    if found.order.status != "held" or not found.hold_runs:
        raise refusal(found.order.status, order_id)
    return Payable(order_id=order_id, total=found.order.total, status=found.order.status)


async def confirm(uow: UnitOfWork, order_id: str) -> None:
    """Confirm a held order and its seats; see `contracts.confirm_order`."""
    if await move_order(uow, order_id, CONFIRM) is None:
        raise refusal((await read_order(uow, order_id)).order.status, order_id)
    uow.emit(OrderConfirmed(order_id=order_id), stream=order_id)
    await confirm_seats(uow, order_id)


async def ticketed(uow: UnitOfWork, order_id: str) -> None:
    """Mark a paid order as ticketed; see `contracts.mark_ticketed`."""
    if await move_order(uow, order_id, TICKET) is not None:
        uow.emit(OrderTicketed(order_id=order_id), stream=order_id)
        return
    status = (await read_order(uow, order_id)).order.status
    if status == "held":
        raise Conflict(f"The order {order_id} is not paid.", code="order-not-paid")
    if status not in PAID:
        raise refusal(status, order_id)


async def keep_ticketed(uow: UnitOfWork, order_id: str) -> None:
    """Hold on to a ticketed order; see `contracts.keep_ticketed`."""
    rows = await uow.hot("SELECT status FROM orders WHERE id = $1 FOR SHARE", order_id)
    status = rows[0]["status"] if rows else None
    if status == "ticketed":
        return
    if status is None or status in {"cancelled", "expired"}:
        raise refusal((await read_order(uow, order_id)).order.status, order_id)
    raise Conflict(f"The order {order_id} has no tickets yet.", code="order-not-ticketed")


async def expire(uow: UnitOfWork, order_id: str) -> bool:
    """Expire a held order whose hold has ended and release its seats; False if it was not so."""
    if await move_order(uow, order_id, EXPIRE) is None:
        return False
    uow.emit(OrderExpired(order_id=order_id), stream=order_id)
    await release_seats(uow, order_id)
    return True


async def expired_holds(uow: UnitOfWork, limit: int) -> list[str]:
    """List held orders whose hold has ended by the database's clock, longest ended first."""
    rows = await uow.hot(
        "SELECT id FROM orders WHERE status = 'held' AND payment_required_by <= now() "
        "ORDER BY payment_required_by LIMIT $1",
        limit,
    )
    return [row["id"] for row in rows]


async def history_of(uow: UnitOfWork, order_id: str) -> list[HistoryEntry]:
    """List the changes of the order, oldest first."""
    columns = [getattr(order_history.c, name) for name in HistoryEntry.__struct_fields__]
    rows = await uow.fetch_all(
        select(*columns).where(order_history.c.order_id == order_id).order_by(order_history.c.id)
    )
    return [HistoryEntry(**row) for row in rows]


async def attention_queue(
    uow: UnitOfWork, *, cursor: str | None, limit: int
) -> Page[AttentionItem]:
    """List the orders that need staff, oldest first; `cursor` is the last id of the page before."""
    statement = (
        select(
            orders.c.id.label("order_id"),
            orders.c.booking_reference,
            orders.c.status,
            orders.c.attention.label("reason"),
            orders.c.created_at,
        )
        .where(orders.c.attention.is_not(None))
        .order_by(orders.c.id)
        .limit(limit + 1)
    )
    if cursor:
        statement = statement.where(orders.c.id > cursor)
    items = [AttentionItem(**row) for row in await uow.fetch_all(statement)]
    page = items[:limit]
    return Page(data=page, next_cursor=page[-1].order_id if len(items) > limit else None)
