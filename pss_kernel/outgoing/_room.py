"""A bulkhead: so many calls at once, so many waiting, and no more."""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Full", "Room"]


class Full(Exception):  # noqa: N818 - what a room is
    """As many are inside as may be, and as many wait."""


class Room:
    """Room for calls to one target."""

    def __init__(self, concurrent: int, waiting: int) -> None:
        self._most_waiting = waiting
        self._free = asyncio.Semaphore(concurrent)
        self.inside = 0
        self.waiting = 0

    async def __aenter__(self) -> None:
        """Wait for room. Raises Full."""
        if self._free.locked() and self.waiting >= self._most_waiting:
            raise Full
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        self.inside += 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the next one in."""
        self.inside -= 1
        self._free.release()
