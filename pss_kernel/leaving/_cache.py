"""A tenant's keys in Redis: counted, and deleted when it has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.errors import Unavailable

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["cache_keys_of"]


async def cache_keys_of(
    installation: Installation, code: str, *, remove: bool = False
) -> dict[str, int]:
    """How many keys begin with its code; with ``remove``, they no longer do.

    Raises Unavailable where Redis can't be reached.
    """
    url = installation.config.redis_url
    if not url:
        return {}
    from redis.asyncio import Redis, RedisError  # noqa: PLC0415 - slow, and only needed here

    pattern = f"pss:{code}:*"
    client = Redis.from_url(url)
    try:
        keys = [key async for key in client.scan_iter(match=pattern, count=1000)]
        if remove and keys:
            for key in keys:  # one by one: they may lie in several slots of a cluster
                await client.unlink(key)
    except RedisError as error:
        raise Unavailable(
            f"Redis can't be asked: {error!r}.",
            code="cache-unavailable",
            mend="Start it, or correct PSS_REDIS_URL.",
        ) from error
    finally:
        await client.aclose()
    return {pattern: len(keys)}
