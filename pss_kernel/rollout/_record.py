"""A run through the tenants as it is kept in the control cell, so that it can be continued.

What a tenant's tables have is never read from here but from the ledger in the tenant's own cell,
which the migration wrote itself; here stands who goes with whom, and how far the waves are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from pss_kernel.errors import Conflict
from pss_kernel.persistence import Database

__all__ = ["Member", "Run", "alone", "last_run", "members_of", "new_run", "run_is_active"]

_ALONE = "hashtextextended('pss migrate run', 0)"
_PATIENCE_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_LAST = """
SELECT run_id, state, heads, scope, passed, reason, started_at, ended_at
FROM pss.migration_run ORDER BY run_id DESC LIMIT 1
"""
_NEW = """
INSERT INTO pss.migration_run (heads, scope) VALUES ($1::jsonb, $2::jsonb) RETURNING run_id
"""
_SUPERSEDE = """
UPDATE pss.migration_run SET state = 'superseded', ended_at = now()
WHERE state IN ('running', 'halted')
"""
_STATE = """
UPDATE pss.migration_run SET state = $2, reason = $3,
  ended_at = CASE WHEN $2 = 'running' THEN NULL ELSE now() END WHERE run_id = $1
"""
_MEMBER = """
INSERT INTO pss.migration_tenant (run_id, tenant, wave) SELECT $1, unnest($2::text[]), $3
ON CONFLICT (run_id, tenant) DO UPDATE SET wave = excluded.wave, state = 'waiting', reason = NULL
"""
_MEMBERS = """
SELECT tenant, wave, state, seconds, reason, ended_at FROM pss.migration_tenant
WHERE run_id = $1 ORDER BY wave, tenant
"""
_ENDED = """
UPDATE pss.migration_tenant t SET state = e.state, seconds = coalesce(e.seconds, t.seconds),
  reason = e.reason, ended_at = now()
FROM unnest($2::text[], $3::text[], $4::float8[], $5::text[]) AS e(tenant, state, seconds, reason)
WHERE t.run_id = $1 AND t.tenant = e.tenant
"""


@dataclass(frozen=True, slots=True)
class Member:
    """One tenant of a run."""

    tenant: str
    wave: int
    state: str
    seconds: float | None = None
    reason: str | None = None
    ended_at: datetime | None = None


@dataclass(slots=True)
class Run:
    """A run; ``heads`` are the versions and revisions that it brings.

    ``passed`` is the last wave that was found healthy, -1 before the first.
    """

    run_id: int
    state: str
    heads: Mapping[str, str]
    scope: Mapping[str, Any]
    passed: int
    reason: str | None
    started_at: datetime
    ended_at: datetime | None

    async def set_state(
        self, control: asyncpg.Connection, state: str, reason: str | None = None
    ) -> None:
        """``running``, ``halted`` with the reason, or ``done``."""
        await control.execute(_STATE, self.run_id, state, reason)
        self.state, self.reason = state, reason

    async def set_passed(self, control: asyncpg.Connection, wave: int) -> None:
        """The wave was found healthy."""
        await control.execute(
            "UPDATE pss.migration_run SET passed = $2 WHERE run_id = $1", self.run_id, wave
        )
        self.passed = wave

    async def add_waves(
        self, control: asyncpg.Connection, first: int, waves: Iterable[Sequence[str]]
    ) -> None:
        """Say who goes together."""
        for number, codes in enumerate(waves, start=first):
            await control.execute(_MEMBER, self.run_id, list(codes), number)

    async def ended(
        self,
        control: asyncpg.Connection,
        ended: Sequence[tuple[str, str, float | None, str | None]],
    ) -> None:
        """Keep what has become of tenants: code, state, seconds, reason."""
        if ended:
            codes, states, seconds, reasons = (list(one) for one in zip(*ended, strict=True))
            await control.execute(_ENDED, self.run_id, codes, states, seconds, reasons)


@asynccontextmanager
async def alone(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the control cell that only one run at a time has; it ends with its process.

    Raises Conflict where another run has it. One that was killed a moment ago has it until the
    server has noticed, so this waits for a few seconds.
    """
    async with database.owner() as control:
        until = time.monotonic() + _PATIENCE_SECONDS
        while not (mine := await control.fetchval(f"SELECT pg_try_advisory_lock({_ALONE})")):
            if time.monotonic() > until:
                break
            await asyncio.sleep(_LOOK_SECONDS)
        if not mine:
            raise Conflict(
                "Another 'pss migrate run' is at work.",
                code="migration-running",
                mend="Wait for it; 'pss migrate status' shows how far it is.",
            )
        try:
            yield control
        finally:
            if not control.is_closed():
                await control.execute(f"SELECT pg_advisory_unlock({_ALONE})")


async def run_is_active(control: asyncpg.Connection) -> bool:
    """Whether a process is at work on a run now."""
    free = await control.fetchval(f"SELECT pg_try_advisory_lock({_ALONE})")
    if free:
        await control.execute(f"SELECT pg_advisory_unlock({_ALONE})")
    return not free


async def last_run(control: asyncpg.Connection) -> Run | None:
    """The newest run, whatever has become of it."""
    row = await control.fetchrow(_LAST)
    if row is None:
        return None
    facts = dict(row)
    for name in ("heads", "scope"):
        facts[name] = msgspec.json.decode(facts[name])
    return Run(**facts)


async def new_run(
    control: asyncpg.Connection, heads: Mapping[str, str], scope: Mapping[str, Any]
) -> Run:
    """Begin a run; one that was not finished is not continued any more."""
    async with control.transaction():
        await control.execute(_SUPERSEDE)
        await control.execute(
            _NEW, msgspec.json.encode(heads).decode(), msgspec.json.encode(scope).decode()
        )
    made = await last_run(control)
    assert made is not None
    return made


async def members_of(control: asyncpg.Connection, run: Run) -> list[Member]:
    """The tenants of a run, wave by wave."""
    return [Member(**row) for row in await control.fetch(_MEMBERS, run.run_id)]
