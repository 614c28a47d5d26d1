"""How each process finds those whom it calls: rows in ``pss.outgoing`` of the control cell.

A process writes its own rows about once a second, where something has changed. Rows of a process
that ended without a word are forgotten after minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pss_kernel.persistence import Database

__all__ = ["SeenState", "TargetState", "forget", "seen", "write"]

_KEPT = "10 minutes"
_WRITE = """
INSERT INTO pss.outgoing AS o (process, tenant, plugin, target, state, since, calls, failed,
  refused, repeated, inside, waiting, last_error)
SELECT process, tenant, plugin, target, state, to_timestamp(since), calls, failed, refused,
  repeated, inside, waiting, last_error
FROM jsonb_to_recordset($1::jsonb) AS g(process text, tenant text, plugin text, target text,
  state text, since double precision, calls bigint, failed bigint, refused bigint,
  repeated bigint, inside integer, waiting integer, last_error text)
ON CONFLICT (process, tenant, plugin, target) DO UPDATE SET state = excluded.state,
  since = excluded.since, calls = excluded.calls, failed = excluded.failed,
  refused = excluded.refused, repeated = excluded.repeated, inside = excluded.inside,
  waiting = excluded.waiting, last_error = excluded.last_error, seen_at = now()
"""
_FORGET_OLD = f"DELETE FROM pss.outgoing WHERE seen_at < now() - interval '{_KEPT}'"  # noqa: S608 - a constant
_FORGET = "DELETE FROM pss.outgoing WHERE process = $1"
_SEEN = f"""
SELECT process, tenant, plugin, target, state, extract(epoch FROM since)::float8 AS since, calls,
  failed, refused, repeated, inside, waiting, last_error, seen_at
FROM pss.outgoing
WHERE seen_at > now() - interval '{_KEPT}' AND ($1::text IS NULL OR tenant = $1)
ORDER BY tenant, plugin, target, process
"""  # noqa: S608 - a constant


class TargetState(msgspec.Struct, frozen=True, kw_only=True):
    """How one process finds one target of one tenant."""

    process: str
    """Host and process id."""
    tenant: str
    """Empty: the installation's own."""
    plugin: str
    target: str
    state: str
    """closed, open, half-open."""
    since: float
    """Seconds since 1970."""
    calls: int
    failed: int
    refused: int
    repeated: int
    inside: int
    waiting: int
    last_error: str


class SeenState(TargetState, frozen=True, kw_only=True):
    """The same, as the process last told it."""

    seen_at: datetime


async def _driver(connection: Any) -> Any:
    return (await connection.get_raw_connection()).driver_connection


async def write(database: Database, states: Sequence[TargetState]) -> None:
    """Write a process's rows, and forget those of processes that are gone."""
    async with database.relay_engine.begin() as connection:
        driver = await _driver(connection)
        await driver.execute(_WRITE, msgspec.json.encode(states).decode())
        await driver.execute(_FORGET_OLD)


async def forget(database: Database, process: str) -> None:
    """Forget a process that ends."""
    async with database.relay_engine.begin() as connection:
        await (await _driver(connection)).execute(_FORGET, process)


async def seen(database: Database, tenant: str | None) -> list[SeenState]:
    """What every process has told, of one tenant or of all."""
    async with database.owner() as owner:
        rows = await owner.fetch(_SEEN, tenant)
    return [SeenState(**dict(row)) for row in rows]
