"""One running installation: its configuration, plugins, database and tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import asyncpg
import msgspec
import structlog
from sqlalchemy.exc import DBAPIError

from pss_kernel.auth import Actor
from pss_kernel.config import Config, make_data_folder
from pss_kernel.errors import Invalid
from pss_kernel.ids import new_id
from pss_kernel.messaging._wake import RelayWaker
from pss_kernel.persistence import Correlation, Database, UnitOfWork, Work, open_unit_of_work
from pss_kernel.persistence._database import disconnected
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.persistence._migrations import upgrade_control
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Directory, Tenant
from pss_kernel.tenancy._provision import enable_pending

__all__ = ["Installation", "open_installation"]

_log = structlog.get_logger("pss")
_SYSTEM = Actor("system")
S = TypeVar("S", bound=msgspec.Struct)


class Installation:
    """What every part of a process shares. Made by ``open_installation``."""

    def __init__(self, config: Config, registry: Registry, database: Database) -> None:
        self.config = config
        self.registry = registry
        self.database = database
        self.directory = Directory(database, config.base_domain)
        self._waker = RelayWaker(database)

    def settings_of(self, tenant: Tenant, kind: type[S]) -> S:
        """A tenant's settings of the plugin that declares the type ``kind``."""
        decoded = tenant.decoded_settings.get(kind)
        if decoded is None:
            state = tenant.plugins.get(self.registry.plugin_of_settings(kind))
            decoded = msgspec.convert(state.settings if state else {}, kind)
            tenant.decoded_settings[kind] = decoded
        result: S = decoded
        return result

    @asynccontextmanager
    async def unit_of_work(
        self,
        tenant: Tenant,
        actor: Actor = _SYSTEM,
        correlation: Correlation | None = None,
    ) -> AsyncIterator[UnitOfWork]:
        """A transaction bound to the tenant; see UnitOfWork."""
        correlation = correlation or Correlation(new_id("cor"))
        async with open_unit_of_work(self, tenant, actor, correlation) as uow:
            yield uow

    def work(
        self, tenant: Tenant, actor: Actor = _SYSTEM, correlation: Correlation | None = None
    ) -> Work:
        """Several transactions, one after the other; see Work."""
        return Work(self, tenant, actor, correlation or Correlation(new_id("cor")))

    def wake_relay(self) -> None:
        """Tell the relay that events wait; many calls become one."""
        self._waker.wake()

    async def close(self) -> None:
        """Let go of everything."""
        await self.directory.stop()
        await self._waker.stop()
        await self.database.close()


@asynccontextmanager
async def open_installation(
    config: Config,
    registry: Registry | None = None,
    *,
    strict: bool = False,
    upgrade_plugins: bool = True,
) -> AsyncIterator[Installation]:
    """Start (embedded) or reach the database, bring its control schema up to date, and go.

    ``upgrade_plugins`` also brings the tables of every tenant to the installed versions; a
    command that is about one tenant leaves the others alone.

    Raises Unavailable where the database can't be reached.
    """
    registry = registry or Registry.discover(strict=strict)
    embedded = None
    if config.database_url is None:
        make_data_folder(config.data_dir)
        embedded = EmbeddedPostgres(config.data_dir)
        await asyncio.to_thread(embedded.acquire)
    try:
        owner_url = config.database_url or (embedded.url if embedded else "")
        database = Database(config, owner_url, embedded=embedded is not None)
        installation = Installation(config, registry, database)
        try:
            try:
                await upgrade_control(database)
                await installation.directory.refresh()
            except (OSError, DBAPIError, asyncpg.PostgresError) as error:
                raise _unusable(database, error) from error
            if upgrade_plugins:
                await enable_pending(installation)
            installation.directory.start()
            yield installation
        finally:
            await installation.close()
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.release)


def _unusable(database: Database, error: Exception) -> Invalid:
    said = str(getattr(error, "orig", None) or error).rpartition(": ")[2].rstrip(".")
    verb = "reached" if isinstance(error, OSError) or disconnected(error) else "used"
    mend = "Start it, or correct PSS_DATABASE_URL (without it, an embedded one is used)."
    if "permission denied to set role" in said:
        mend = "Set PSS_APP_DATABASE_URL to the login pss_app: see docs/operations.md."
    return Invalid(
        f"The database at {database.owner_url.render_as_string()} can't be {verb}: {said}.",
        code="database-unusable",
        mend=mend,
    )
