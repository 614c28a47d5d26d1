"""Sellers that book, change and cancel at many airlines, and keep every answer that they got."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from pss_outside.passengers import party, types
from pss_outside.traveller import credentials, fresh_key

__all__ = ["Refusal", "Seller"]

_DAYS_AHEAD = 3
_PAUSE_SECONDS = 0.4  # between two requests: a load that a small machine can carry


@dataclass(frozen=True)
class Refusal:
    """An answer that is not a success."""

    tenant: str
    request: str
    status: int
    codes: tuple[str, ...]


@dataclass
class Seller:
    """Sells at one airline, through each of the servers in turn."""

    tenant: str
    market: tuple[str, str]
    servers: Iterable[httpx.AsyncClient]
    refusals: list[Refusal] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._next = itertools.cycle(self.servers)
        self._count = itertools.count()

    async def sell_until(self, stop: asyncio.Event, *, most: int) -> None:
        """One journey after the other."""
        for _ in range(most):
            if stop.is_set():
                return
            await self.sell()

    async def sell(self) -> None:
        """Shop, book, choose a meal, and pay or cancel."""
        number = next(self._count)
        order = await self._booked(number)
        if order is None:
            return
        known, path = credentials(order), f"/orders/{order['id']}"
        meal = {
            "type": "meal",
            "code": "VGML",
            "passenger_id": order["passengers"][0]["id"],
            "segment_id": order["slices"][0]["segments"][0]["id"],
        }
        await self._ask("POST", f"{path}/services", meal, known)
        await self._ask("GET", f"/meals/{order['id']}", None, known)
        if number % 2:
            card = {"type": "card", "token": "tok_visa"}
            paying = {"order_id": order["id"], "amount": order["total"], "method": card}
            if await self._ask("POST", "/payments", paying):
                self.done["paid"] += 1
            return
        quoted = await self._ask("POST", f"{path}/cancellations", None, known)
        if quoted and await self._ask(
            "POST", f"/cancellations/{quoted['id']}/confirm", None, known
        ):
            self.done["cancelled"] += 1

    async def _booked(self, number: int) -> dict[str, Any] | None:
        day = (datetime.now(UTC) + timedelta(days=_DAYS_AHEAD + number % 3)).date()
        origin, destination = self.market
        asked = {"origin": origin, "destination": destination, "departure_date": str(day)}
        found = await self._ask(
            "POST", "/offer-requests", {"slices": [asked], "passengers": types("adult")}
        )
        if found is None:
            return None
        offers = found["offers"]
        body = {"offer_id": offers[number % len(offers)]["id"], "passengers": party("adult")}
        return await self._ask("POST", "/orders", body)

    async def _ask(
        self, method: str, path: str, body: Any = None, parameters: dict[str, str] | None = None
    ) -> Any:
        """The answer; None for a refusal, which is kept."""
        headers = {"PSS-Tenant": self.tenant} | (fresh_key() if method == "POST" else {})
        answer = await next(self._next).request(
            method, f"/v1{path}", json=body, params=parameters, headers=headers
        )
        self.done["requests"] += 1
        await asyncio.sleep(_PAUSE_SECONDS)
        if answer.is_success:
            return answer.json()
        problem = answer.json()
        codes = (problem["code"], *(one["code"] for one in problem.get("errors", [])))
        shape = "/".join(part for part in path.split("/") if "_" not in part)
        self.refusals.append(Refusal(self.tenant, f"{method} {shape}", answer.status_code, codes))
        return None
