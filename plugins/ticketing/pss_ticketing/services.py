from pss_kernel import NotFound, UnitOfWork

from . import contracts, plugin, store
from .contracts import CouponMoved, CouponRef, CouponStatus, CouponUsed, Ticket
from .coupons import check_move

__all__: list[str] = []


@plugin.provides(contracts.tickets_of_order)
async def _tickets_of_order(uow: UnitOfWork, order_id: str) -> list[Ticket]:
    return await store.tickets_of(uow, order_id)


@plugin.provides(contracts.coupon_of)
async def _coupon_of(uow: UnitOfWork, passenger_id: str, segment_id: str) -> CouponRef:
    found = await store.coupon_of_passenger(uow, passenger_id, segment_id)
    if found is None:
        raise NotFound("No ticket was issued for this passenger on this segment.")
    return found


@plugin.provides(contracts.move_coupon)
async def _move_coupon(
    uow: UnitOfWork,
    ticket_number: str,
    coupon_number: int,
    from_status: CouponStatus,
    to_status: CouponStatus,
) -> None:
    check_move(from_status, to_status)
    order_id = await store.compare_and_set(
        uow, ticket_number, coupon_number, from_status, to_status
    )
    if order_id is None:
        await _refuse(uow, ticket_number, coupon_number, from_status)
        return
    moved = CouponMoved(
        order_id=order_id,
        ticket_number=ticket_number,
        coupon_number=coupon_number,
        from_status=from_status,
        to_status=to_status,
    )
    uow.emit(moved, stream=ticket_number)


async def _refuse(
    uow: UnitOfWork, ticket_number: str, coupon_number: int, expected: CouponStatus
) -> None:
    ticket = await store.ticket_by_number(uow, ticket_number)
    coupons = ticket.coupons if ticket else []
    for coupon in coupons:
        if coupon.number == coupon_number:
            raise CouponUsed(
                f"Coupon {coupon_number} of ticket {ticket_number} is {coupon.status},"
                f" not {expected}."
            )
    raise NotFound(f"There is no coupon {coupon_number} of a ticket {ticket_number[:20]!r}.")
