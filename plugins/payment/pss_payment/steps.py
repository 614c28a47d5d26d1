"""The transactions of a payment: each takes one step if nobody else has, with all its effects."""

from pss_kernel import Conflict, NotFound, UnitOfWork, Work
from pss_reservation.contracts import confirm_order, mark_needs_attention, order_by_id

from . import store
from .books import post
from .cancellations import give_back_deposits, settle_if_cancelled
from .contracts import Outcome, PaymentCaptured, PaymentNotCancellable
from .ledger import capture_entries
from .settings import Settings
from .states import (
    Failure,
    Step,
    after_authorisation,
    after_cancellation,
    after_capture,
    after_void,
)
from .store import PaymentRow

__all__ = [
    "give_up",
    "give_way",
    "record_authorisation",
    "record_capture",
    "record_void",
    "rest",
]


class AmountChanged(Conflict):
    """The order's total has changed since the payment was begun."""

    code = "amount-changed"


async def give_up(uow: UnitOfWork, payment_id: str) -> PaymentRow:
    """Fail a payment that is not decided yet; one that has failed already stays as it is.

    Raises NotFound, and PaymentNotCancellable where the money is reserved or taken.
    """
    row = await store.by_id(uow, payment_id)
    while step := after_cancellation(row.status):
        moved = await store.move(uow, row, step)
        if moved:
            return moved
        row = await store.by_id(uow, payment_id)  # somebody was faster; what now?
    if row.status in {"authorised", "captured"}:
        raise PaymentNotCancellable(
            f"The payment is {row.status}.", mend="Cancel the order instead."
        )
    return row


async def give_way(uow: UnitOfWork, order_id: str) -> bool:
    """Fail the order's payment that waits for a challenge, for a new one to replace it.

    Whoever knows the order may have begun it, with no mind to answer. The sweeper gives up at
    the gateway what is reserved. False: there is none, or somebody has just gone on with it.
    """
    row = await store.challenged(uow, order_id)
    step = after_cancellation(row.status) if row else None
    moved = await store.move(uow, row, step) if row and step else None
    if moved:
        await store.postpone(uow, moved)
    return moved is not None


async def record_authorisation(
    work: Work, before: PaymentRow, outcome: Outcome | None
) -> PaymentRow:
    """Keep what the gateway said of the authorisation; gives the payment as it is then.

    An approved one and the confirmation of its order are one transaction. Where the order can't
    be confirmed any more the reservation of the money will be given up.
    """
    step = after_authorisation(before.status, outcome, overdue=before.overdue)
    if step is None:
        return before
    if step.status == "authorised":
        try:
            async with work.begin() as uow:
                moved = await store.move(uow, before, step, outcome)
                if moved:
                    await _confirm_order(uow, moved)
                return moved or await store.by_id(uow, before.id)
        except (Conflict, NotFound) as refusal:
            if refusal.retryable:
                raise
            step = Step("voiding", Failure(refusal.code, refusal.detail))
    return await _take(work, before, step, outcome)


async def record_capture(work: Work, before: PaymentRow, outcome: Outcome) -> PaymentRow:
    """Keep what the gateway said of the capture: with it the ledger, the event or the refund."""
    step = after_capture(outcome)
    if step is None:
        return before
    async with work.begin() as uow:
        moved = await store.move(uow, before, step, outcome)
        if moved is None:
            return await store.by_id(uow, before.id)
        if moved.status == "captured":
            await _enter_capture(uow, moved)
        else:
            reason = f"Payment {moved.id}: the reserved money could not be captured."
            await mark_needs_attention(uow, moved.order_id, reason)
        return moved


async def record_void(work: Work, before: PaymentRow, outcome: Outcome) -> PaymentRow:
    """Keep what the gateway said of the void; staff look into a refused one."""
    step = after_void(outcome)
    if step is None:
        return before
    async with work.begin() as uow:
        moved = await store.move(uow, before, step, outcome)
        if moved and outcome.status == "declined":
            reason = f"Payment {moved.id}: the gateway refused to give the reservation up."
            await mark_needs_attention(uow, moved.order_id, reason)
        return moved or await store.by_id(uow, before.id)


async def rest(work: Work, row: PaymentRow) -> None:
    """Let the payment be until its next look; tell staff when it has been too many."""
    async with work.begin() as uow:
        await store.postpone(uow, row)
        stuck = row.status in {"pending", "authorised", "voiding"}
        if stuck and row.attempts == uow.settings(Settings).attention_attempts:
            reason = f"Payment {row.id} is {row.status}: the gateway gives no answer."
            await mark_needs_attention(uow, row.order_id, reason)


async def _take(work: Work, before: PaymentRow, step: Step, outcome: Outcome | None) -> PaymentRow:
    async with work.begin() as uow:
        return await store.move(uow, before, step, outcome) or await store.by_id(uow, before.id)


async def _confirm_order(uow: UnitOfWork, row: PaymentRow) -> None:
    await confirm_order(uow, row.order_id)
    total = (await order_by_id(uow, row.order_id)).total
    if (total.minor, total.currency) != (row.amount_minor, row.currency):
        raise AmountChanged(f"The order's total is {total.amount} {total.currency} now.")


async def _enter_capture(uow: UnitOfWork, row: PaymentRow) -> None:
    entries = capture_entries(row.amount_minor)
    await post(uow, row.order_id, "payment-captured", row.currency, entries)
    if await settle_if_cancelled(uow, row.order_id, row.currency):
        return
    status = await _order_status(uow, row.order_id)
    if status in {"expired", "unknown"}:
        await give_back_deposits(uow, row.order_id, row.currency, f"order-{status}")
    elif status != "cancelled":  # else the event of the cancellation is on its way, with terms
        uow.emit(
            PaymentCaptured(
                order_id=row.order_id,
                payment_id=row.id,
                amount_minor=row.amount_minor,
                currency=row.currency,
            ),
            stream=row.order_id,
        )


async def _order_status(uow: UnitOfWork, order_id: str) -> str:
    try:
        return (await order_by_id(uow, order_id)).status
    except NotFound:
        return "unknown"
