"""Migrating some tenants at once, within a number of connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from pss_kernel.errors import TenantUnknown, Unavailable
from pss_kernel.rollout._apply import Limits, MigrationHalted, TenantMigration
from pss_kernel.rollout._pending import Catalogue
from pss_kernel.rollout._record import Run

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["Owners", "Wave"]

_TENANTS_A_CONNECTION = 200  # a backend keeps the catalogue of every schema that it has touched
_KEEP_AT = 50


class Owners:
    """An owner's connection for each cell, kept for several tenants and then made anew."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._open: dict[str, tuple[asyncpg.Connection, AsyncExitStack]] = {}
        self._used: dict[str, int] = {}

    async def of(self, cell: str) -> asyncpg.Connection:
        """A connection to the cell."""
        used = self._used.get(cell, 0)
        if cell in self._open and (
            used >= _TENANTS_A_CONNECTION or self._open[cell][0].is_closed()
        ):
            await self._open.pop(cell)[1].aclose()
        if cell not in self._open:
            stack = AsyncExitStack()
            connection = await stack.enter_async_context(self._installation.cells[cell].owner())
            self._open[cell] = (connection, stack)
            used = 0
        self._used[cell] = used + 1
        return self._open[cell][0]

    async def close(self) -> None:
        """Let go of all of them."""
        while self._open:
            await self._open.popitem()[1][1].aclose()


class Wave:
    """Some tenants' migrations; each commits by itself, and the first failure ends the wave."""

    def __init__(
        self, installation: Installation, catalogue: Catalogue, limits: Limits, parallel: int
    ) -> None:
        self._installation = installation
        self._catalogue = catalogue
        self._limits = limits
        self._parallel = parallel
        self._one_index = {cell: asyncio.Lock() for cell in installation.cells}
        self._ended: list[tuple[str, str, float | None, str | None]] = []
        self._keeping = asyncio.Lock()
        self.done = 0

    async def migrate(
        self,
        tenants: Iterable[Tenant],
        run: Run,
        control: asyncpg.Connection,
        report: Callable[[int, int], None],
    ) -> None:
        """Migrate them all. Raises MigrationHalted with the first that failed.

        Those that others had begun by then are finished, so that none is left in the middle.
        """
        waiting = list(tenants)
        total = len(waiting)
        failures: list[MigrationHalted] = []

        async def work() -> None:
            async with _closing(Owners(self._installation)) as owners:
                while waiting and not failures:
                    try:
                        await self._one(waiting.pop(0), owners)
                    except MigrationHalted as failure:
                        failures.append(failure)
                    report(self.done, total)
                    if len(self._ended) >= _KEEP_AT:
                        await self._keep(run, control)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._parallel, total)):
                    group.create_task(work())
        finally:
            await self._keep(run, control)
        if failures:
            raise failures[0]

    def _still_there(self, tenant: Tenant) -> bool:
        """Whether it is where it was, as far as every process knows within a second.

        Whoever moves or deletes a tenant says so and waits for that long before it begins.
        """
        try:
            known = self._installation.directory.by_code(tenant.code)
        except (TenantUnknown, Unavailable):
            return False
        return known.placement == "active" and known.cell == tenant.cell

    async def _one(self, tenant: Tenant, owners: Owners) -> None:
        if not self._still_there(tenant):
            return
        try:
            owner = await owners.of(tenant.cell)
            migration = TenantMigration(
                owner,
                tenant,
                self._installation.cells[tenant.cell].roles,
                self._catalogue,
                self._limits,
                self._one_index[tenant.cell],
            )
            seconds = await migration.run()
        except MigrationHalted as failure:
            self._ended.append((tenant.code, "failed", None, failure.detail))
            raise MigrationHalted(f"{tenant.code}: {failure.detail}") from failure
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            self._ended.append((tenant.code, "failed", None, repr(error)))
            raise MigrationHalted(
                f"{tenant.code}: the database can't be reached: {error!r}"
            ) from error
        self._ended.append((tenant.code, "migrated", seconds, None))
        self.done += 1

    async def _keep(self, run: Run, control: asyncpg.Connection) -> None:
        async with self._keeping:  # one connection for all
            ended, self._ended = self._ended, []
            await run.ended(control, ended)


@asynccontextmanager
async def _closing(owners: Owners) -> AsyncIterator[Owners]:
    try:
        yield owners
    finally:
        await owners.close()
