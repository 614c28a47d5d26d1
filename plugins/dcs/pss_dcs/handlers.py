from pss_kernel import UnitOfWork
from pss_reservation.contracts import OrderCancelled, OrderExpired

from . import plugin
from .offload import end_order

__all__: list[str] = []


@plugin.on(OrderCancelled)
async def end_cancelled_order(uow: UnitOfWork, event: OrderCancelled) -> None:
    """Free the seats of a cancelled order and void its boarding passes."""
    await end_order(uow, event.order_id)


@plugin.on(OrderExpired)
async def end_expired_order(uow: UnitOfWork, event: OrderExpired) -> None:
    """Free the seats that were chosen for an order that was never paid."""
    await end_order(uow, event.order_id)
