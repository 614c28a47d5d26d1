"""Meals are a service on an order: reservation asks, this plugin fulfils."""

from pss_kernel import NotFound, UnitOfWork
from pss_reservation.contracts import FulfilledService, Order, ServiceRequest, fulfil_service

from . import plugin
from .menu import choose, refuse_late
from .settings import Settings
from .store import save_meal


@plugin.hook(fulfil_service)
async def serve_meal(
    uow: UnitOfWork, order: Order, request: ServiceRequest
) -> FulfilledService | None:
    """Order a dish from the menu for one passenger on one segment."""
    if request.type != "meal":
        return None
    segment = order.segment(request.segment_id)
    if segment is None:
        raise NotFound("The order has no such segment.")
    settings = uow.settings(Settings)
    dish = choose(settings.menu, request.code)
    refuse_late(await uow.now(), segment.departing_at_utc, settings.closes_hours)
    await save_meal(uow, order.id, request.passenger_id, segment, dish.code)
    return FulfilledService(detail=dish.code)
