"""Orders over HTTP. Guests name their order by `booking_reference` and `family_name`."""

from typing import Annotated

from litestar.params import QueryParameter
from msgspec import Meta, Struct

from pss_kernel import BadRequest, Page, UnitOfWork, check_id

from . import plugin
from .access import open_order, order_of_reference
from .booking import NewOrder, book
from .cancelling import Cancellation, confirm_cancellation, find_cancellation, quote_cancellation
from .contracts import documents_of_order
from .extras import NewService, add_service
from .lifecycle import AttentionItem, attention_queue, history_of
from .masking import masked, without_special
from .order import HistoryEntry, Order, OrderService
from .store import read_order, set_attention

Reference = Annotated[str | None, QueryParameter(description="The order's booking reference.")]
FamilyName = Annotated[str | None, QueryParameter(description="The family name of a passenger.")]


class AttentionCleared(Struct, kw_only=True, forbid_unknown_fields=True):
    """What staff did about an order that needed attention."""

    note: Annotated[str, Meta(max_length=500)] = ""


@plugin.post("/orders", permission="reservation:book", limit="shop")
async def create_order(uow: UnitOfWork, data: NewOrder) -> Order:
    """Make an order from an offer and hold its seats until `payment_required_by`."""
    return _shown(uow, await book(uow, data))


@plugin.get("/orders", permission="reservation:read", limit="lookup")
async def find_own_order(
    uow: UnitOfWork, booking_reference: Reference = None, family_name: FamilyName = None
) -> Order:
    """Find an order by its booking reference and the family name of one of its passengers."""
    if not booking_reference or not family_name:
        raise BadRequest("Give booking_reference and family_name.")
    found = await order_of_reference(uow, booking_reference, family_name)
    return await _with_documents(uow, found.order)


@plugin.get("/orders/needs-attention", permission="reservation:manage")
async def list_needs_attention(
    uow: UnitOfWork,
    cursor: str | None = None,
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
) -> Page[AttentionItem]:
    """List the orders that wait for staff, oldest first."""
    after = None if cursor is None else check_id("ord", cursor)
    return await attention_queue(uow, cursor=after, limit=limit)


@plugin.get("/orders/{order_id:str}", permission="reservation:read")
async def show_order(
    uow: UnitOfWork,
    order_id: str,
    booking_reference: Reference = None,
    family_name: FamilyName = None,
) -> Order:
    """Show an order with its documents; to staff who manage orders, with its history too.

    Guests see birth dates not at all, and masked numbers of documents, phones and e-mails.
    """
    found = await open_order(uow, order_id, "reservation:read", booking_reference, family_name)
    order = await _with_documents(uow, found.order)
    if uow.actor.may("reservation:manage"):
        order.history = await history_of(uow, order.id)
    return order


@plugin.get("/orders/{order_id:str}/history", permission="reservation:manage")
async def show_history(uow: UnitOfWork, order_id: str) -> Page[HistoryEntry]:
    """List every change of an order, oldest first."""
    order = (await read_order(uow, check_id("ord", order_id))).order
    return Page(data=await history_of(uow, order.id), next_cursor=None)


@plugin.post("/orders/{order_id:str}/attention/clear", permission="reservation:manage", status=200)
async def clear_attention(uow: UnitOfWork, order_id: str, data: AttentionCleared) -> Order:
    """Take an order out of the attention queue, with a note of what was done."""
    order_id = check_id("ord", order_id)
    await set_attention(uow, order_id, None, data.note.replace("\0", ""))
    uow.audit("reservation.attention-cleared", order_id)
    return await _with_documents(uow, (await read_order(uow, order_id)).order)


@plugin.post("/orders/{order_id:str}/services", permission="reservation:change")
async def create_service(
    uow: UnitOfWork,
    order_id: str,
    data: NewService,
    booking_reference: Reference = None,
    family_name: FamilyName = None,
) -> OrderService:
    """Add a seat, a meal or another service for a passenger on a segment."""
    found = await open_order(uow, order_id, "reservation:change", booking_reference, family_name)
    return await add_service(uow, found.order, data)


@plugin.post("/orders/{order_id:str}/cancellations", permission="reservation:change")
async def create_cancellation(
    uow: UnitOfWork,
    order_id: str,
    booking_reference: Reference = None,
    family_name: FamilyName = None,
) -> Cancellation:
    """Quote what cancelling the order costs and gives back; nothing is cancelled yet."""
    found = await open_order(uow, order_id, "reservation:change", booking_reference, family_name)
    return await quote_cancellation(uow, found)


@plugin.post(
    "/cancellations/{cancellation_id:str}/confirm", permission="reservation:cancel", status=200
)
async def confirm_quoted_cancellation(
    uow: UnitOfWork,
    cancellation_id: str,
    booking_reference: Reference = None,
    family_name: FamilyName = None,
) -> Cancellation:
    """Cancel the order as it was quoted; its seats go back on sale and the refund is made."""
    quote = await find_cancellation(uow, cancellation_id)
    found = await open_order(
        uow, quote.order_id, "reservation:cancel", booking_reference, family_name
    )
    uow.require("reservation:cancel", up_to=quote.refund)
    if quote.refund.minor and uow.actor.may("reservation:cancel"):
        uow.require_step_up()  # staff give somebody's money back
    cancelled = await confirm_cancellation(uow, quote, found)
    if uow.actor.may("reservation:cancel"):  # staff, for somebody else
        uow.audit(
            "reservation.order-cancelled",
            quote.order_id,
            before={"status": found.order.status},
            after={"refund": quote.refund, "penalty": quote.penalty},
        )
    return cancelled


async def _with_documents(uow: UnitOfWork, order: Order) -> Order:
    order.documents = await uow.call(documents_of_order, documents=[], order_id=order.id)
    return _shown(uow, order)


def _shown(uow: UnitOfWork, order: Order) -> Order:
    """Every order that is answered goes through here: personal facts whole to staff only."""
    if not uow.actor.may("reservation:read"):
        return masked(order)
    return order if uow.actor.may("reservation:special") else without_special(order)
