"""Buckets that all processes share, in Redis: one script, one round trip, by Redis' own clock."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from pss_kernel.limits._bucket import Take, Taken

__all__ = ["REDIS_ERRORS", "RedisBuckets"]

REDIS_ERRORS = (OSError, RedisError)
"""What is raised where Redis can't be used; a time-out is an OSError."""

_CONNECTIONS = 32

# ARGV: the time (empty: Redis' own), then interval, burst and cost of each bucket. Numbers of Lua
# are doubles: exact up to 2^53, where microseconds since 1970 get in the year 2255. A key lives a
# second longer than it says anything.
_TAKE = """
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local allowed, full, wanted = 1, {}, {}
for i, key in ipairs(KEYS) do
  local interval, burst, cost =
    tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  full[i] = math.max(tonumber(redis.call('GET', key) or 0), now)
  wanted[i] = full[i] + cost * interval
  if cost > 0 and wanted[i] - now > burst then allowed = 0 end
end
local answer = {allowed}
for i, key in ipairs(KEYS) do
  local at = full[i]
  if allowed == 1 then
    at = math.max(wanted[i], now)
    if at > now then
      local lives = math.ceil((at - now) / 1000) + 1000
      redis.call('SET', key, string.format('%.0f', at), 'PX', string.format('%.0f', lives))
    else
      redis.call('DEL', key)
    end
  end
  answer[i + 1] = at - now
end
return answer
"""


class RedisBuckets:
    """The buckets of an installation with ``PSS_REDIS_URL``."""

    def __init__(self, url: str) -> None:
        # Nobody waits for a second try: limits fall back to the process's own.
        self._client = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url, max_connections=_CONNECTIONS, timeout=None, retry=Retry(NoBackoff(), 0)
            )
        )
        self._script = self._client.register_script(_TAKE)

    async def take(self, takes: Sequence[Take], now: int | None = None) -> Taken:
        """Decide all the wishes together. Raises REDIS_ERRORS.

        All must be of one tenant: they lie in one slot of a cluster.
        """
        arguments: list[str | int] = ["" if now is None else now]
        for one in takes:
            arguments += [one.bucket.interval, one.bucket.burst, one.cost]
        answer = await self._script(keys=[one.bucket.key for one in takes], args=arguments)
        return Taken(answer[0] == 1, tuple(takes), tuple(answer[1:]))

    async def drop_connections(self) -> None:
        """Forget the connections to a server that has gone."""
        await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Let go of them."""
        await self._client.aclose(close_connection_pool=True)
