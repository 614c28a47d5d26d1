"""Writing down now and then what a process has counted, for people to see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["flush_every"]


async def flush_every(
    seconds: float, flush: Callable[[], Awaitable[None]], failed: Callable[[str], object]
) -> None:
    """Flush again and again, until cancelled.

    Where that can't be done the work goes on: ``failed`` is told why, once until it is done again.
    """
    told = True
    while True:
        await asyncio.sleep(seconds)
        try:
            await flush()
        except Exception as error:  # noqa: BLE001 - counts are worth nothing later; go on
            if told:
                failed(repr(error))
            told = False
        else:
            told = True
