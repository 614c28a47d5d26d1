"""Who may see or change an order: staff, and the passenger who knows reference and name."""

from pss_kernel import NotFound, Unauthorised, UnitOfWork, check_id

from .locator import normal_locator
from .names import same_name
from .order import Order
from .store import StoredOrder, find_order

__all__ = ["open_order", "order_of_reference", "refuse_strangers"]

NOT_FOUND = "There is no such order."


async def open_order(
    uow: UnitOfWork,
    order_id: str,
    permission: str,
    booking_reference: str | None,
    family_name: str | None,
) -> StoredOrder:
    """Read the order for staff with the permission, or for a guest who knows it.

    Raises Unauthorised, before looking, for anybody else who gives no reference and name;
    NotFound, the same for an unknown id and for a reference or name that doesn't match.
    """
    staff = uow.actor.may(permission)
    if not staff:
        _credentials(booking_reference, family_name)
    if staff:
        return await _order_with(uow, order_id)
    async with uow.guessing(order_id):
        found = await _order_with(uow, order_id)
        refuse_strangers(found.order, booking_reference, family_name)
    return found


async def _order_with(uow: UnitOfWork, order_id: str) -> StoredOrder:
    found = await find_order(uow, order_id=check_id("ord", order_id))
    if found is None:
        raise NotFound(NOT_FOUND)
    return found


def refuse_strangers(order: Order, booking_reference: str | None, family_name: str | None) -> None:
    """Raise NotFound unless reference and name are this order's, Unauthorised if not given."""
    reference, name = _credentials(booking_reference, family_name)
    if order.booking_reference != normal_locator(reference) or not any(
        same_name(name, passenger.family_name) for passenger in order.passengers
    ):
        raise NotFound(NOT_FOUND)


async def order_of_reference(
    uow: UnitOfWork, booking_reference: str, family_name: str
) -> StoredOrder:
    """Find the order by what a passenger knows of it. Raises the same NotFound for all misses."""
    if not booking_reference or not family_name:
        raise NotFound(NOT_FOUND)
    if uow.actor.may("reservation:read"):
        return await _order_known_by(uow, booking_reference, family_name)
    async with uow.guessing(normal_locator(booking_reference) or booking_reference):
        return await _order_known_by(uow, booking_reference, family_name)


async def _order_known_by(uow: UnitOfWork, booking_reference: str, family_name: str) -> StoredOrder:
    found = await find_order(uow, booking_reference=booking_reference)
    if found is None:
        raise NotFound(NOT_FOUND)
    refuse_strangers(found.order, booking_reference, family_name)
    return found


def _credentials(booking_reference: str | None, family_name: str | None) -> tuple[str, str]:
    if not booking_reference or not family_name:
        raise Unauthorised(
            "An order is shown to staff, and to whoever gives its booking_reference and the "
            "family_name of a passenger."
        )
    return booking_reference, family_name
