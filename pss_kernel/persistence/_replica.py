"""A cell's streaming replica: watched, and read from where it has what the reader must see.

A unit of work that only reads may run here. Each process looks a few times a second at how far
the primary and the replica are. What it knows of the replica is a lower bound, for a replica
only moves on; the transaction itself checks it once more in the round trip that begins it.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, NamedTuple

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from pss_kernel.errors import Unavailable
from pss_kernel.persistence._database import disconnected
from pss_kernel.persistence._position import Freshness, Position, read_position

if TYPE_CHECKING:
    from pss_kernel.persistence._database import Database

__all__ = ["BEGIN_READING", "REPLICA_FAILURES", "Replica", "ReplicaLost"]

_log = structlog.get_logger("pss.replica")
_LOOK_SECONDS = 0.25
_LOOK_AT_MOST = 2.0
_MOST_REMEMBERED = 10_000
REPLICA_FAILURES = (OSError, TimeoutError, DBAPIError, PoolTimeout, asyncpg.PostgresError,
                    asyncpg.InterfaceError, asyncpg.InternalClientError)  # fmt: skip

BEGIN_READING = "BEGIN READ ONLY"
"""The database refuses to write, whatever it is asked."""

# Flushed, not inserted: this is what a replica can have.
_PRIMARY = """
SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint AS lsn,
       left(pg_walfile_name(pg_current_wal_flush_lsn()), 8) AS timeline,
       (SELECT system_identifier FROM pg_control_system()) AS cluster
"""
_REPLICA = """
SELECT pg_is_in_recovery() AS replica,
       (pg_last_wal_replay_lsn() - '0/0')::bigint AS lsn,
       (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline)
        FROM pg_control_checkpoint() c, pg_control_recovery() r) AS timeline,
       (SELECT system_identifier FROM pg_control_system()) AS cluster
