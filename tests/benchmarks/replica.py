"""Reads from a streaming replica beside those from the primary, and what a position costs.

One tenant, an indexed read of ten rows in a unit of work. The limits: the same statements, BEGIN
and the tenant's binding included, on as many plain asyncpg connections to the same server; for
writes, the same units of work where nobody asks for their position. Primary, replica and clients
share one machine, so the second server adds no power here; it shows what the way there costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
from figure import Figure
from memory import make_tenants, opened, throwaway
from sqlalchemy.engine import make_url

from pss_kernel.installation import Installation
from pss_kernel.persistence import Freshness
from pss_kernel.persistence._database import connect_arguments
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.tenancy import Tenant

SLICES = 6
SLICE_SECONDS = 0.4
CLIENTS = 6
READ = "SELECT origin, destination FROM market WHERE origin = $1 ORDER BY destination"
WRITE = "UPDATE market SET destination = destination WHERE origin = 'AAA' AND destination = $1"
Step = Callable[[], Awaitable[None]]


def figures() -> list[Figure]:
    """Measure on a throwaway embedded database and its replica."""
    with throwaway() as folder:
        return asyncio.run(_measure(folder))


async def _measure(folder: Path) -> list[Figure]:
    async with opened(folder, replica_url="embedded") as installation:
        await make_tenants(installation, 1)
        (tenant,) = installation.directory
        async with installation.unit_of_work(tenant) as uow:
            pairs = [(first * 3, second * 3) for first in "ABCDE" for second in "KLMNOPQRST"]
            await uow.copy_in("market", ["origin", "destination"], pairs)
        await _followed(installation, tenant)
        primary = EmbeddedPostgres(folder)
        replica = EmbeddedPostgres(folder, replica_of=primary)
        async with (
            _raw(primary.url_of("pss_app"), tenant) as raw_on_primary,
            _raw(replica.url_of("pss_app"), tenant) as raw_on_replica,
        ):
            on_primary, on_replica, raw_primary, raw_replica, told, untold = await compared(
                lambda _: _reading(installation, tenant, primary_only=True),
                lambda _: _reading(installation, tenant, primary_only=False),
                lambda _: raw_on_primary,
                lambda _: raw_on_replica,
                lambda one: _writing(installation, tenant, one, wants_position=True),
                lambda one: _writing(installation, tenant, one, wants_position=False),
            )
    raw = "plain asyncpg, the same statements"
    return [
        Figure("primary_reads_per_s", on_primary[0], "/s", raw_primary[0], raw),
        Figure("primary_reads_p99_ms", on_primary[1], "ms", raw_primary[1], raw),
        Figure("replica_reads_per_s", on_replica[0], "/s", raw_replica[0], raw),
        Figure("replica_reads_p99_ms", on_replica[1], "ms", raw_replica[1], raw),
        Figure("position_writes_per_s", told[0], "/s", untold[0], "without asking for it"),
        Figure("position_writes_p99_ms", told[1], "ms", untold[1], "without asking for it"),
    ]


async def compared(*makes: Callable[[int], Step]) -> list[tuple[float, float]]:
    """For each: steps a second of all clients, and the 99th percentile in milliseconds.

    In turns and in short slices, so that what else the machine does falls on all alike.
    """
    took: list[list[float]] = [[] for _ in makes]
    for _ in range(SLICES):
        for make, found in zip(makes, took, strict=True):
            found.extend(await _slice(make))
    seconds = SLICES * SLICE_SECONDS
    return [(len(one) / seconds, sorted(one)[int(len(one) * 0.99)] * 1000) for one in took]


async def _slice(make: Callable[[int], Step]) -> list[float]:
    took: list[float] = []

    async def client(number: int) -> None:
        step = make(number)
        await step()  # a connection, and its statements prepared
        end = time.perf_counter() + SLICE_SECONDS
        while (began := time.perf_counter()) < end:
            await step()
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    return took


def _reading(installation: Installation, tenant: Tenant, *, primary_only: bool) -> Step:
    freshness = Freshness(primary_only=primary_only)

    async def step() -> None:
        work = installation.work(tenant, freshness=freshness)
        async with work.begin(read_only=True) as uow:
            await uow.hot(READ, "CCC")

    return step


def _writing(
    installation: Installation, tenant: Tenant, number: int, *, wants_position: bool
) -> Step:
    destination = "KLMNOPQRST"[number] * 3  # a row of its own for each client

    async def step() -> None:
        freshness = Freshness(primary_only=True, wants_position=wants_position)
        async with installation.work(tenant, freshness=freshness).begin() as uow:
            await uow.hot(WRITE, destination)

    return step


@contextlib.asynccontextmanager
async def _raw(url: str, tenant: Tenant) -> AsyncIterator[Step]:
    pool = await asyncpg.create_pool(
        **connect_arguments(make_url(url)),
        min_size=CLIENTS,
        max_size=CLIENTS,
        reset=_nothing_to_reset,
    )
    begin = tenant.binding_as(tenant.role, begin="BEGIN READ ONLY")

    async def step() -> None:
        async with pool.acquire() as connection:
            await connection.execute(begin)
            await connection.fetch(READ, "CCC")
            await connection.execute("COMMIT")

    try:
        yield step
    finally:
        await pool.close()


async def _nothing_to_reset(_: asyncpg.Connection) -> None:
    """Everything that is set is local to the transaction."""


async def _followed(installation: Installation, tenant: Tenant) -> None:
    """Wait until the replica has what was written."""
    while True:
        async with installation.unit_of_work(tenant, read_only=True) as uow:
            ((replica,),) = await uow.hot("SELECT pg_is_in_recovery()")
            if replica and len(await uow.hot(READ, "CCC")) == len("KLMNOPQRST"):
                return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    for one in figures():
        sys.stdout.write(f"{one}\n")
