"""The services that pricing gives to other plugins."""

from pss_kernel import UnitOfWork

from . import contracts, plugin
from .contracts import OfferExpired, OfferRequest, OfferRequestBody, RefundQuote, StoredOffer
from .domain.refund import quote_refund
from .shopping import shop
from .store import find_offer

__all__ = ["offer_to_order"]


@plugin.provides(contracts.request_offers)
async def _request_offers(uow: UnitOfWork, request: OfferRequestBody) -> OfferRequest:
    return await shop(uow, request)


@plugin.provides(contracts.offer_to_order)
async def offer_to_order(uow: UnitOfWork, offer_id: str) -> StoredOffer:
    """Find an offer that has not expired. Raises NotFound and OfferExpired."""
    stored, live = await find_offer(uow, offer_id)
    if not live:
        raise OfferExpired(
            f"Offer {offer_id} expired at {stored.offer.expires_at:%Y-%m-%dT%H:%M:%SZ}.",
            mend="Re-price it or ask for offers again.",
        )
    return stored


@plugin.provides(contracts.refund_quote)
async def _refund_quote(
    uow: UnitOfWork,  # noqa: ARG001 -- every service takes it; the quote needs only the offer
    stored: StoredOffer,
    seats_used: bool,
    passenger_types: list[str],
) -> RefundQuote:
    return quote_refund(stored, seats_used=seats_used, passenger_types=passenger_types)
