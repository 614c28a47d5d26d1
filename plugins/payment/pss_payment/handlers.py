from pss_kernel import UnitOfWork
from pss_reservation.contracts import OrderCancelled

from . import plugin
from .cancellations import record_cancellation

__all__ = ["refund_cancelled_order"]


@plugin.on(OrderCancelled)
async def refund_cancelled_order(uow: UnitOfWork, event: OrderCancelled) -> None:
    """Settle the order's money by the terms of its cancellation; a job carries refunds out."""
    await record_cancellation(uow, event)
