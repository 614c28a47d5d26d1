"""Nobody cooks for an order that has ended."""

from pss_kernel import UnitOfWork
from pss_reservation.contracts import OrderCancelled, OrderExpired

from . import plugin
from .store import drop_meals


@plugin.on(OrderCancelled)
async def drop_cancelled(uow: UnitOfWork, event: OrderCancelled) -> None:
    """Forget the meals of a cancelled order."""
    await drop_meals(uow, event.order_id)


@plugin.on(OrderExpired)
async def drop_expired(uow: UnitOfWork, event: OrderExpired) -> None:
    """Forget the meals of an order whose hold ended."""
    await drop_meals(uow, event.order_id)
