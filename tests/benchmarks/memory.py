"""What a thousand tenants cost in memory: this process, and PostgreSQL's beside it.

Every tenant has the plugin ``inventory`` (with the kernel's, eleven tables; another list in
``PSS_BENCH_PLUGINS``). Units of work go to tenants at random, each touching every table of its
tenant. *Even*: all tenants alike, the worst that can be asked of the connections. *Uneven*: each
has one half, a third, a quarter … of what the busiest has, as it is in life. The limits: the same
units on connections that are never closed and handed out without regard to the tenant.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from figure import Figure

from pss_api import create_app
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.observability import configure_logging
from pss_kernel.persistence import _recycling
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.registry import Registry
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._provision import create_tenant

TENANTS = int(os.environ.get("PSS_BENCH_TENANTS", "1000"))
PLUGINS = os.environ.get("PSS_BENCH_PLUGINS", "inventory").split(",")
UNITS = int(os.environ.get("PSS_BENCH_UNITS", "3")) * TENANTS
CLIENTS = 6
POOL = 8
NEVER = 1_000_000


@dataclass
class Run:
    """What one way of handing out connections led to."""

    units_per_s: float
    backends_mb: float
    largest_mb: float


def figures() -> list[Figure]:
    """Measure on a throwaway embedded database."""
    with throwaway() as folder:
        return asyncio.run(_measure(folder))


@contextlib.contextmanager
def throwaway() -> Iterator[Path]:
    """A folder that the unprivileged server can reach, with its database running."""
    with tempfile.TemporaryDirectory(prefix="pss-bench-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        server = EmbeddedPostgres(Path(name))
        server.acquire()
        try:
            yield Path(name)
        finally:
            server.stop("immediate")  # nothing of it is kept: no last checkpoint of all its files
            server.release()


@contextlib.asynccontextmanager
async def opened(folder: Path, **configured: Any) -> AsyncIterator[Installation]:
    """An installation on that database."""
    config = Config(data_dir=folder, log_level="warning", pool_size=POOL, **configured)
    configure_logging(config)
    async with open_installation(config, Registry.discover()) as installation:
        yield installation


async def make_tenants(installation: Installation, number: int) -> None:
    """Tenants with the plugins, a few at a time."""
    plugins = dict.fromkeys(installation.registry.closure(PLUGINS))
    at_once = asyncio.Semaphore(4)

    async def make(code: str) -> None:
        async with at_once:
            await create_tenant(installation, code, name=code, currency="EUR", time_zone="UTC")
            await enable_plugins(installation, code, plugins)

    await asyncio.gather(*(make(f"m{one}") for one in range(number)))


async def _measure(folder: Path) -> list[Figure]:
    async with opened(folder) as installation:
        await _build_application(installation)
        empty = process_mb()
        await make_tenants(installation, TENANTS)
    most = Config(data_dir=folder).tenants_per_connection
    found = []
    for even in (True, False):
        recycled = await run(folder, most, even=even)
        with without_preference():
            never = await run(folder, NEVER, even=even)
        found += _figures("even" if even else "uneven", recycled, never)
    return [Figure("tenants_process_mb", process_mb(), "MB", empty, "no tenants yet"), *found]


async def _build_application(installation: Installation) -> None:
    """All that a serving process has in memory, its OpenAPI document included."""
    application: Any = create_app(installation)
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://bench") as client:
        (await client.get("/docs/openapi.json")).raise_for_status()


def _figures(kind: str, recycled: Run, never: Run) -> list[Figure]:
    name, limit = f"tenants_{kind}", "never closed, any connection"
    return [
        Figure(f"{name}_backends_mb", recycled.backends_mb, "MB", never.backends_mb, limit),
        Figure(f"{name}_backend_mb", recycled.largest_mb, "MB", never.largest_mb, limit),
        Figure(f"{name}_units_per_s", recycled.units_per_s, "/s", never.units_per_s, limit),
    ]


async def run(
    folder: Path, tenants_per_connection: int, units: int = UNITS, *, even: bool = True
) -> Run:
    """Units of work over all tenants."""
    async with opened(folder, tenants_per_connection=tenants_per_connection) as installation:
        tenants = list(installation.directory)
        async with installation.unit_of_work(tenants[0]) as uow:
            rows = await uow.hot(
                "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
            )
        tables = [row["tablename"] for row in rows]
        touch = " UNION ALL ".join(f"(SELECT 1 FROM {table} LIMIT 1)" for table in tables)
        order = random.Random(7)
        weights = None if even else [1 / rank for rank in range(1, len(tenants) + 1)]
        waiting = iter(order.choices(tenants, weights, k=units))

        async def client() -> None:
            for tenant in waiting:
                async with installation.unit_of_work(tenant) as uow:
                    await uow.hot(touch)

        began = time.perf_counter()
        await asyncio.gather(*(client() for _ in range(CLIENTS)))
        seconds = time.perf_counter() - began
        async with installation.database.owner() as owner:
            found = await owner.fetch(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'pss pss_app'"
            )
        each = [backend_mb(row["pid"]) for row in found]
        return Run(units / seconds, sum(each), max(each))


@contextlib.contextmanager
def without_preference() -> Iterator[None]:
    """Hand out connections as SQLAlchemy's own pool does: the one that has rested longest."""
    kept = _recycling._Idle._get
    _recycling._Idle._get = asyncio.Queue._get  # type: ignore[method-assign]
    try:
        yield
    finally:
        _recycling._Idle._get = kept  # type: ignore[method-assign]


def process_mb() -> float:
    """Resident memory of this process."""
    gc.collect()
    return _kilobytes("/proc/self/smaps_rollup", "Rss:") / 1024


def backend_mb(pid: int) -> float:
    """A backend's own share; the shared buffers are counted once, by their setting, elsewhere."""
    path = f"/proc/{pid}/smaps_rollup"
    return (_kilobytes(path, "Pss:") - _kilobytes(path, "Pss_Shmem:")) / 1024


def _kilobytes(path: str, name: str) -> int:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise LookupError(name)


if __name__ == "__main__":
    for one in figures():
        sys.stdout.write(f"{one}\n")
