"""The worker: relays events, runs their handlers, and runs recurring jobs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pss_kernel.messaging._jobs import JobRunner
from pss_kernel.messaging._relay import relay_running

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["run_worker"]

_FINISH_SECONDS = 10.0
"""A job that is not done by then is cancelled; its lease ends later and another takes it."""


async def run_worker(installation: Installation, stop: asyncio.Event) -> None:
    """Work until ``stop`` is set; what is in hand is finished first."""
    async with relay_running(installation):
        jobs = {
            asyncio.create_task(JobRunner(installation, cell).run(stop), name=f"pss jobs {cell}")
            for cell in installation.cells
        }
        await stop.wait()
        await asyncio.wait(jobs, timeout=_FINISH_SECONDS)
        for one in jobs:
            one.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
