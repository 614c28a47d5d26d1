"""What is kept of a move until it has ended, and the connections that it works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pss_kernel.errors import Conflict, Invalid, TenantUnknown, Unavailable
from pss_kernel.persistence._database import Database

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = [
    "Grants",
    "Move",
    "begin",
    "begun",
    "forget",
    "grants_of",
    "note_grants",
    "only_one",
    "opened",
    "session",
]

_PLACED = "SELECT cell, state FROM pss.placement WHERE tenant = $1 FOR UPDATE"
_BEGUN = "SELECT source, target, step, grants FROM pss.tenant_move WHERE code = $1 FOR UPDATE"
_BEGIN = "INSERT INTO pss.tenant_move (code, source, target) VALUES ($1, $2, $3)"
_GRANTS = "UPDATE pss.tenant_move SET grants = $2::jsonb WHERE code = $1"
_FORGET = "DELETE FROM pss.tenant_move WHERE code = $1"
# As text, rows look the same in both clusters whatever these are set to there.
_SESSION = """
SET lock_timeout = '10s'; SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
SET timezone = 'UTC'; SET datestyle = 'ISO'; SET intervalstyle = 'postgres';
SET bytea_output = 'hex'; SET extra_float_digits = 1;
"""
# What a killed run of this move left behind may still work, and hold locks.
_END_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = $1 AND pid <> pg_backend_pid()
  AND usename = current_user AND datname = current_database()
"""

Grants = dict[str, list[tuple[str, str]]]
"""By table: who has which right on it."""


@dataclass
class Move:
    """One move, with a connection of the owner's to each of the three databases."""

    installation: Installation
    code: str
    source: Database
    target: Database
    step: str
    grants: Grants | None
    control: asyncpg.Connection
    here: asyncpg.Connection
    """In the source."""
    there: asyncpg.Connection
    """In the target."""

    @property
    def schema(self) -> str:
        """The tenant's schema, in either cell."""
        return f"t_{self.code}"

    @property
    def role(self) -> str:
        """The tenant's role, in either cell."""
        return self.source.roles.tenant(self.code)


@asynccontextmanager
async def only_one(installation: Installation, code: str) -> AsyncIterator[asyncpg.Connection]:
    """The control cell, with nobody else moving the tenant. Raises Conflict where somebody does.

    The lock is a transaction's, for a pooler's sake, and goes when this process dies.
    """
    async with installation.database.owner() as lock, lock.transaction():
        await lock.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        name = f"move {code}"
        if not await lock.fetchval(
            "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", name
        ):
            raise Conflict(
                f"The tenant {code!r} is being moved by another process.",
                code="move-in-progress",
                mend="Wait for it; 'pss cell status' shows how far it is.",
            )
        async with installation.database.owner() as control:
            yield control


async def begun(control: asyncpg.Connection, code: str) -> asyncpg.Record | None:
    """The move that has begun and not ended; waits for what a dead process was committing."""
    async with control.transaction():
        return await control.fetchrow(_BEGUN, code)


async def begin(
    installation: Installation, control: asyncpg.Connection, code: str, target: str
) -> asyncpg.Record | None:
    """The move to that cell, new or begun before; None where the tenant lives there already.

    Raises TenantUnknown, Invalid for a cell that isn't configured, Conflict where it can't move.
    """
    _configured(installation, target)
    async with control.transaction():
        placed = await control.fetchrow(_PLACED, code)
        if placed is None:
            raise TenantUnknown(f"There is no tenant {code!r}.")
        _configured(installation, placed["cell"])
        known = await control.fetchrow(_BEGUN, code)
        if known is not None and known["target"] != target:
            raise Conflict(
                f"The tenant {code!r} is on its way to the cell {known['target']!r}.",
                code="move-in-progress",
                mend=f"Finish that with 'pss tenant move {code} --to {known['target']}', or give "
                "--abort.",
            )
        if known is not None:
            return known
        if placed["cell"] == target:
            return None
        if placed["state"] != "active":
            raise Conflict(
                f"The tenant {code!r} is {placed['state']}; it can't be moved.",
                code="not-movable",
            )
        await control.execute(_BEGIN, code, placed["cell"], target)
        return await control.fetchrow(_BEGUN, code)


def _configured(installation: Installation, cell: str) -> None:
    if cell not in installation.cells:
        raise Invalid(
            f"There is no cell {cell!r} here.",
            code="unknown-cell",
            mend=f"Known are: {', '.join(installation.cells)}; see PSS_CELLS.",
        )


@asynccontextmanager
async def opened(
    installation: Installation, control: asyncpg.Connection, code: str, record: asyncpg.Record
) -> AsyncIterator[Move]:
    """The move with its connections. Raises Unavailable where a cell can't be reached."""
    source, target = (installation.cells[record[name]] for name in ("source", "target"))
    async with session(source, code) as here, session(target, code) as there:
        yield Move(
            installation,
            code,
            source,
            target,
            record["step"],
            grants_of(record),
            control,
            here,
            there,
        )


@asynccontextmanager
async def session(database: Database, code: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the owner's to one end; those of a killed run before it are ended."""
    async with AsyncExitStack() as stack:
        try:
            connection = await stack.enter_async_context(database.owner())
        except (OSError, asyncpg.PostgresError) as error:
            raise Unavailable(
                f"The cell {database.cell!r} can't be reached: {error}.",
                code="cell-unreachable",
                mend="Start its database and run the same command again; see 'pss cell status'.",
            ) from error
        name = f"pss move {code}"
        await connection.execute(_SESSION)
        await connection.execute("SELECT set_config('application_name', $1, false)", name)
        await connection.fetch(_END_OTHERS, name)
        yield connection


def grants_of(record: asyncpg.Record) -> Grants | None:
    """Who had which right in the source before the pause; None where none were taken."""
    kept = record["grants"]
    return None if kept is None else msgspec.json.decode(kept, type=Grants)


async def note_grants(move: Move, grants: Grants | None) -> None:
    """Remember who had which rights in the source, before they are taken away; or forget it."""
    move.grants = grants
    told = None if grants is None else msgspec.json.encode(grants).decode()
    await move.control.execute(_GRANTS, move.code, told)


async def forget(move: Move) -> None:
    """The move has ended, one way or the other."""
    await move.control.execute(_FORGET, move.code)
