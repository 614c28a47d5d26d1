"""Carrying refunds out: ask the gateway, keep the answer with the ledger and the event."""

import contextlib

from pss_kernel import Unavailable, Work
from pss_reservation.contracts import mark_needs_attention

from . import refund_store, store
from .books import post
from .contracts import Outcome, PaymentRefunded
from .gateways import gateway_for
from .ledger import refund_entries
from .refund_store import RefundRow
from .settings import Settings

__all__ = ["carry_out"]


async def carry_out(work: Work, row: RefundRow) -> None:
    """Give the money back through the gateway that took it, at most once for ``row.key``."""
    async with work.begin() as uow:
        payment = await store.by_id(uow, row.payment_id)
        gateway = await gateway_for(uow, payment.method_type, payment.gateway)
    if gateway is None or payment.gateway_reference is None:
        raise Unavailable(
            f"The gateway {payment.gateway!r} of refund {row.id} is not enabled.", code="no-gateway"
        )
    async with contextlib.aclosing(gateway):
        outcome = await gateway.refund(payment.gateway_reference, row.amount, row.key)
    await _record(work, row, outcome)


async def _record(work: Work, row: RefundRow, outcome: Outcome) -> None:
    async with work.begin() as uow:
        if outcome.status == "approved":
            if not await refund_store.finish(uow, row, "refunded"):
                return
            entries = refund_entries(row.amount_minor)
            await post(uow, row.order_id, "payment-refunded", row.currency, entries)
            event = PaymentRefunded(
                order_id=row.order_id,
                payment_id=row.payment_id,
                refund_id=row.id,
                amount_minor=row.amount_minor,
                currency=row.currency,
            )
            uow.emit(event, stream=row.order_id)
        elif outcome.status == "declined":
            if await refund_store.finish(uow, row, "refused", outcome.decline_reason):
                reason = f"Refund {row.id} was refused: {outcome.decline_reason}."
                await mark_needs_attention(uow, row.order_id, reason)
        else:
            await refund_store.postpone(uow, row)
            if row.attempts == uow.settings(Settings).attention_attempts:
                reason = f"Refund {row.id} is pending: the gateway gives no answer."
                await mark_needs_attention(uow, row.order_id, reason)
