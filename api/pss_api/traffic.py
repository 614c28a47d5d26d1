"""Counting each tenant's requests, and telling the database about once a second.

Whoever changes something for some tenants (``pss migrate run``) sees there how they fare; whoever
looks after keys, which of them are in use.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from pss_kernel.auth import Actor
from pss_kernel.identity.api_keys.uses import KeyUse, record_uses
from pss_kernel.installation import Installation
from pss_kernel.resilience import flush_every
from pss_kernel.rollout._traffic import Traffic, add
from pss_kernel.tenancy import Tenant

__all__ = ["TrafficCounter"]

_log = structlog.get_logger("pss.traffic")
_FLUSH_SECONDS = 1.0
_FORGET_EVERY = 60  # flushes


class TrafficCounter:
    """What this process has served since it last told the database."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._counted: dict[Tenant, Traffic] = {}
        self._used: dict[str, KeyUse] = {}
        self._flushes = 0

    def note(self, tenant: Tenant, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        traffic = self._counted.get(tenant)
        if traffic is None:
            traffic = self._counted[tenant] = Traffic()
        traffic.note(status, seconds)

    def note_key(self, tenant: Tenant, actor: Actor) -> None:
        """Remember that a key was used just now; the last time counts."""
        self._used[actor.id] = KeyUse(tenant.code, actor.id, datetime.now(UTC), actor.address)

    async def flush(self) -> None:
        """Add what was counted to each tenant's row; what can't be added is forgotten.

        The last uses of keys are kept for the next time.
        """
        used, self._used = self._used, {}
        try:
            await record_uses(self._installation, used.values())
        except BaseException:
            self._used = used | self._used
            raise
        finally:
            await self._flush_counts()

    async def _flush_counts(self) -> None:
        counted, self._counted = self._counted, {}
        by_cell: dict[str, dict[str, Traffic]] = {}
        for tenant, traffic in counted.items():
            into = by_cell.setdefault(tenant.cell, {}).setdefault(tenant.code, Traffic())
            into.merge(traffic)  # a tenant that has changed meanwhile is here twice
        forget = self._flushes % _FORGET_EVERY == 0
        self._flushes += bool(by_cell)
        for cell, traffics in by_cell.items():
            rows = [
                {
                    "tenant": code,
                    "requests": one.requests,
                    "errors": one.errors,
                    "latency": one.latency,
                }
                for code, one in traffics.items()
            ]
            engine = self._installation.cells[cell].relay_engine
            async with engine.begin() as connection:
                raw = await connection.get_raw_connection()
                driver: Any = raw.driver_connection
                await add(driver, msgspec.json.encode(rows).decode(), forget=forget)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell the database while the block lasts."""
        flushing = flush_every(
            _FLUSH_SECONDS,
            self.flush,
            lambda error: _log.warning("traffic_not_counted", error=error),
        )
        task = asyncio.create_task(flushing, name="pss traffic")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
