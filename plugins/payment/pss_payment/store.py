"""Rows of payments: conditional changes only, so that one of several workers decides."""

from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import RowMapping, func, literal_column, select, update
from sqlalchemy.dialects.postgresql import insert

from pss_kernel import Money, NotFound, UnitOfWork

from .contracts import Outcome
from .models import payment
from .settings import Settings
from .states import UNSETTLED, Failure, Status, Step

__all__ = [
    "PaymentRow",
    "add",
    "by_id",
    "by_key",
    "challenged",
    "claim_due",
    "move",
    "of_order",
    "postpone",
]

# Between looks at a payment whose state has not changed: 1, 2, 4, … seconds.
_LONGEST_PAUSE_SECONDS = 60


class PaymentRow(Struct, frozen=True, kw_only=True):
    """A payment as stored; ``overdue`` was true or not when it was read."""

    id: str
    order_id: str
    gateway: str
    method_type: str
    amount_minor: int
    currency: str
    status: Status
    gateway_reference: str | None
    action_url: str | None
    failure: Failure | None
    attempts: int
    overdue: bool
    created_at: datetime

    @property
    def amount(self) -> Money:
        """The amount as people write it."""
        return Money.of(self.amount_minor, self.currency)


_COLUMNS = (
    payment.c.id,
    payment.c.order_id,
    payment.c.gateway,
    payment.c.method_type,
    payment.c.amount_minor,
    payment.c.currency,
    payment.c.status,
    payment.c.gateway_reference,
    payment.c.action_url,
    payment.c.failure_code,
    payment.c.failure_detail,
    payment.c.attempts,
    payment.c.created_at,
    func.coalesce(payment.c.deadline_at <= func.now(), False).label("overdue"),
)


async def add(uow: UnitOfWork, facts: dict[str, Any]) -> PaymentRow | None:
    """Insert a pending payment, leased to the caller; None while the order has an active one."""
    statement = (
        insert(payment)
        .values(
            **facts,
            status="pending",
            attempts=0,
            attempt_at=_lease(uow),
            created_at=func.now(),
            changed_at=func.now(),
        )
        .on_conflict_do_nothing()
        .returning(*_COLUMNS)
    )
    row = await uow.fetch_one(statement)
    return _payment(row) if row else None


async def by_id(uow: UnitOfWork, payment_id: str) -> PaymentRow:
    """Find the payment. Raises NotFound."""
    row = await uow.fetch_one(select(*_COLUMNS).where(payment.c.id == payment_id))
    if row is None:
        raise NotFound("There is no such payment.")
    return _payment(row)


async def by_key(uow: UnitOfWork, caller: str, key: str) -> PaymentRow | None:
    """Find the payment that this caller's earlier request with this Idempotency-Key has begun."""
    condition = (payment.c.caller == caller) & (payment.c.idempotency_key == key)
    row = await uow.fetch_one(select(*_COLUMNS).where(condition))
    return _payment(row) if row else None


async def challenged(uow: UnitOfWork, order_id: str) -> PaymentRow | None:
    """Find the order's payment that waits for the card issuer's challenge; there is one at most."""
    # Written out, the status lets the index of active payments be used.
    waits = payment.c.status == literal_column("'requires_action'")
    row = await uow.fetch_one(select(*_COLUMNS).where(payment.c.order_id == order_id, waits))
    return _payment(row) if row else None


async def of_order(uow: UnitOfWork, order_id: str) -> list[PaymentRow]:
    """List the order's payments, the newest first."""
    condition = payment.c.order_id == order_id
    statement = select(*_COLUMNS).where(condition).order_by(payment.c.id.desc())
    return [_payment(row) for row in await uow.fetch_all(statement)]


async def claim_due(uow: UnitOfWork) -> PaymentRow | None:
    """Lease the unsettled payment that is due the longest; None when none is due."""
    due = (
        select(payment.c.id)
        .where(payment.c.status.in_(UNSETTLED), payment.c.attempt_at <= func.now())
        .order_by(payment.c.attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    statement = (
        update(payment)
        .where(payment.c.id == due)
        .values(attempts=payment.c.attempts + 1, attempt_at=_lease(uow))
        .returning(*_COLUMNS)
    )
    row = await uow.fetch_one(statement)
    return _payment(row) if row else None


async def move(
    uow: UnitOfWork, before: PaymentRow, step: Step, outcome: Outcome | None = None
) -> PaymentRow | None:
    """Take the step if the payment still is in the state it was decided for; else None."""
    changes: dict[str, Any] = {
        "status": step.status,
        "attempts": 0,
        "attempt_at": _lease(uow),
        "changed_at": func.now(),
        "action_url": outcome.action_url if outcome else None,
        "deadline_at": _deadline(uow, step.status),
    }
    if outcome and outcome.reference:
        changes["gateway_reference"] = outcome.reference
    if step.failure:
        changes |= {"failure_code": step.failure.code, "failure_detail": step.failure.detail}
    statement = (
        update(payment)
        .where(payment.c.id == before.id, payment.c.status == before.status)
        .values(**changes)
        .returning(*_COLUMNS)
    )
    row = await uow.fetch_one(statement)
    return _payment(row) if row else None


async def postpone(uow: UnitOfWork, row: PaymentRow) -> None:
    """Give the lease back, if it still is the caller's, and let the payment rest a while."""
    pause = timedelta(seconds=min(2 ** min(row.attempts, 10), _LONGEST_PAUSE_SECONDS))
    statement = (
        update(payment)
        .where(
            payment.c.id == row.id,
            payment.c.status == row.status,
            payment.c.attempts == row.attempts,
        )
        .values(attempt_at=func.now() + pause)
    )
    await uow.execute(statement)


def _lease(uow: UnitOfWork) -> Any:
    return func.now() + timedelta(seconds=uow.settings(Settings).lease_seconds)


def _deadline(uow: UnitOfWork, status: Status) -> Any:
    settings = uow.settings(Settings)
    minutes = {"requires_action": settings.action_minutes, "abandoned": settings.watch_minutes}
    return func.now() + timedelta(minutes=minutes[status]) if status in minutes else None


def _payment(row: RowMapping) -> PaymentRow:
    facts = dict(row)
    code, detail = facts.pop("failure_code"), facts.pop("failure_detail")
    return PaymentRow(**facts, failure=Failure(code, detail) if code else None)
