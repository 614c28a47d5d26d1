from pss_kernel import UnitOfWork
from pss_reservation import contracts as reservation
from pss_reservation.contracts import CancellationRefusal, Document, Order

from . import plugin, store
from .contracts import Ticket

__all__: list[str] = []


@plugin.hook(reservation.documents_of_order)
async def ticket_documents(
    uow: UnitOfWork, documents: list[Document], order_id: str
) -> list[Document]:
    """Add the order's tickets, by number."""
    tickets = await store.tickets_of(uow, order_id)
    return [*documents, *map(_document, tickets)]


def _document(ticket: Ticket) -> Document:
    return Document(
        type="ticket",
        number=ticket.number,
        passenger_id=ticket.passenger_id,
        status=ticket.status,
        coupons=[
            reservation.Coupon(
                number=coupon.number,
                segment_id=coupon.segment_id,
                flight=coupon.flight,
                origin=coupon.origin,
                destination=coupon.destination,
                status=coupon.status,
            )
            for coupon in ticket.coupons
        ],
    )


@plugin.hook(reservation.cancellation_allowed)
async def coupons_unused(
    uow: UnitOfWork, refusals: list[CancellationRefusal], order: Order
) -> list[CancellationRefusal]:
    """Refuse to cancel an order of which somebody has flown or is checked in."""
    coupons = [
        coupon for ticket in await store.tickets_of(uow, order.id) for coupon in ticket.coupons
    ]
    statuses = {coupon.status for coupon in coupons}
    found = list(refusals)
    if "flown" in statuses:
        found.append(
            CancellationRefusal(code="coupon-flown", detail="A flight of the order was flown.")
        )
    if "checked_in" in statuses and all(refusal.code != "checked-in" for refusal in refusals):
        found.append(
            CancellationRefusal(
                code="checked-in", detail="A passenger of the order is checked in; offload first."
            )
        )
    return found
