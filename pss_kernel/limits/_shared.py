"""Buckets in Redis where there is one, in this process otherwise and while it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from pss_kernel.limits._bucket import Take, Taken
from pss_kernel.limits._memory import MemoryBuckets
from pss_kernel.limits._redis import REDIS_ERRORS, RedisBuckets

__all__ = ["Buckets"]

_log = structlog.get_logger("pss.limits")
_PATIENCE = 0.05
"""Seconds that a request waits for Redis."""
_AWAY_SECONDS = 2.0
"""After a failure Redis is left alone for so long; then one request tries it again."""


class Buckets:
    """A request is never refused, and waits for moments only, because Redis is away."""

    def __init__(
        self,
        redis: RedisBuckets | None,
        *,
        patience: float = _PATIENCE,
        away_seconds: float = _AWAY_SECONDS,
    ) -> None:
        self._redis = redis
        self._patience = patience
        self._away_seconds = away_seconds
        self._own = MemoryBuckets()
        self._try_at = 0.0
        self.degraded = False
        """Whether Redis did not answer when it was last asked."""

    async def take(self, takes: Sequence[Take]) -> Taken:
        """Decide all the wishes together."""
        redis = self._redis
        if redis is None:
            return self._own.take(takes)
        if self.degraded:
            if time.monotonic() < self._try_at:
                return self._own.take(takes)
            self._try_at = time.monotonic() + self._away_seconds  # the others don't wait for it
        try:
            async with asyncio.timeout(self._patience):
                taken = await redis.take(takes)
        except REDIS_ERRORS as error:
            await self._lost(redis, error)
            return self._own.take(takes)
        if self.degraded:
            self.degraded = False
            _log.info("limits_shared_again")
        return taken

    async def look(self) -> bool:
        """Whether the buckets are where they should be, asked now where they were not."""
        if self.degraded and time.monotonic() >= self._try_at:
            await self.take([])
        return not self.degraded

    async def _lost(self, redis: RedisBuckets, error: BaseException) -> None:
        self._try_at = time.monotonic() + self._away_seconds
        if not self.degraded:
            self.degraded = True
            _log.warning("limits_not_shared", error=repr(error))
        await redis.drop_connections()

    async def close(self) -> None:
        """Let go of Redis."""
        if self._redis is not None:
            await self._redis.close()
