"""The worker: relays events, runs their handlers, and runs recurring jobs."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from pss_kernel.leaving._delete import drop_due
from pss_kernel.messaging._jobs import JobRunner
from pss_kernel.messaging._relay import relay_running

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["run_worker"]

_log = structlog.get_logger("pss.jobs")
_LEAVERS_SECONDS = 60.0
_FINISH_SECONDS = 10.0
"""A job that is not done by then is cancelled; its lease ends later and another takes it."""


async def run_worker(installation: Installation, stop: asyncio.Event) -> None:
    """Work until ``stop`` is set; what is in hand is finished first."""
    async with relay_running(installation):
        jobs = {
            asyncio.create_task(JobRunner(installation, cell).run(stop), name=f"pss jobs {cell}")
            for cell in installation.cells
        } | {asyncio.create_task(_drop_leavers(installation, stop), name="pss leavers")}
        await stop.wait()
        await asyncio.wait(jobs, timeout=_FINISH_SECONDS)
        for one in jobs:
            one.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def _drop_leavers(installation: Installation, stop: asyncio.Event) -> None:
    """Drop the tenants whose waiting time is over, one after the other."""
    while not stop.is_set():
        try:
            await drop_due(installation)
        except Exception as error:  # noqa: BLE001 - whatever it was, the next look goes on
            _log.warning("tenant_not_dropped", error=repr(error))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEAVERS_SECONDS):
                await stop.wait()
