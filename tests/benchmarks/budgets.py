"""What metering and budgets cost: each call beside the same call bare, in the same run.

Loops in one process, without the database where it would hide the cost. Microseconds of this
process's processor time a call; the limit is the bare call.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from figure import Figure, show

from pss_kernel import Plugin, UnitOfWork
from pss_kernel.config import Config
from pss_kernel.hooks import hookspec
from pss_kernel.installation import Installation, open_installation
from pss_kernel.plugin import HookImplementation
from pss_kernel.registry import Registry
from pss_kernel.resilience import Call, Statement
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._tenant import PluginState
from pss_kernel.testing import TestKit

__all__ = ["figures"]

_CALLS = int(os.environ.get("PSS_BENCH_CALLS", "20000"))
_STATEMENTS = _CALLS // 10
_BEST_OF = 5
_TURN = 50


@hookspec("first", budget=2.0)
async def asked(uow: UnitOfWork, value: int) -> int | None:
    """Something that a plugin answers at once."""


async def _answer(uow: UnitOfWork, value: int) -> int:
    return value


def figures() -> list[Figure]:
    """All of them; about ten seconds."""
    with tempfile.TemporaryDirectory(prefix="pss-bench-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Figure]:
    plugin = Plugin("bench", version="1.0", package="bench")
    plugin.hooks.append(HookImplementation("bench", asked, _answer, 100, ("value",)))
    config = Config(data_dir=folder, log_level="critical")
    async with open_installation(config, Registry([])) as installation:
        installation.registry = Registry([plugin])  # made here, so it has no package to look into
        tenant = await TestKit(installation).make_tenant(code="bench")
        tenant.plugins["bench"] = PluginState("enabled", datetime.now(UTC), "1.0", None, None, {})
        async with installation.unit_of_work(tenant, plugin="bench") as uow:
            return [
                *await _calls(installation, tenant, uow),
                await _hooks(uow),
                *await _statements(uow),
                await _units(installation, tenant),
                _meters(installation),
            ]


async def _calls(installation: Installation, tenant: Tenant, uow: UnitOfWork) -> list[Figure]:
    async def bare() -> None:
        await _answer(uow, 1)

    async def metered() -> None:
        async with Call(installation, tenant, "bench", None):
            await _answer(uow, 1)

    async def budgeted() -> None:
        async with Call(installation, tenant, "bench", 20.0):
            await _answer(uow, 1)

    limit = await _microseconds(bare, _CALLS)
    return [
        Figure("metered_call_us", await _microseconds(metered, _CALLS), "us", limit, "bare call"),
        Figure("budgeted_call_us", await _microseconds(budgeted, _CALLS), "us", limit, "bare call"),
    ]


async def _hooks(uow: UnitOfWork) -> Figure:
    async def bare() -> None:
        await _answer(uow, value=1)

    async def through_the_dispatcher() -> None:
        await uow.call(asked, value=1)

    limit = await _microseconds(bare, _CALLS)
    spent = await _microseconds(through_the_dispatcher, _CALLS)
    return Figure("hook_call_us", spent, "us", limit, "the implementation alone")


async def _statements(uow: UnitOfWork) -> list[Figure]:
    driver = uow._binding.open("bench")

    async def bare() -> None:
        await driver.fetch("SELECT 1")

    async def metered() -> None:
        await uow.hot("SELECT 1")

    async def nothing() -> None:
        return

    async def timed() -> None:
        with Statement(uow):
            return

    limit = await _microseconds(bare, _STATEMENTS)
    empty = await _microseconds(nothing, _CALLS)
    return [
        Figure(
            "metered_statement_us",
            await _microseconds(metered, _STATEMENTS),
            "us",
            limit,
            "the driver's fetch, SELECT 1",
        ),
        Figure("timing_a_statement_us", await _microseconds(timed, _CALLS) - empty, "us"),
    ]


async def _units(installation: Installation, tenant: Tenant) -> Figure:
    async def nothing() -> None:
        return

    async def room() -> None:
        async with installation.meters.unit(tenant.code, "bench"):
            return

    empty = await _microseconds(nothing, _CALLS)
    return Figure("room_for_a_unit_us", await _microseconds(room, _CALLS) - empty, "us")


def _meters(installation: Installation) -> Figure:
    """Memory of a meter: so much for each plugin at each tenant that is in use."""
    import tracemalloc  # noqa: PLC0415 - it slows everything once it is started

    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for number in range(1000):
        meter = installation.meters.of(f"t{number}", "bench")
        meter.current().calls += 1
        meter.recent()
    after = tracemalloc.take_snapshot()
    tracemalloc.stop()
    grown = sum(one.size_diff for one in after.compare_to(before, "filename"))
    return Figure("meter_bytes", grown / 1000, "B")


async def _microseconds(call: Callable[[], Awaitable[Any]], times: int) -> float:
    """Of one call, the best of several runs: what others do on the machine is not the cost."""
    best = float("inf")
    for _ in range(_BEST_OF):
        began = time.process_time()
        for done in range(times):
            await call()
            if done % _TURN == 0:  # as between requests: the loop tidies its timers
                await asyncio.sleep(0)
        best = min(best, time.process_time() - began)
    return best / times * 1e6


if __name__ == "__main__":
    show(figures())
