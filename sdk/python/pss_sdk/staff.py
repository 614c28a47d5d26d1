"""The calls that need an API key of the airline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import msgspec

from pss_sdk.client import Client
from pss_sdk.models import Authorisations, Boarding, Flight, Ledger

__all__ = ["StaffClient"]


class _Legs(msgspec.Struct):
    data: list[Authorisations]


class StaffClient(Client):
    """A client with the staff's calls as well; what they need stands in brackets."""

    async def flights(self, flight_date: date, *, origin: str | None = None) -> list[Flight]:
        """The flights of a day (``inventory:read``)."""
        query = {"date": flight_date.isoformat(), "origin": origin}
        return await self._get_all("/v1/flights", Flight, query)

    async def flight(self, flight_id: str) -> Flight:
        """One dated flight (``inventory:read``)."""
        return await self._get(f"/v1/flights/{flight_id}", Flight)

    async def authorisations(self, flight_id: str) -> list[Authorisations]:
        """What each leg and cabin of a flight may sell (``inventory:read``)."""
        return await self._get_all(f"/v1/flights/{flight_id}/authorisations", Authorisations)

    async def set_authorisations(
        self, flight_id: str, cabin: str, authorised: Mapping[str, int]
    ) -> list[Authorisations]:
        """Set the levels of some booking classes on all legs (``inventory:manage``)."""
        body = {"cabin": cabin, "authorised": authorised}
        return (await self._put(f"/v1/flights/{flight_id}/authorisations", _Legs, body)).data

    async def board(
        self,
        flight_id: str,
        bcbp: str,
        *,
        board_point: str | None = None,
        idempotency_key: str | None = None,
    ) -> Boarding:
        """Scan a boarding pass at the gate (``boarding:board``); see ``result``."""
        body = {"bcbp": bcbp}
        if board_point is not None:
            body["board_point"] = board_point
        return await self._post(
            f"/v1/flights/{flight_id}/boardings", Boarding, body, idempotency_key=idempotency_key
        )

    async def ledger(self, order_id: str) -> Ledger:
        """The books of an order (``payment:read``)."""
        return await self._get("/v1/payments/ledger", Ledger, {"order_id": order_id})