"""
# A role of that name does not exist, so this raises unless the replica has replayed enough: an
# answer can't be had in the round trip that also begins and binds, but an error can.
_CHECK = (
    "SELECT set_config('role', CASE WHEN pg_is_in_recovery() "
    "AND pg_last_wal_replay_lsn() >= '0/0'::pg_lsn + {lsn} "
    "THEN current_setting('role') ELSE 'the replica is behind' END, true)"
)


class ReplicaLost(Unavailable):
    """The replica went away while it was read from; the primary can answer."""

    code = "replica-lost"


class _Seen(NamedTuple):
    """The replica as last seen. ``fresh_at``: it has what the primary had at that moment."""

    fresh_at: float
    replayed: int
    timeline: int


class Replica:
    """Decides for each reader whether the replica will do. ``floor``: see ``raise_floor``."""

    def __init__(self, database: Database, engine: AsyncEngine, max_lag: float) -> None:
        self.engine = engine
        self.max_lag = max_lag
        self.floor: Position | None = None
        self._database = database
        self._seen: _Seen | None = None
        self._ahead: deque[tuple[float, int]] = deque()
        self._remembered: OrderedDict[tuple[str, str], Position] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._in_use = True  # until it turns out that it can't be: then that is said once

    def least(self, freshness: Freshness) -> int | None:
        """What the replica must have replayed for this reader; None: ask the primary."""
        seen, floor = self._seen, self.floor
        if freshness.primary_only or seen is None or floor is None:
            return None
        if time.monotonic() - seen.fresh_at > self.max_lag:
            return None
        wanted = {floor, *freshness.given}
        if freshness.written is not None:
            wanted.add(freshness.written)
        if freshness.client is not None and freshness.client in self._remembered:
            wanted.add(self._remembered[freshness.client])
        if any((one.cell, one.timeline) != (floor.cell, seen.timeline) for one in wanted):
            freshness.wants_position = True  # replaces what says nothing here
            return None
        least = max(one.lsn for one in wanted)
        return least if least <= seen.replayed else None

    @staticmethod
    def beginning(least: int) -> str:
        """Begins a reader's transaction here, with the check: still in the binding's round trip."""
        return f"{BEGIN_READING}; {_CHECK.format(lsn=least)}"

    async def written(self, driver: asyncpg.Connection, freshness: Freshness) -> None:
        """After a commit: where the caller's next reads must begin.

        A round trip of its own. In COMMIT's it could only be had from a second statement, and
        that one's failure would make a committed transaction look failed.
        """
        if not freshness.wants_position:
            freshness.primary_only = True  # for what this caller still reads in this work
            return
        try:
            freshness.written = await read_position(driver, self._database.cell)
        except REPLICA_FAILURES:
            freshness.written = Position.unknown(self._database.cell)
        self.remember(freshness.client, freshness.written)

    def remember(self, client: tuple[str, str] | None, position: Position) -> None:
        """Keep the last write of a caller who may not bring it along.

        What is pushed out raises the floor for all, so nobody's write is ever forgotten.
        """
        if client is None or not position.timeline:
            return
        self._remembered[client] = position
        self._remembered.move_to_end(client)
        if len(self._remembered) > _MOST_REMEMBERED:
            _, oldest = self._remembered.popitem(last=False)
            if self.floor is not None and self.floor.timeline == oldest.timeline:
                self.floor = max(self.floor, oldest, key=lambda one: one.lsn)

    async def raise_floor(self) -> None:
        """Use the replica only once it has all that the primary has now.

        For what every reader relies on: which tenants there are, their plugins and tables.
        """
        floor = await self.current()
        self.floor = floor if floor.timeline else None  # then the next look tries again

    async def current(self) -> Position:
        """Where the primary is now; an unknown position where it can't be asked."""
        try:
            async with self._database.control_engine.connect() as connection:
                raw = await connection.get_raw_connection()
                assert raw.driver_connection is not None
                return await read_position(raw.driver_connection, self._database.cell)
        except REPLICA_FAILURES:
            return Position.unknown(self._database.cell)

    def lost(self, error: BaseException) -> bool:
        """Whether the replica's own state made a reader fail, rather than what it asked.

        One that can't be reached is not used until a look finds it well.
        """
        if disconnected(error):
            self._unusable(repr(error))
            return True
        cause: BaseException | None = error
        while cause is not None:
            # Replay had to remove what the reader still looked at.
            if isinstance(cause, asyncpg.SerializationError):
                return True
            cause = cause.__cause__
        return False

    async def look(self) -> None:
        """See how far both are."""
        at = time.monotonic()
        try:
            async with asyncio.timeout(_LOOK_AT_MOST):
                primary = await _row(self._database.control_engine, _PRIMARY)
                replica = await _row(self.engine, _REPLICA)
        except REPLICA_FAILURES as error:
            if disconnected(error):
                await self.engine.dispose()
            self._unusable(repr(error))
            return
        timeline = int(primary["timeline"], 16)
        if replica["cluster"] != primary["cluster"]:
            self._unusable("it is no copy of this database")
        elif not replica["replica"]:
            self._unusable("it is not a replica (any more)")
        elif replica["timeline"] != timeline:
            self._unusable(f"it follows timeline {replica['timeline']}, not {timeline}")
        else:
            if self.floor is None or self.floor.timeline != timeline:
                self._remembered.clear()
                await self.raise_floor()
            self._note(at, primary["lsn"], replica["lsn"], timeline)

    def _note(self, at: float, primary: int, replayed: int, timeline: int) -> None:
        if self._ahead and self._ahead[-1][1] == primary:
            self._ahead.pop()  # nothing was written since: what had all then has all now
        self._ahead.append((at, primary))
        fresh_at = self._seen.fresh_at if self._seen is not None else float("-inf")
        while self._ahead and (
            self._ahead[0][1] <= replayed or self._ahead[0][0] < at - self.max_lag
        ):
            moment, lsn = self._ahead.popleft()
            if lsn <= replayed:
                fresh_at = moment
        while self._remembered and next(iter(self._remembered.values())).lsn <= replayed:
            self._remembered.popitem(last=False)
        self._seen = _Seen(fresh_at, replayed, timeline)
        if at - fresh_at > self.max_lag:
            self._say_unused(f"it is more than {self.max_lag:g} s behind")
        elif not self._in_use:
            self._in_use = True
            _log.info("replica_used_again", cell=self._database.cell)

    def _unusable(self, reason: str) -> None:
        self._seen = None
        self._ahead.clear()
        self._say_unused(reason)

    def _say_unused(self, reason: str) -> None:
        if self._in_use:
            _log.warning("replica_not_used", cell=self._database.cell, reason=reason)
        self._in_use = False

    def start(self) -> None:
        """Keep looking until ``stop``."""
        self._task = asyncio.create_task(self._watch(), name="pss replica")

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def stop(self) -> None:
        """End the watch and close the connections."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self.engine.dispose()


async def _row(engine: AsyncEngine, sql: str) -> asyncpg.Record:
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        return await raw.driver_connection.fetchrow(sql)
