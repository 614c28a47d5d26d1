"""Rows of refunds: conditional changes only, as for payments."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import RowMapping, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pss_kernel import Money, NotFound, UnitOfWork, new_id

from .models import payment, refund
from .settings import Settings

__all__ = [
    "RefundRow",
    "add",
    "by_id",
    "claim_due",
    "finish",
    "of_order",
    "postpone",
    "remaining",
    "retry",
]

# Between attempts without an answer: 1, 2, 4, … seconds.
_LONGEST_PAUSE_SECONDS = 300

RefundStatus = Literal["pending", "refunded", "refused"]


class RefundRow(Struct, frozen=True, kw_only=True):
    """A refund as stored."""

    id: str
    payment_id: str
    order_id: str
    reason: str
    amount_minor: int
    currency: str
    status: RefundStatus
    retries: int
    attempts: int
    created_at: datetime

    @property
    def key(self) -> str:
        """The gateway's key. A refused refund that staff retry is another one to the gateway."""
        return f"{self.id}:{self.retries}" if self.retries else self.id

    @property
    def amount(self) -> Money:
        """The amount as people write it."""
        return Money.of(self.amount_minor, self.currency)


_COLUMNS = tuple(refund.c[name] for name in RefundRow.__struct_fields__)


async def add(
    uow: UnitOfWork, order_id: str, reason: str, currency: str, parts: Sequence[tuple[str, int]]
) -> None:
    """Insert pending refunds, ``(payment id, amount)``, due at once."""
    for payment_id, amount_minor in parts:
        await uow.execute(
            insert(refund).values(
                id=new_id("rfd"),
                payment_id=payment_id,
                order_id=order_id,
                reason=reason,
                amount_minor=amount_minor,
                currency=currency,
                status="pending",
                retries=0,
                attempts=0,
                attempt_at=func.now(),
                created_at=func.now(),
                changed_at=func.now(),
            )
        )


async def by_id(uow: UnitOfWork, refund_id: str) -> RefundRow:
    """Find the refund. Raises NotFound."""
    row = await uow.fetch_one(select(*_COLUMNS).where(refund.c.id == refund_id))
    if row is None:
        raise NotFound("There is no such refund.")
    return _refund(row)


async def of_order(uow: UnitOfWork, order_id: str) -> list[RefundRow]:
    """List the order's refunds, the oldest first."""
    statement = select(*_COLUMNS).where(refund.c.order_id == order_id).order_by(refund.c.id)
    return [_refund(row) for row in await uow.fetch_all(statement)]


async def remaining(uow: UnitOfWork, order_id: str) -> list[tuple[str, int]]:
    """List captured payments, the newest first, with what no refund has claimed yet."""
    claimed = (
        select(func.coalesce(func.sum(refund.c.amount_minor), 0))
        .where(refund.c.payment_id == payment.c.id)
        .scalar_subquery()
    )
    statement = (
        select(payment.c.id, payment.c.amount_minor, claimed.label("claimed"))
        .where(payment.c.order_id == order_id, payment.c.status == "captured")
        .order_by(payment.c.id.desc())
    )
    rows = await uow.fetch_all(statement)
    return [(row["id"], row["amount_minor"] - int(row["claimed"])) for row in rows]


async def claim_due(uow: UnitOfWork) -> RefundRow | None:
    """Lease the pending refund that is due the longest; None when none is due."""
    due = (
        select(refund.c.id)
        .where(refund.c.status == "pending", refund.c.attempt_at <= func.now())
        .order_by(refund.c.attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    statement = (
        update(refund)
        .where(refund.c.id == due)
        .values(attempts=refund.c.attempts + 1, attempt_at=_lease(uow))
        .returning(*_COLUMNS)
    )
    row = await uow.fetch_one(statement)
    return _refund(row) if row else None


async def retry(uow: UnitOfWork, refund_id: str) -> RefundRow | None:
    """Make a refused refund pending again, leased to the caller; None when it is not refused."""
    statement = (
        update(refund)
        .where(refund.c.id == refund_id, refund.c.status == "refused")
        .values(
            status="pending",
            decline_reason=None,
            retries=refund.c.retries + 1,
            attempts=0,
            attempt_at=_lease(uow),
            changed_at=func.now(),
        )
        .returning(*_COLUMNS)
    )
    row = await uow.fetch_one(statement)
    return _refund(row) if row else None


async def finish(
    uow: UnitOfWork, row: RefundRow, status: RefundStatus, decline_reason: str | None = None
) -> bool:
    """End a pending refund; False when another worker has done so."""
    statement = (
        update(refund)
        .where(
            refund.c.id == row.id,
            refund.c.status == "pending",
            refund.c.retries == row.retries,  # a late answer to an earlier try ends nothing
        )
        .values(status=status, decline_reason=decline_reason, changed_at=func.now())
        .returning(refund.c.id)
    )
    return await uow.scalar(statement) is not None


async def postpone(uow: UnitOfWork, row: RefundRow) -> None:
    """Give the lease back, if it still is the caller's, and let the refund rest a while."""
    pause = timedelta(seconds=min(2 ** min(row.attempts, 10), _LONGEST_PAUSE_SECONDS))
    statement = (
        update(refund)
        .where(
            refund.c.id == row.id,
            refund.c.status == "pending",
            refund.c.retries == row.retries,
            refund.c.attempts == row.attempts,
        )
        .values(attempt_at=func.now() + pause)
    )
    await uow.execute(statement)


def _lease(uow: UnitOfWork) -> Any:
    return func.now() + timedelta(seconds=uow.settings(Settings).lease_seconds)


def _refund(row: RowMapping) -> RefundRow:
    facts: dict[str, Any] = dict(row)
    return RefundRow(**facts)
