"""The menu, and the meals of an order."""

from msgspec.structs import replace

from pss_kernel import Page, UnitOfWork
from pss_reservation.contracts import order_by_id, require_access

from . import plugin
from .settings import Dish, Settings
from .store import Meal, meals_of


@plugin.get("/meals", permission="meals:read", read_only=True)
async def show_menu(uow: UnitOfWork) -> Page[Dish]:
    """List the special meals that this airline serves."""
    return Page(data=uow.settings(Settings).menu, next_cursor=None)


@plugin.get("/meals/{order_id:str}", permission="meals:read")
async def list_meals(
    uow: UnitOfWork,
    order_id: str,
    booking_reference: str | None = None,
    family_name: str | None = None,
) -> Page[Meal]:
    """List the special meals ordered for the passengers of an order.

    They tell of health and belief: staff without `meals:special` see `***` for the dish.
    """
    order = await order_by_id(uow, order_id)
    await require_access(uow, order, booking_reference, family_name)
    meals = await meals_of(uow, order_id)
    if uow.actor.may("reservation:read") and not uow.actor.may("meals:special"):
        meals = [replace(one, code="***") for one in meals]
    return Page(data=meals, next_cursor=None)
