"""Money of orders that no longer stand: settled in the ledger, and promised back."""

from typing import Any

from sqlalchemy import RowMapping, func, update

from pss_kernel import Money, UnitOfWork
from pss_reservation.contracts import OrderCancelled, mark_needs_attention

from . import refund_store, store
from .books import balance, lock_account, post
from .ledger import allocate, promise_entries, settle_cancellation
from .models import order_account

__all__ = ["give_back_deposits", "record_cancellation", "settle_if_cancelled"]


async def record_cancellation(uow: UnitOfWork, event: OrderCancelled) -> None:
    """Keep the terms of the cancellation, and settle what is paid already.

    A payment that is just being captured settles by the same terms once it is: both take the
    order's account first, so that the later one sees the earlier.
    """
    account = await lock_account(uow, event.order_id, event.currency)
    if account["cancellation_refund_minor"] is not None:
        return
    await _change(
        uow,
        event.order_id,
        cancellation_refund_minor=event.refund_minor,
        cancellation_penalty_minor=event.penalty_minor,
    )
    await settle_if_cancelled(uow, event.order_id, event.currency)
    if event.refund_minor and not await _any_money(uow, event.order_id):
        quoted = Money.of(event.refund_minor, event.currency)
        await mark_needs_attention(
            uow,
            event.order_id,
            f"A refund of {quoted.amount} {quoted.currency} was quoted, but nothing was captured.",
        )


async def settle_if_cancelled(uow: UnitOfWork, order_id: str, currency: str) -> bool:
    """Settle by the terms of the cancellation, if there is one; tell whether there is.

    What is captured after that settlement goes back whole.
    """
    account = await lock_account(uow, order_id, currency)
    if account["cancellation_refund_minor"] is None:
        return False
    if account["cancellation_settled_at"] is not None:
        await give_back_deposits(uow, order_id, currency, "paid-after-cancellation")
    elif await refund_store.remaining(uow, order_id):
        await _settle(uow, account, order_id, currency)
    return True


async def give_back_deposits(uow: UnitOfWork, order_id: str, currency: str, reason: str) -> None:
    """Promise back whatever is held for the customer."""
    deposits = -(await balance(uow, order_id))["customer_deposits"]
    if deposits > 0:
        await post(uow, order_id, reason, currency, promise_entries(deposits))
        await _refund(uow, order_id, currency, reason, deposits)


async def _any_money(uow: UnitOfWork, order_id: str) -> bool:
    """Whether anything was captured, or is about to be: it settles then, or staff are told."""
    payments = await store.of_order(uow, order_id)
    return any(row.status in {"authorised", "captured"} for row in payments)


async def _settle(uow: UnitOfWork, account: RowMapping, order_id: str, currency: str) -> None:
    promised = account["cancellation_refund_minor"]
    settlement = settle_cancellation(
        await balance(uow, order_id), promised, account["cancellation_penalty_minor"]
    )
    if settlement.entries:
        await post(uow, order_id, "order-cancelled", currency, settlement.entries)
    await _refund(uow, order_id, currency, "order-cancelled", settlement.refund_minor)
    await _change(uow, order_id, cancellation_settled_at=func.now())
    if settlement.refund_minor < promised:
        await mark_needs_attention(
            uow, order_id, "More was quoted as the refund than the order has paid."
        )


async def _refund(
    uow: UnitOfWork, order_id: str, currency: str, reason: str, amount_minor: int
) -> None:
    parts = allocate(amount_minor, await refund_store.remaining(uow, order_id))
    await refund_store.add(uow, order_id, reason, currency, parts)


async def _change(uow: UnitOfWork, order_id: str, **values: Any) -> None:
    await uow.execute(
        update(order_account).where(order_account.c.order_id == order_id).values(**values)
    )
