"""Connections wear out: PostgreSQL keeps in each one what it knows of every tenant's tables.

A connection is therefore closed when it would have to learn one tenant too many, or after half
an hour; both limits vary from connection to connection, so that those opened together don't end
together. And the pool gives a tenant, where one is idle, a connection that knows it already: a
full one goes on serving those that it knows.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from contextvars import ContextVar
from functools import cached_property
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection
from sqlalchemy.util.queue import AsyncAdaptedQueue

__all__ = ["TenantPool", "connect_for"]

_LONGEST_SECONDS = 1800.0
_WEAR = "pss wear"
_wanted: ContextVar[str | None] = ContextVar("wanted tenant", default=None)


class _Wear:
    """What one connection has been through, and how much it may."""

    __slots__ = ("most", "tenants", "until")

    def __init__(self, most: int, tenant: str) -> None:
        # Jitter, not cryptography.
        self.most = max(1, round(most * random.uniform(0.75, 1.0)))  # noqa: S311
        self.until = time.monotonic() + _LONGEST_SECONDS * random.uniform(0.75, 1.25)  # noqa: S311
        self.tenants = {tenant}


async def connect_for(tenant: str, engine: AsyncEngine, most: int) -> AsyncConnection:
    """A pooled connection that may see the tenant's tables; a worn one is replaced first."""
    token = _wanted.set(tenant)
    try:
        while True:
            connection = await engine.connect()
            try:
                if _bears(await connection.get_raw_connection(), tenant, most):
                    return connection
                await connection.invalidate()
            except BaseException:
                await asyncio.shield(connection.invalidate())
                await asyncio.shield(connection.close())
                raise
            await connection.close()
    finally:
        _wanted.reset(token)


def _bears(raw: PoolProxiedConnection, tenant: str, most: int) -> bool:
    """Whether the connection is young enough, and knows the tenant or may come to know it."""
    wear = raw.info.get(_WEAR)
    if wear is None:  # just opened
        raw.info[_WEAR] = _Wear(most, tenant)
        return True
    if wear.until < time.monotonic():
        return False
    if tenant not in wear.tenants and len(wear.tenants) >= wear.most:
        return False
    wear.tenants.add(tenant)
    return True


class _Idle(asyncio.Queue[Any]):
    """The idle connections: one that knows the tenant first, else the least worn."""

    _queue: deque[Any]

    def _get(self) -> Any:
        tenant = _wanted.get()
        best, fewest = 0, -1
        for place, record in enumerate(self._queue):
            # What was closed keeps the notes about it until it is opened again.
            wear = record.info.get(_WEAR) if record.dbapi_connection is not None else None
            tenants = wear.tenants if wear is not None else ()
            if tenant in tenants:
                best = place
                break
            if fewest < 0 or len(tenants) < fewest:
                best, fewest = place, len(tenants)
        record = self._queue[best]
        del self._queue[best]
        return record


class _IdleConnections(AsyncAdaptedQueue[Any]):
    @cached_property
    def _queue(self) -> asyncio.Queue[Any]:
        return _Idle(maxsize=self.maxsize)


class TenantPool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool, but for which of the idle connections it gives."""

    _queue_class = _IdleConnections
