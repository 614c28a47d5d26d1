"""The HTTP interface of pricing."""

from pss_kernel import UnitOfWork

from . import plugin
from .contracts import Offer, OfferRequest, OfferRequestBody
from .services import offer_to_order
from .shopping import reprice as reprice_offer
from .shopping import shop
from .store import find_offer

__all__ = ["request_offers", "show_offer"]


@plugin.post("/offer-requests", permission="pricing:shop", summary="Ask for offers", limit="shop")
async def request_offers(uow: UnitOfWork, data: OfferRequestBody) -> OfferRequest:
    """Price flights for all passengers, lowest total first.

    One to six slices in order of date, one to nine passengers. `offers` is empty when nothing
    is on sale. 422 `invalid` lists every wrong field with its pointer.
    """
    return await shop(uow, data)


@plugin.get(
    "/offers/{offer_id:str}", permission="pricing:shop", summary="Read or re-price an offer"
)
async def show_offer(uow: UnitOfWork, offer_id: str, reprice: bool = False) -> Offer:
    """Read an offer as it was made; 410 `offer-expired` when its time is over.

    With `reprice=true` the same offer comes back while it still holds, otherwise a new one
    with its own id for the same flights and brand; 409 `offer-unavailable` when there is none.
    """
    if not reprice:
        return (await offer_to_order(uow, offer_id)).offer
    stored, live = await find_offer(uow, offer_id)
    return await reprice_offer(uow, stored, live=live)
