"""Issuing the tickets of a paid order: all of them with their ledger entries, or none."""

from pss_kernel import UnitOfWork
from pss_payment.contracts import DepositsShort, post_entries
from pss_reservation.contracts import (
    Order,
    mark_needs_attention,
    mark_ticketed,
    order_by_id,
    stored_offer_of,
)

from . import sales, store
from .contracts import TicketIssued
from .sale import amounts_of, draft_tickets, entries_of_issue
from .stock import CannotIssue, take_numbers

__all__ = ["issue_or_flag"]


async def issue_or_flag(uow: UnitOfWork, order_id: str) -> None:
    """Issue what is due for the order, once; what cannot be issued is put before the staff.

    Does nothing when the tickets are there already or the order has ended. Raises when the
    order is cancelled at this very moment: the caller is retried and finds it cancelled.
    """
    sale = await sales.lock_unissued(uow, order_id)
    if sale is None:
        return
    order = await order_by_id(uow, order_id)
    if order.status == "cancelled":
        return  # the handler of its cancellation ends the sale and settles the money
    if order.status == "expired":
        await sales.leave_sale(uow, order_id, "cancelled", "The order expired; payment refunds.")
        return
    try:
        async with uow.savepoint():
            await _issue(uow, order, sale["paid_minor"], sale["currency"])
    except (CannotIssue, DepositsShort) as refusal:
        await sales.leave_sale(uow, order_id, "failed", refusal.sentence)
        await mark_needs_attention(uow, order_id, refusal.sentence)


async def _issue(uow: UnitOfWork, order: Order, paid_minor: int, currency: str) -> None:
    stored = await stored_offer_of(uow, order.id)
    drafts = draft_tickets(order, stored.fares)
    amounts = amounts_of(drafts)
    if not drafts or amounts.total_minor != paid_minor:
        raise CannotIssue(
            f"The payment of {paid_minor} minor units does not match {len(drafts)} tickets"
            f" worth {amounts.total_minor}.",
            code="payment-mismatch",
            mend="Refund the payment or correct the order.",
        )
    await mark_ticketed(uow, order.id)  # locks the order: it can't be cancelled from here on
    numbers = await take_numbers(uow, len(drafts))
    await store.insert_tickets(uow, order.id, currency, drafts, numbers)
    if entries := entries_of_issue(amounts):
        await post_entries(uow, order.id, "tickets issued", currency, entries)
    await sales.finish_sale(uow, order.id, amounts)
    for draft, number in zip(drafts, numbers, strict=True):
        issued = TicketIssued(
            order_id=order.id, passenger_id=draft.passenger_id, ticket_number=number
        )
        uow.emit(issued, stream=number)
