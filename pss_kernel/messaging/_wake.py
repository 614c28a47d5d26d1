"""Waking the relay: one notification for many commits.

``NOTIFY`` takes a lock on the whole database while its transaction commits, so sending one in
each unit of work would make all commits queue. Instead a process sends at most one every few
milliseconds, outside any transaction; what a dying process didn't send, the relay's own poll
finds.
"""

from __future__ import annotations

import asyncio

import structlog

from pss_kernel.messaging._log import OUTBOX_QUEUE
from pss_kernel.persistence._database import Database

__all__ = ["RelayWaker"]

_log = structlog.get_logger("pss.messaging")
_GATHER_SECONDS = 0.005
# The channel that faststream-outbox listens on for a table named "outbox".
_NOTIFY = f"SELECT pg_notify('outbox_outbox', '{OUTBOX_QUEUE}')"


class RelayWaker:
    """Turns any number of ``wake`` calls into few notifications."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def wake(self) -> None:
        """Ask for a notification soon."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._notify(), name="pss wake relay")
        else:
            self._again = True

    async def stop(self) -> None:
        """Wait for the last notification."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _notify(self) -> None:
        while True:
            self._again = False
            await asyncio.sleep(_GATHER_SECONDS)
            try:
                async with self._database.relay_engine.connect() as connection:
                    await connection.exec_driver_sql(_NOTIFY)
            except Exception as error:  # noqa: BLE001 - the relay polls as well
                _log.warning("relay_not_woken", error=repr(error))
            if not self._again:
                return
