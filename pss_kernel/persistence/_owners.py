"""The owner's connections: few, opened when they are wanted, kept for the next use for a while."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

__all__ = ["OwnerPool"]

_MOST = 64
"""More than anything asks for at once; so whoever holds one may ask for a second."""
_IDLE_SECONDS = 20.0
_STATEMENTS = 2_000
"""Then a new one: a connection that has touched many schemas holds much memory."""
_CLOSE_SECONDS = 5.0

# What asyncpg's own reset leaves: a role that was taken, temporary tables, currval().
_FORGET = "RESET SESSION AUTHORIZATION; RESET ROLE; DISCARD TEMP; DISCARD SEQUENCES"
_BROKEN = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)


class OwnerPool:
    """Gives a connection to one user at a time, as if it had just been opened."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._arguments = arguments
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """One of them, for this block. Raises what connecting raises."""
        pool = await self._opened()
        try:
            connection = await pool.acquire()
        except _BROKEN:
            # The server was started again since the last use: so the others are stale as well.
            await pool.expire_connections()
            connection = await pool.acquire()
        try:
            yield connection
        finally:
            # One that can't be made as new is closed, and its error is of no use to anybody.
            with contextlib.suppress(*_BROKEN):
                await pool.release(connection)

    async def close(self) -> None:
        """Close all of them; a later use opens new ones."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()
        except TimeoutError:
            pool.terminate()  # somebody still holds one

    async def _opened(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._arguments,
                    server_settings={"search_path": "", "application_name": "pss owner"},
                    timeout=5,
                    min_size=0,
                    max_size=_MOST,
                    max_queries=_STATEMENTS,
                    max_inactive_connection_lifetime=_IDLE_SECONDS,
                    setup=_answers,
                    reset=_as_new,
                )
            return self._pool


async def _answers(connection: asyncpg.Connection) -> None:
    """Fails where the server has gone since the last use."""
    await connection.execute("SELECT 1")


async def _as_new(connection: asyncpg.Connection) -> None:
    await connection.execute(f"{_FORGET}; {connection.get_reset_query()}")
