"""A plugin that does wrong, at one tenant of two; for the tests of budgets and quarantine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec

from pss_kernel import Tenant, UnitOfWork
from pss_kernel.installation import Installation
from pss_kernel.registry import Registry
from pss_kernel.tenancy._plugin_states import plugin_states
from pss_kernel.testing import TestKit
from pss_notes import store

__all__ = ["Scene", "beside", "heard", "put_away", "scene_of", "traces", "waiting"]


@contextlib.asynccontextmanager
async def beside(opened: Installation, registry: Registry, **limits: Any) -> AsyncIterator[TestKit]:
    """Another process of the same installation, as far as its meters and its memory go."""
    wanted = {"plugin_failures": 3, "plugin_timeouts": 2, "plugin_leaks": 2}
    wanted |= {"plugin_database_seconds": 1.0, "plugin_slow_call_seconds": 0.05}
    config = msgspec.structs.replace(opened.config, plugin_pool_share=0.25, **wanted)
    other = Installation(config, registry, opened.cells)
    await other.directory.refresh()
    other.directory.start()
    try:
        yield TestKit(other)
    finally:
        await other.breaker.stop()
        await other.directory.stop()


async def put_away(opened: Installation) -> None:
    """Other tests use the same database, and don't have the plugin installed."""
    async with opened.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET state = 'disabled' WHERE plugin = 'rogue'"
        )


@dataclass
class Scene:
    """One tenant at which the plugin does wrong, and one at which it is good."""

    kit: TestKit
    bad: Tenant
    good: Tenant
    at_bad: httpx.AsyncClient
    at_good: httpx.AsyncClient

    @property
    def state(self) -> str:
        """The plugin's state at the tenant at which it does wrong, as known here."""
        return self.row.state

    @property
    def row(self) -> Any:
        """All that is known about it."""
        return self.kit.installation.directory.by_code(self.bad.code).plugins["rogue"]

    def now(self, tenant: Tenant) -> Tenant:
        """The tenant as it is known now."""
        return self.kit.installation.directory.by_code(tenant.code)

    @contextlib.asynccontextmanager
    async def journey(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        """A transaction of another plugin, whose hooks the plugin implements."""
        async with self.kit.installation.unit_of_work(self.now(tenant), plugin="notes") as uow:
            yield uow

    async def quarantine(self) -> None:
        """Put it there, as the breaker does."""
        async with self.kit.installation.cell(self.bad).relay_engine.begin() as connection:
            await connection.exec_driver_sql(
                "SELECT pss.quarantine_plugin($1, 'rogue', 'said so')", (self.bad.code,)
            )
        await self.kit.installation.directory.refresh()


@contextlib.asynccontextmanager
async def scene_of(kit: TestKit, does: str) -> AsyncIterator[Scene]:
    """Tenants and clients for one way of doing wrong."""
    bad = await kit.make_tenant(plugins=["echo"], settings={"rogue": {"does": does}})
    good = await kit.make_tenant(plugins=["echo", "rogue"])
    async with kit.http(bad) as at_bad, kit.http(good) as at_good:
        yield Scene(kit, bad, good, at_bad, at_good)


async def traces(scene: Scene, who: str) -> list[str]:
    """What was written down at the tenant of the one who does wrong."""
    async with scene.journey(scene.bad) as uow:
        return await store.traces(uow, who)


async def heard(scene: Scene) -> tuple[int, int, int]:
    """How many events each consumer has handled."""
    return (
        len(await traces(scene, "index")),
        len(await traces(scene, "copy")),
        len(await traces(scene, "rogue heard")),
    )


async def waiting(scene: Scene) -> int:
    """How many events wait for the plugin."""
    (row,) = [
        one
        for one in await plugin_states(scene.kit.installation, scene.bad.code, every=True)
        if one.plugin == "rogue"
    ]
    return row.events_waiting
