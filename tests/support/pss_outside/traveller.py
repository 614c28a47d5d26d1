"""A client of one airline over plain HTTP: it shops, books, pays, waits, checks in."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx

from pss_outside.passengers import party, types
from pss_outside.processes import until

__all__ = ["Traveller", "connected", "fresh_key"]

# Meals are taken until a day before departure and check-in opens two days before it: flights
# between, with something to spare, can be sold, eaten on and checked in for at once.
_SOONEST, _LATEST = timedelta(hours=24, minutes=30), timedelta(hours=47, minutes=30)
# Check-in opens 72 hours before: never yet for the way back, at whatever time of day.
_AWAY = timedelta(days=3)


def fresh_key() -> dict[str, str]:
    """Make the header of a request that is not a repetition."""
    return {"Idempotency-Key": str(uuid.uuid4())}


@contextlib.asynccontextmanager
async def connected(address: str, tenant: str, key: str | None = None) -> AsyncIterator[Traveller]:
    """Open a client of the airline, a guest's or a key holder's."""
    headers = {"PSS-Tenant": tenant} | ({"Authorization": f"Bearer {key}"} if key else {})
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
        yield Traveller(client)


class Traveller:
    """One caller of one airline. ``settle`` makes events arrive where no worker runs."""

    def __init__(
        self, http: httpx.AsyncClient, settle: Callable[[], Awaitable[Any]] | None = None
    ) -> None:
        self.http = http
        self._settle = settle

    async def get(self, path: str, **parameters: Any) -> Any:
        """Read something that is there."""
        answer = await self.http.get(f"/v1{path}", params=parameters)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, **parameters: Any) -> httpx.Response:
        """Send something under a fresh Idempotency-Key."""
        return await self.http.post(f"/v1{path}", json=body, params=parameters, headers=fresh_key())

    async def offers(
        self,
        *slices: tuple[str, str, date | str],
        passengers: Iterable[str] = ("adult",),
        **more: Any,
    ) -> list[dict[str, Any]]:
        """Ask for offers; each slice is origin, destination and date (or ISO 8601 text)."""
        wanted = [
            {"origin": origin, "destination": destination, "departure_date": str(day)}
            for origin, destination, day in slices
        ]
        body = {"slices": wanted, "passengers": types(*passengers)} | more
        answer = await self.post("/offer-requests", body)
        assert 201 == answer.status_code, answer.text
        found: list[dict[str, Any]] = answer.json()["offers"]
        return found

    async def bookable(
        self,
        origin: str,
        destination: str,
        *passengers: str,
        segments: int = 1,
        refundable: bool = False,
        back: bool = False,
    ) -> dict[str, Any]:
        """Find an offer that can be checked in for at once; ``back``: and back, later than that."""
        now = datetime.now(UTC)
        for day in (now + timedelta(days=days) for days in (1, 2, 3)):
            slices: list[Any] = [(origin, destination, day.date())]
            if back:
                slices.append((destination, origin, day.date() + _AWAY))
            for offer in await self.offers(*slices, passengers=passengers or ("adult",)):
                first = offer["slices"][0]["segments"]
                departing = datetime.fromisoformat(first[0]["departing_at_utc"]) - now
                if (
                    len(first) == segments
                    and _SOONEST < departing < _LATEST
                    and (offer["conditions"]["refundable"] or not refundable)
                ):
                    return offer
        raise AssertionError(f"No offer from {origin} to {destination} with {segments} segments.")

    async def book(
        self, offer: dict[str, Any], *, family_name: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Make an order of the offer for a party that fits it."""
        kinds = [one["type"] for one in offer["passengers"]]
        body = {"offer_id": offer["id"], "passengers": party(*kinds, family_name=family_name)}
        answer = await self.post("/orders", body | more)
        assert 201 == answer.status_code, answer.text
        order: dict[str, Any] = answer.json()
        return order

    async def pay(self, order: dict[str, Any], token: str = "tok_visa") -> httpx.Response:  # noqa: S107 - a sandbox's token
        """Pay the order's whole total."""
        return await self.post(
            "/payments",
            {
                "order_id": order["id"],
                "amount": order["total"],
                "method": {"type": "card", "token": token},
            },
        )

    async def own(self, order: dict[str, Any]) -> dict[str, Any]:
        """See the order again, as a guest who knows its reference and a family name."""
        seen: dict[str, Any] = await self.get("/orders", **credentials(order))
        return seen

    async def awaited(
        self, order: dict[str, Any], status: str, *, seconds: float = 30.0
    ) -> dict[str, Any]:
        """Wait until the order has the status."""

        async def reached() -> dict[str, Any] | None:
            if self._settle is not None:
                await self._settle()
            seen = await self.own(order)
            return seen if seen["status"] == status else None

        seen: dict[str, Any] = await until(reached, seconds=seconds)
        return seen

    async def ticketed(self, offer: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Book, pay and wait for the tickets."""
        order = await self.book(offer, **more)
        paid = await self.pay(order)
        assert (201, "captured") == (paid.status_code, paid.json()["status"]), paid.text
        return await self.awaited(order, "ticketed")

    async def check_in(self, order: dict[str, Any], **more: Any) -> httpx.Response:
        """Check in whoever of the order can be."""
        return await self.post("/check-ins", credentials(order) | more)


def credentials(order: dict[str, Any]) -> dict[str, str]:
    """Name the order as its passengers do."""
    return {
        "booking_reference": order["booking_reference"],
        "family_name": order["passengers"][0]["family_name"],
    }
