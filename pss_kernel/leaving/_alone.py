"""One at a time imports, deletes or restores a tenant, in whichever cell it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import asyncpg

from pss_kernel.errors import Conflict

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["alone", "changing", "locks_within_reason"]

_WAIT = "10s"
"""Longer than PostgreSQL needs to notice that somebody who was killed has gone."""


@asynccontextmanager
async def alone(installation: Installation, code: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the control cell that nobody else comes, leaves or returns beside.

    Raises Conflict where somebody does and goes on doing so.
    """
    async with installation.database.owner() as control:
        await control.execute("SELECT set_config('lock_timeout', $1, false)", _WAIT)
        with locks_within_reason(code):
            await control.execute(
                "SELECT pg_advisory_lock(hashtextextended('leaving ' || $1, 0))", code
            )
        try:
            yield control
        finally:
            if not control.is_closed():
                await control.execute(
                    "SELECT pg_advisory_unlock(hashtextextended('leaving ' || $1, 0))", code
                )


@asynccontextmanager
async def changing(owner: asyncpg.Connection, code: str) -> AsyncIterator[None]:
    """A transaction in a cell in which nobody else changes this tenant, wherever it is placed.

    Raises Conflict where somebody else does and goes on doing so.
    """
    with locks_within_reason(code):
        async with owner.transaction():
            await owner.execute("SET LOCAL lock_timeout = '10s'")
            await owner.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", code)
            yield


@contextmanager
def locks_within_reason(code: str) -> Iterator[None]:
    """A lock that is not to be had becomes a sentence. Raises Conflict."""
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise Conflict(
            f"{code!r} is being changed, imported, deleted or restored at this moment.",
            code="tenant-busy",
            mend="Run the same command again when that has ended.",
            retryable=True,
        ) from error
