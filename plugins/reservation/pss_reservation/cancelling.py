"""Cancelling an order: a quote of refund and penalty, then its confirmation."""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import func, insert, select, update

from pss_inventory.contracts import release_seats
from pss_kernel import Conflict, Gone, Money, NotFound, UnitOfWork, check_id, new_id
from pss_pricing.contracts import refund_quote

from .contracts import OrderCancelled, OrderCancelledProblem, cancellation_allowed
from .models import cancellation
from .settings import Settings
from .status import CANCEL_PAID, CANCEL_UNPAID, LIVE, PAID, refusal
from .store import StoredOrder, move_order, read_order

__all__ = ["Cancellation", "confirm_cancellation", "find_cancellation", "quote_cancellation"]


class CancellationExpired(Gone):
    """The quote is too old; the mend is to ask for another."""

    code = "cancellation-expired"


class Cancellation(Struct, kw_only=True):
    """What cancelling the order costs and gives back; done once it is confirmed."""

    id: str  # can_…
    order_id: str
    status: Literal["quoted", "confirmed"]
    refund: Money
    penalty: Money
    expires_at: datetime
    confirmed_at: datetime | None = None


async def quote_cancellation(uow: UnitOfWork, found: StoredOrder) -> Cancellation:
    """Quote and store what cancelling gives back, good for a few minutes.

    An unpaid order costs nothing and gives nothing. Raises Conflict for an order that can't be
    cancelled (again).
    """
    _refuse_ended(found)
    await _refuse_objected(uow, found)
    order, currency = found.order, found.order.total.currency
    paid = order.status in PAID
    refund_minor = penalty_minor = 0
    if paid:
        types = [passenger.type for passenger in order.passengers]
        quote = await refund_quote(uow, found.stored, seats_used=False, passenger_types=types)
        refund_minor, penalty_minor = quote.refund.minor, quote.penalty.minor
    minutes = uow.settings(Settings).cancellation_quote_minutes
    row = await uow.fetch_one(
        insert(cancellation)
        .values(
            id=new_id("can"),
            order_id=order.id,
            status="quoted",
            paid=paid,
            currency=currency,
            refund_minor=refund_minor,
            penalty_minor=penalty_minor,
            created_at=func.now(),
            expires_at=func.now() + func.make_interval(0, 0, 0, 0, 0, minutes),
        )
        .returning(cancellation)
    )
    return _shown(row)


async def find_cancellation(uow: UnitOfWork, cancellation_id: str) -> Cancellation:
    """Read a quote. Raises NotFound."""
    row = await uow.fetch_one(
        select(cancellation).where(cancellation.c.id == check_id("can", cancellation_id))
    )
    if row is None:
        raise NotFound("There is no such cancellation.")
    return _shown(row)


async def confirm_cancellation(
    uow: UnitOfWork, quote: Cancellation, found: StoredOrder
) -> Cancellation:
    """Cancel the order on the terms of the quote, and release its seats.

    Raises CancellationExpired for an old quote; Conflict (`quote-outdated`) when the order was
    paid since; Conflict for an order that can't be cancelled (again).
    """
    _refuse_ended(found)
    good = (
        (cancellation.c.id == quote.id)
        & (cancellation.c.status == "quoted")
        & (cancellation.c.expires_at > func.clock_timestamp())
    )
    paid = await uow.scalar(select(cancellation.c.paid).where(good))
    if paid is None:
        raise _expired()
    # The order first: of several quotes that are confirmed at once its lock lets one through.
    transition = CANCEL_PAID if paid else CANCEL_UNPAID
    if await move_order(uow, quote.order_id, transition, detail=f"cancellation {quote.id}") is None:
        _refuse_ended(await read_order(uow, quote.order_id))
        raise Conflict(
            "The order has changed since this quote.",
            code="quote-outdated",
            mend="Ask for a new one.",
        )
    row = await uow.fetch_one(
        update(cancellation)
        .where(good)
        .values(status="confirmed", confirmed_at=func.clock_timestamp())
        .returning(cancellation)
    )
    if row is None:
        raise _expired()
    # Asked under the order's lock: a check-in that came first is seen, a later one has to wait.
    await _refuse_objected(uow, found)
    uow.emit(
        OrderCancelled(
            order_id=quote.order_id,
            refund_minor=row["refund_minor"],
            penalty_minor=row["penalty_minor"],
            currency=row["currency"],
        ),
        stream=quote.order_id,
    )
    await release_seats(uow, quote.order_id)
    return _shown(row)


def _expired() -> CancellationExpired:
    return CancellationExpired("The quote has expired.", mend="Ask for a new one.")


def _refuse_ended(found: StoredOrder) -> None:
    order = found.order
    if order.status == "cancelled":
        raise OrderCancelledProblem("The order is cancelled already.")
    if order.status not in LIVE:
        raise refusal(order.status, order.id)
    if not found.not_departed:
        raise Conflict(
            "The journey has begun; ask the airline about a refund.", code="journey-begun"
        )


async def _refuse_objected(uow: UnitOfWork, found: StoredOrder) -> None:
    refusals = await uow.call(cancellation_allowed, refusals=[], order=found.order)
    if refusals:
        raise Conflict(" ".join(one.detail for one in refusals), code=refusals[0].code)


def _shown(row: Any) -> Cancellation:
    return Cancellation(
        id=row["id"],
        order_id=row["order_id"],
        status=row["status"],
        refund=Money.of(row["refund_minor"], row["currency"]),
        penalty=Money.of(row["penalty_minor"], row["currency"]),
        expires_at=row["expires_at"],
        confirmed_at=row["confirmed_at"],
    )
