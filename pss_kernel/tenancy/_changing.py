"""Changing a tenant: one transaction of the owner's in its cell, and nobody else beside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from pss_kernel.config import CONTROL_CELL
from pss_kernel.errors import Conflict, Invalid, TenantMoving, TenantUnknown, Unavailable
from pss_kernel.tenancy._directory import SEEN_EVERYWHERE_SECONDS
from pss_kernel.tenancy._origin import origin

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import Database

__all__ = [
    "changing",
    "configured",
    "database_of",
    "refuse_leaving",
    "tenant_transaction",
    "writers_gone",
]

_BEGIN = """
SELECT set_config('lock_timeout', '10s', true), set_config('pss.actor', $1, true),
       set_config('pss.source', $2, true)
"""
_PLACED = "SELECT cell, state FROM pss.placement WHERE tenant = $1"
# Everything that has begun to write by now: the horizon passes it when it has ended.
_HORIZON = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric"
_PASSED = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::numeric >= $1"
_FINISH_SECONDS = 40.0  # longer than a forgotten transaction may last
_LOOK_SECONDS = 0.05


@asynccontextmanager
async def tenant_transaction(
    installation: Installation, code: str, *, leaving: bool = False
) -> AsyncIterator[asyncpg.Connection]:
    """A transaction of the owner's, in the tenant's cell, that nobody else changes it beside.

    ``leaving``: also for one that is being deleted and may be taken back.
    """
    database = await database_of(installation, code)
    async with (
        database.owner() as owner,
        changing(installation, database, owner, code, leaving=leaving),
    ):
        yield owner


@asynccontextmanager
async def changing(
    installation: Installation,
    database: Database,
    owner: asyncpg.Connection,
    code: str,
    *,
    leaving: bool = False,
) -> AsyncIterator[None]:
    """A transaction in which this tenant is changed, by nobody else at the same time.

    Raises TenantMoving while the tenant is on its way to another cell, Conflict for one that is
    being deleted or imported.
    """
    async with owner.transaction():
        who = origin.get()
        await owner.execute(_BEGIN, who.actor, who.source)
        await owner.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", code)
        # Asked with the lock, which whoever moves it takes as well once it is said to move.
        if database.cell == CONTROL_CELL:  # one round trip, where it can be had
            placed = await owner.fetchrow(_PLACED, code)
        else:
            placed = await installation.directory.placement_of(code)
        if placed is not None and (placed[1] == "moving" or placed[0] != database.cell):
            raise TenantMoving(
                f"The tenant {code!r} is being moved to another cell.",
                mend="Try again when that has ended; see 'pss cell status'.",
            )
        if placed is not None and not leaving:
            refuse_leaving(code, placed[1])
        yield


def refuse_leaving(code: str, state: str) -> None:
    """Nothing is changed of a tenant that is being deleted or imported."""
    if state == "deleting":
        raise Conflict(
            f"The tenant {code!r} is being deleted.",
            code="tenant-deleting",
            mend=f"Take it back first: pss tenant restore {code}.",
        )
    if state == "importing":
        raise Conflict(
            f"The tenant {code!r} is being imported, or an import of it has ended half-way.",
            code="tenant-importing",
            mend="Run 'pss tenant import' again, or give it up with 'pss tenant delete'.",
        )


async def database_of(installation: Installation, code: str) -> Database:
    """Of the cell that the tenant lives in, as decided. Raises TenantUnknown, Invalid."""
    cell = await installation.directory.cell_of(code)
    if cell is None:
        raise TenantUnknown(f"There is no tenant {code!r}.")
    return configured(installation, code, cell)


def configured(installation: Installation, code: str, cell: str) -> Database:
    if cell not in installation.cells:
        raise Invalid(
            f"The tenant {code!r} lives in the cell {cell!r}, which is not configured here.",
            code="unknown-cell",
            mend=f"Name it in PSS_CELLS and set PSS_CELL_{cell.upper()}_DATABASE_URL.",
        )
    return installation.cells[cell]


async def writers_gone(installation: Installation, code: str) -> None:
    """Wait until every process has seen a change, and what had begun to write before has ended.

    Raises Unavailable where a transaction lasts longer than any may.
    """
    await asyncio.sleep(SEEN_EVERYWHERE_SECONDS)
    database = await database_of(installation, code)
    async with database.owner() as owner:
        horizon = await owner.fetchval(_HORIZON)
        try:
            async with asyncio.timeout(_FINISH_SECONDS):
                while not await owner.fetchval(_PASSED, horizon):  # noqa: ASYNC110 - another's end
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise Unavailable(
                f"Requests that had begun before have not ended after {_FINISH_SECONDS:g} s.",
                code="still-in-use",
                mend="Run the same command again.",
            ) from error
