"""How requests of each tenant fare: counted by the servers, asked by whoever changes something.

A server counts in memory and adds what it has to ``pss.tenant_traffic`` about once a second, in
the cell of each tenant. Rows are forgotten after minutes.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg

if TYPE_CHECKING:
    from pss_kernel.persistence import Database

__all__ = ["Traffic", "add", "busiest", "fared"]

_BOUNDS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000)
"""Milliseconds; a request counts with the first that it did not exceed."""
_ERROR = 500
_KEPT = "15 minutes"

# In the order of the tenants, so that two processes never wait for each other in a circle.
_ADD = """
INSERT INTO pss.tenant_traffic AS t (tenant, at, requests, errors, latency)
SELECT tenant, date_trunc('second', now()), requests, errors, latency
FROM jsonb_to_recordset($1::jsonb)
  AS g(tenant text, requests bigint, errors bigint, latency bigint[])
ORDER BY tenant
ON CONFLICT (tenant, at) DO UPDATE SET requests = t.requests + excluded.requests,
  errors = t.errors + excluded.errors,
  latency = ARRAY(SELECT a + b FROM unnest(t.latency, excluded.latency)
                  WITH ORDINALITY AS u(a, b, n) ORDER BY n)
"""
_FORGET = f"DELETE FROM pss.tenant_traffic WHERE at < now() - interval '{_KEPT}'"  # noqa: S608 - a constant
# A row holds what was flushed in that second: the first whole one after the change counts.
_FARED = """
SELECT t.at > c.changed + interval '1 second' AS after, sum(t.requests)::bigint AS requests,
       sum(t.errors)::bigint AS errors,
       array_agg(t.latency) AS latencies
FROM pss.tenant_traffic t
JOIN (SELECT tenant, max(changed_at) AS changed FROM pss.tenant_plugin
      WHERE tenant = ANY($1) GROUP BY tenant) c USING (tenant)
GROUP BY 1
"""
_BUSIEST = """
SELECT tenant, sum(requests)::bigint AS requests FROM pss.tenant_traffic
WHERE tenant = ANY($1) GROUP BY tenant
"""


@dataclass(slots=True)
class Traffic:
    """Requests, those that failed through our fault, and how long they took."""

    requests: int = 0
    errors: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * len(_BOUNDS))

    def note(self, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests += 1
        self.errors += status >= _ERROR
        place = bisect.bisect_left(_BOUNDS, seconds * 1000)
        self.latency[min(place, len(_BOUNDS) - 1)] += 1

    def merge(self, other: Traffic) -> None:
        """Add another's counts."""
        self.requests += other.requests
        self.errors += other.errors
        self.latency = [a + b for a, b in zip(self.latency, other.latency, strict=True)]

    @property
    def error_share(self) -> float:
        """Of all requests; 0 where there were none."""
        return self.errors / self.requests if self.requests else 0.0

    @property
    def p95(self) -> int | None:
        """Milliseconds that 95 of 100 requests did not exceed, as a bound of the histogram."""
        rank, seen = 0.95 * self.requests, 0
        for bound, count in zip(_BOUNDS, self.latency, strict=True):
            seen += count
            if self.requests and seen >= rank:
                return bound
        return None


async def add(driver: asyncpg.Connection, counted: str, *, forget: bool) -> None:
    """Write what a server has counted: JSON of ``tenant, requests, errors, latency``."""
    await driver.execute(_ADD, counted)
    if forget:
        await driver.execute(_FORGET)


async def fared(database: Database, codes: Iterable[str]) -> tuple[Traffic, Traffic]:
    """How these tenants' requests fared before, and since, their tables last changed."""
    before, after = Traffic(), Traffic()
    async with database.owner() as owner:
        for row in await owner.fetch(_FARED, list(codes)):
            into = after if row["after"] else before
            for latency in row["latencies"]:
                into.merge(Traffic(0, 0, list(latency)))
            into.requests += row["requests"]
            into.errors += row["errors"]
    return before, after


async def busiest(database: Database, codes: Iterable[str]) -> dict[str, int]:
    """Requests of the last minutes, by tenant."""
    async with database.owner() as owner:
        rows = await owner.fetch(_BUSIEST, list(codes))
    return {row["tenant"]: row["requests"] for row in rows}
