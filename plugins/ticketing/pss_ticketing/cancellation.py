"""Ending the tickets of a cancelled order.

Their value is settled elsewhere: the payment plugin turns what the ledger holds for the order,
revenue and taxes included, into refund and penalty by one posting.
"""

from pss_kernel import UnitOfWork
from pss_reservation.contracts import OrderCancelled

from . import sales, store
from .contracts import CouponMoved, CouponStatus

__all__ = ["cancel_documents"]


async def cancel_documents(uow: UnitOfWork, event: OrderCancelled) -> None:
    """End the order's coupons, once.

    Coupons of a paid order become refunded, of an order without money void; flown ones stay
    flown. A coupon whose passenger was checked in at this very moment ends too, so that the
    gate refuses it.
    """
    paid_minor = event.refund_minor + event.penalty_minor
    issued = await sales.cancel_sale(uow, event.order_id, paid_minor, event.currency)
    if issued is None:
        return
    to_status: CouponStatus = "refunded" if issued.total_minor else "void"
    for before, ended in await store.end_coupons(uow, event.order_id, to_status):
        moved = CouponMoved(
            order_id=event.order_id,
            ticket_number=ended.ticket_number,
            coupon_number=ended.coupon_number,
            from_status=before,
            to_status=to_status,
        )
        uow.emit(moved, stream=ended.ticket_number)
