"""The calls of a passenger's journey, and those of the staff beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import httpx
import msgspec
from tenacity import (
    AsyncRetrying,
    RetryError,
    retry_if_result,
    stop_after_delay,
    wait_exponential,
)

from pss_sdk._exchange import Exchange
from pss_sdk.errors import OrderNotTicketed
from pss_sdk.models import (
    BoardingPass,
    Cancellation,
    Dish,
    Guest,
    Health,
    Market,
    Offer,
    OfferRequest,
    Order,
    Passenger,
    Payment,
    SeatMap,
    Service,
    Tenant,
)

__all__ = ["Client"]

_UNDECIDED = frozenset({"held", "confirmed"})


class _CheckedIn(msgspec.Struct):
    boarding_passes: list[BoardingPass]


class Client(Exchange):
    """A client of one airline, for a guest or, with ``key``, for staff and integrators.

    ``base_url``: the airline's own address, or an installation's with ``tenant``. ``timeout``:
    seconds for one attempt. ``attempts``: how often a request is tried at the most. Use it as
    an async context manager, or call ``aclose``. Every call raises ApiProblem, Unreachable or
    UnexpectedAnswer. ``idempotency_key``: give your own where a call must have one effect
    even when your program starts again; otherwise each call makes a new one.

    A ``Guest`` (booking reference and family name) opens an order to callers without a key.
    """

    def __init__(
        self,
        base_url: str,
        *,
        tenant: str | None = None,
        key: str | None = None,
        timeout: float = 30.0,
        attempts: int = 5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        super().__init__(
            base_url,
            tenant=tenant,
            key=key,
            timeout=timeout,
            attempts=attempts,
            transport=transport,
        )

    # Shopping ---------------------------------------------------------------------------------

    async def health(self) -> Health:
        """Whether a server answers at all; touches no airline."""
        return await self._get("/health", Health)

    async def tenant(self) -> Tenant:
        """Who this airline is, and which plugins it has enabled."""
        return await self._get("/v1/tenant", Tenant)

    async def markets(self) -> list[Market]:
        """The markets on sale."""
        return await self._get_all("/v1/markets", Market)

    async def request_offers(
        self,
        slices: Sequence[tuple[str, str, date]],
        passengers: Sequence[str] = ("adult",),
        *,
        cabin: str | None = None,
        idempotency_key: str | None = None,
    ) -> OfferRequest:
        """Ask for offers: (origin, destination, departure date) for each direction.

        ``passengers`` are types: adult, child or infant.
        """
        body: dict[str, Any] = {
            "slices": [
                {"origin": origin, "destination": destination, "departure_date": day}
                for origin, destination, day in slices
            ],
            "passengers": [{"type": kind} for kind in passengers],
        }
        if cabin is not None:
            body["cabin"] = cabin
        return await self._post(
            "/v1/offer-requests", OfferRequest, body, idempotency_key=idempotency_key
        )

    async def offer(self, offer_id: str, *, reprice: bool = False) -> Offer:
        """The offer as it was made; ``reprice``: as it can be had now, maybe with a new id."""
        query = {"reprice": "true"} if reprice else None
        return await self._get(f"/v1/offers/{offer_id}", Offer, query)

    # Orders and money -------------------------------------------------------------------------

    async def create_order(
        self,
        offer_id: str,
        passengers: Sequence[Passenger],
        *,
        hold: bool = False,
        idempotency_key: str | None = None,
    ) -> Order:
        """Order an offer; its seats are kept until ``payment_required_by``.

        ``hold`` asks for more time to pay. Refused with ``sold-out``, ``offer-expired``, …
        """
        body = {"offer_id": offer_id, "passengers": passengers, "hold": hold}
        return await self._post("/v1/orders", Order, body, idempotency_key=idempotency_key)

    async def order(self, order_id: str, guest: Guest | None = None) -> Order:
        """The order, with its documents."""
        return await self._get(f"/v1/orders/{order_id}", Order, _query(guest))

    async def find_order(self, booking_reference: str, family_name: str) -> Order:
        """The order that a passenger knows."""
        return await self._get("/v1/orders", Order, _query(Guest(booking_reference, family_name)))

    async def pay(
        self,
        order: Order,
        token: str,
        *,
        return_url: str | None = None,
        idempotency_key: str | None = None,
    ) -> Payment:
        """Pay the order's total with a card's token.

        See ``status``: a declined card is an answer (failed, with ``failure``), no ApiProblem;
        pending means that the card network is slow, ask with ``payment``.
        """
        body: dict[str, Any] = {
            "order_id": order.id,
            "amount": order.total,
            "method": {"type": "card", "token": token},
        }
        if return_url is not None:
            body["return_url"] = return_url
        return await self._post("/v1/payments", Payment, body, idempotency_key=idempotency_key)

    async def payment(self, payment_id: str) -> Payment:
        """How a payment stands."""
        return await self._get(f"/v1/payments/{payment_id}", Payment)

    async def confirm_payment(
        self, payment_id: str, *, idempotency_key: str | None = None
    ) -> Payment:
        """Go on after the customer has answered the card issuer's challenge."""
        return await self._post(
            f"/v1/payments/{payment_id}/confirmations", Payment, idempotency_key=idempotency_key
        )

    async def wait_until_ticketed(
        self, order_id: str, guest: Guest | None = None, *, seconds: float = 30.0
    ) -> Order:
        """Wait until a paid order has its tickets, asking less and less often.

        Raises OrderNotTicketed after ``seconds``, and at once for an order that never will.
        """
        asking = AsyncRetrying(
            retry=retry_if_result(lambda order: order.status in _UNDECIDED),
            stop=stop_after_delay(seconds),
            wait=wait_exponential(multiplier=0.025, exp_base=1.5, max=1.0),
        )
        try:
            order: Order = await asking(self.order, order_id, guest)
        except RetryError as late:
            order = late.last_attempt.result()
        if order.status != "ticketed":
            raise OrderNotTicketed(
                f"The order {order.booking_reference} is {order.status.replace('_', ' ')}, "
                "not ticketed.",
                order_id=order.id,
                status=order.status,
            )
        return order

    async def quote_cancellation(
        self, order_id: str, guest: Guest | None = None, *, idempotency_key: str | None = None
    ) -> Cancellation:
        """What cancelling would give back and cost; nothing is cancelled yet."""
        return await self._post(
            f"/v1/orders/{order_id}/cancellations",
            Cancellation,
            query=_query(guest),
            idempotency_key=idempotency_key,
        )

    async def confirm_cancellation(
        self,
        cancellation_id: str,
        guest: Guest | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Cancellation:
        """Cancel as quoted."""
        return await self._post(
            f"/v1/cancellations/{cancellation_id}/confirm",
            Cancellation,
            query=_query(guest),
            idempotency_key=idempotency_key,
        )

    async def cancel(self, order_id: str, guest: Guest | None = None) -> Cancellation:
        """Cancel on whatever terms; ``quote_cancellation`` tells them first."""
        quote = await self.quote_cancellation(order_id, guest)
        return await self.confirm_cancellation(quote.id, guest)

    # Seats, extras, check-in --------------------------------------------------------------------

    async def seat_map(
        self, *, order_id: str | None = None, offer_id: str | None = None
    ) -> list[SeatMap]:
        """The cabin of each segment of an order or of an offer, with what is free now."""
        query = {"order_id": order_id, "offer_id": offer_id}
        return await self._get_all("/v1/seat-maps", SeatMap, query)

    async def add_service(
        self,
        order_id: str,
        kind: str,
        *,
        passenger_id: str,
        segment_id: str,
        seat: str | None = None,
        code: str | None = None,
        guest: Guest | None = None,
        idempotency_key: str | None = None,
    ) -> Service:
        """Add a ``seat`` (give ``seat``), a ``meal`` (give ``code``) or another service."""
        body = {"type": kind, "passenger_id": passenger_id, "segment_id": segment_id}
        body |= {name: one for name, one in (("seat", seat), ("code", code)) if one is not None}
        return await self._post(
            f"/v1/orders/{order_id}/services",
            Service,
            body,
            query=_query(guest),
            idempotency_key=idempotency_key,
        )

    async def meals(self) -> list[Dish]:
        """The menu of special meals, where the airline has the plugin ``meals``."""
        return await self._get_all("/v1/meals", Dish)

    async def check_in(
        self,
        guest: Guest,
        *,
        segment_id: str | None = None,
        passenger_ids: Sequence[str] | None = None,
        bags: Mapping[str, int] | None = None,
        idempotency_key: str | None = None,
    ) -> list[BoardingPass]:
        """Check in on everything that is open, or on one segment; ``bags`` per passenger id."""
        body: dict[str, Any] = {
            "booking_reference": guest.booking_reference,
            "family_name": guest.family_name,
        }
        if segment_id is not None:
            body["segment_id"] = segment_id
        if passenger_ids is not None:
            body["passenger_ids"] = passenger_ids
        if bags:
            body["bags"] = [{"passenger_id": who, "pieces": count} for who, count in bags.items()]
        answer = await self._post(
            "/v1/check-ins", _CheckedIn, body, idempotency_key=idempotency_key
        )
        return answer.boarding_passes

    async def boarding_pass_image(self, pass_id: str) -> bytes:
        """The boarding pass for a telephone's screen, PNG."""
        return await self._get_bytes(f"/v1/boarding-passes/{pass_id}/image.png")

    async def boarding_pass_document(self, pass_id: str) -> bytes:
        """The boarding pass for printing, PDF."""
        return await self._get_bytes(f"/v1/boarding-passes/{pass_id}/document.pdf")


def _query(guest: Guest | None) -> dict[str, str | None] | None:
    if guest is None:
        return None
    return {"booking_reference": guest.booking_reference, "family_name": guest.family_name}
