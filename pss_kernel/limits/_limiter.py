"""Which buckets a request draws from, and what is said when one of them is empty."""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import structlog

from pss_kernel.config import Config
from pss_kernel.errors import NotFound, TooManyRequests, Unauthorised
from pss_kernel.limits._bucket import SECOND, Bucket, Take, Taken
from pss_kernel.limits._classes import LimitClass, RateLimits
from pss_kernel.limits._memory import MemoryBuckets
from pss_kernel.limits._redis import RedisBuckets
from pss_kernel.limits._shared import Buckets

if TYPE_CHECKING:
    from pss_kernel.auth import Actor

__all__ = ["Limiter", "network_of"]

_log = structlog.get_logger("pss.limits")
_HOUR = 3600
_NOBODY = "-"
_PERSONS = {"user", "key"}


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Whose address it is: an IPv6 one is one of a /64 that its holder can choose from."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:  # noqa: PLR2004 - IP's own number
        return address
    return str(ipaddress.ip_network((found, 64), strict=False))


class Limiter:
    """What every process asks before it serves a request."""

    def __init__(self, config: Config) -> None:
        self.on = config.rate_limits == "on"
        self._ceiling = config.tenant_requests_per_minute
        self._at_the_door = config.client_requests_per_minute
        self._door = MemoryBuckets()
        self.buckets = Buckets(_redis(config) if self.on else None)

    def at_the_door(self, address: str) -> Taken | None:
        """Before anything else is looked at: all requests of an address to this process.

        Raises TooManyRequests. Gives None where nothing is limited.
        """
        if not self.on:
            return None
        bucket = Bucket(_NOBODY, "door", network_of(address), self._at_the_door)
        taken = self._door.take([Take(bucket)])
        refuse(taken)
        return taken

    async def admit(
        self, tenant: str, limits: RateLimits, actor: Actor, kind: LimitClass
    ) -> Taken | None:
        """Draw one request from every bucket that it belongs to, or from none of them.

        Raises TooManyRequests.
        """
        if not self.on:
            return None
        network = network_of(actor.address)
        known = actor.kind in _PERSONS
        caller = actor.label if known else network
        takes = [
            Take(Bucket(tenant, kind, caller, limits.of_class(kind))),
            Take(Bucket(tenant, "client", network, limits.client_per_minute)),
        ]
        if known:
            takes.append(Take(Bucket(tenant, "caller", caller, limits.caller_per_minute)))
        quota = min(limits.tenant_per_minute, self._ceiling)
        takes.append(Take(Bucket(tenant, "tenant", "", quota)))
        taken = await self.buckets.take(takes)
        refuse(taken)
        return taken

    @asynccontextmanager
    async def guessing(
        self, tenant: str, limits: RateLimits, address: str, subject: str
    ) -> AsyncIterator[None]:
        """Whoever runs the block may be guessing: a NotFound or Unauthorised in it counts.

        Counted before, so that many guesses at once are no way round it, and given back where
        the block succeeds. Raises TooManyRequests where too many were wrong: from that address,
        about that subject, or of all guests.
        """
        if not self.on:
            yield
            return
        digest = hashlib.sha256(subject.strip().upper().encode()).hexdigest()
        buckets = [
            Bucket(tenant, "guess-client", network_of(address), limits.wrong_guesses_per_client),
            Bucket(tenant, "guess-subject", digest, limits.wrong_guesses_per_reference),
            Bucket(tenant, "guess-tenant", "", limits.wrong_guesses_per_tenant),
        ]
        hourly = [Bucket(b.tenant, b.name, b.subject, b.quota, _HOUR) for b in buckets]
        taken = await self.buckets.take([Take(one) for one in hourly])
        if not taken.allowed:
            name = taken.takes[taken.tightest].bucket.name
            _log.warning("guessing_refused", tenant=tenant, limit=name)
        refuse(taken)
        try:
            yield
        except (NotFound, Unauthorised):
            raise
        except Exception:
            await self._give_back(hourly)
            raise
        await self._give_back(hourly)

    async def _give_back(self, buckets: list[Bucket]) -> None:
        await self.buckets.take([Take(one, -1) for one in buckets])

    async def close(self) -> None:
        """Let go of Redis."""
        await self.buckets.close()


def refuse(taken: Taken) -> None:
    """Raise TooManyRequests where it was not allowed, with the time after which it would be."""
    if taken.allowed:
        return
    place = taken.tightest
    seconds = max(1, math.ceil(taken.wait(place) / SECOND))
    problem = TooManyRequests(
        f"The limit {taken.takes[place].bucket.name!r} is used up for now.",
        mend=f"Try again in {seconds} s.",
    )
    problem.retry_after = seconds
    problem.taken = taken
    raise problem


def _redis(config: Config) -> RedisBuckets | None:
    if not config.redis_url:
        return None
    return RedisBuckets(config.redis_url)
