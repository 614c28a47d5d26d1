from pss_kernel import UnitOfWork
from pss_payment.contracts import PaymentCaptured
from pss_reservation.contracts import OrderCancelled

from . import plugin, sales
from .cancellation import cancel_documents
from .issue import issue_or_flag

__all__: list[str] = []


@plugin.on(PaymentCaptured)
async def note_payment(uow: UnitOfWork, event: PaymentCaptured) -> None:
    """Remember what is due, in a transaction of its own: issuing may fail, this stays."""
    await sales.note_sale(uow, event.order_id, event.amount_minor, event.currency)


@plugin.on(PaymentCaptured)
async def issue_documents(uow: UnitOfWork, event: PaymentCaptured) -> None:
    """Issue the order's tickets as soon as its money is there."""
    await sales.note_sale(uow, event.order_id, event.amount_minor, event.currency)
    await issue_or_flag(uow, event.order_id)


@plugin.on(OrderCancelled)
async def end_documents(uow: UnitOfWork, event: OrderCancelled) -> None:
    """End the tickets of a cancelled order."""
    await cancel_documents(uow, event)
