"""One running installation: its configuration, plugins, database and tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import asyncpg
import msgspec
import structlog
from sqlalchemy.exc import DBAPIError

from pss_kernel.auth import Actor
from pss_kernel.auth._signing import SigningKeys
from pss_kernel.auth._tokens import Tokens
from pss_kernel.config import CONTROL_CELL, EMBEDDED, CellConfig, Config, make_data_folder
from pss_kernel.errors import Invalid, Problem, Unavailable
from pss_kernel.ids import new_id
from pss_kernel.keys._inspect import key_problems
from pss_kernel.keys._keyring import Keyring
from pss_kernel.keys._master import MasterKeys
from pss_kernel.keys._secret import decode_secret
from pss_kernel.leaving._revisions import remember_revisions
from pss_kernel.limits import Limiter
from pss_kernel.mail import Mailer
from pss_kernel.messaging._wake import RelayWaker
from pss_kernel.outgoing import Outgoing
from pss_kernel.persistence import (
    Correlation,
    Database,
    Freshness,
    UnitOfWork,
    Work,
    open_unit_of_work,
)
from pss_kernel.persistence._database import disconnected
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.persistence._migrations import upgrade_control
from pss_kernel.persistence._replica import Replica
from pss_kernel.registry import Registry
from pss_kernel.resilience import Breaker, Limits, Meters
from pss_kernel.tenancy import Directory, Tenant
from pss_kernel.tenancy._absent import refuse_absent
from pss_kernel.tenancy._cells import variables_of
from pss_kernel.tenancy._pending import enable_pending, tell_pending
from pss_kernel.tenancy._secret_settings import open_settings
from pss_kernel.tenancy._tenant import KERNEL

__all__ = ["Installation", "open_installation"]

_log = structlog.get_logger("pss")
_SYSTEM = Actor("system")
S = TypeVar("S", bound=msgspec.Struct)


class Installation:
    """What every part of a process shares. Made by ``open_installation``."""

    def __init__(self, config: Config, registry: Registry, cells: dict[str, Database]) -> None:
        self.config = config
        self.registry = registry
        self.cells = cells
        self.directory = Directory(cells, config.base_domain)
        self.outgoing = Outgoing(config)
        masters = MasterKeys(config, embedded=self.database.embedded, outgoing=self.outgoing)
        self.keyring = Keyring(masters)
        self.tokens = Tokens(
            SigningKeys(self.directory, self.database, self.keyring.masters), config.base_domain
        )
        self.mailer = Mailer(config, embedded=self.database.embedded, outgoing=self.outgoing)
        self.meters = Meters(Limits.of(config))
        self.breaker = Breaker(self)
        self.limiter = Limiter(config)
        self._wakers = {name: RelayWaker(database) for name, database in cells.items()}

    @property
    def database(self) -> Database:
        """The control cell, which says where each tenant lives."""
        return self.cells[CONTROL_CELL]

    def cell(self, tenant: Tenant) -> Database:
        """The database cluster that the tenant lives in now, wherever it was a while ago."""
        return self.cells[self.directory.current(tenant).cell]

    def settings_of(self, tenant: Tenant, kind: type[S]) -> S:
        """A tenant's settings of the plugin that declares the type ``kind``."""
        decoded = tenant.decoded_settings.get(kind)
        if decoded is None:
            name = self.registry.plugin_of_settings(kind)
            state = tenant.plugins.get(name)
            settings = open_settings(
                state.settings if state else {}, kind, name, lambda: self.keyring.of(tenant)
            )
            decoded = msgspec.convert(settings, kind, dec_hook=decode_secret)
            tenant.decoded_settings[kind] = decoded
        result: S = decoded
        return result

    @asynccontextmanager
    async def unit_of_work(
        self,
        tenant: Tenant,
        actor: Actor = _SYSTEM,
        correlation: Correlation | None = None,
        *,
        plugin: str = KERNEL,
        read_only: bool = False,
    ) -> AsyncIterator[UnitOfWork]:
        """A transaction bound to the tenant, for one plugin's work; see UnitOfWork.

        ``read_only``: the database refuses to write, and the cell's replica may be read from.
        """
        correlation = correlation or Correlation(new_id("cor"))
        async with (
            self.meters.unit(tenant.code, plugin),
            open_unit_of_work(self, tenant, actor, correlation, plugin, read_only=read_only) as uow,
        ):
            yield uow

    def work(
        self,
        tenant: Tenant,
        actor: Actor = _SYSTEM,
        correlation: Correlation | None = None,
        *,
        plugin: str = KERNEL,
        freshness: Freshness | None = None,
    ) -> Work:
        """Several transactions, one after the other; see Work."""
        correlation = correlation or Correlation(new_id("cor"))
        return Work(self, tenant, actor, correlation, plugin, freshness=freshness)

    def wake_relay(self, cell: str = CONTROL_CELL) -> None:
        """Tell the cell's relay that events wait; many calls become one."""
        self._wakers[cell].wake()

    async def close(self) -> None:
        """Let go of everything."""
        await self.breaker.stop()
        await self.outgoing.stop()
        await self.limiter.close()
        await self.directory.stop()
        for waker in self._wakers.values():
            await waker.stop()
        for database in self.cells.values():
            await database.close()


@asynccontextmanager
async def open_installation(
    config: Config,
    registry: Registry | None = None,
    *,
    strict: bool = False,
    upgrade_plugins: bool = True,
) -> AsyncIterator[Installation]:
    """Start (embedded) or reach the database, bring its control schema up to date, and go.

    ``upgrade_plugins`` also brings the tables of every tenant to the installed versions, or says
    that they wait, as the configuration has it; a command that is about one tenant leaves the
    others alone. ``strict``: an installed plugin that can't be used, an enabled one that isn't
    here, or a cell that can't be reached is an error instead of being left out (or looked for
    until it is there).

    Raises Invalid where the database can't be reached.
    """
    registry = registry or Registry.discover()
    if strict:
        registry.refuse_broken()
    async with AsyncExitStack() as stack:
        cells = {}
        servers: dict[str, list[EmbeddedPostgres]] = {}
        for cell in (_control_cell(config), *config.cells):
            cells[cell.name] = await _database(stack, config, cell, servers)
        installation = Installation(config, registry, cells)
        stack.push_async_callback(installation.close)
        away = _Away(installation, servers, upgrade_plugins=upgrade_plugins)
        await away.prepare(strict=strict)
        if strict:
            refuse_absent(installation)
        if upgrade_plugins and config.migrates_on_start:
            await enable_pending(installation)
        elif upgrade_plugins:
            tell_pending(installation)
        if upgrade_plugins:
            async for tenants, problem in key_problems(installation):
                _log.error("keys_not_open", tenants=len(tenants), reason=problem.sentence)
        installation.directory.start(away.recover)
        installation.outgoing.start(installation.database)
        for database in cells.values():
            if database.replica is not None:
                database.replica.start()
        yield installation


def _control_cell(config: Config) -> CellConfig:
    return CellConfig(
        name=CONTROL_CELL,
        database_url=config.database_url or EMBEDDED,
        app_database_url=config.app_database_url,
        direct_database_url=config.direct_database_url,
        replica_url=config.replica_url,
    )


async def _database(
    stack: AsyncExitStack,
    config: Config,
    cell: CellConfig,
    servers: dict[str, list[EmbeddedPostgres]],
) -> Database:
    """The cell's database and its replica, to be started where they are embedded ones."""
    if cell.database_url != EMBEDDED:
        database = Database(
            config,
            cell.database_url,
            cell=cell.name,
            app_url=cell.app_database_url,
            direct_url=cell.direct_database_url,
        )
        return _with_replica(database, config, cell.replica_url)
    folder = config.data_dir
    if cell.name != CONTROL_CELL:
        folder = folder / "cells" / cell.name
    await asyncio.to_thread(make_data_folder, folder)
    embedded = EmbeddedPostgres(folder)
    servers[cell.name] = [embedded]
    stack.push_async_callback(asyncio.to_thread, embedded.release)
    if cell.name == CONTROL_CELL:
        await asyncio.to_thread(embedded.acquire)
    database = Database(config, embedded.url, cell=cell.name, embedded=True)
    replica_url = cell.replica_url
    if replica_url == EMBEDDED:
        replica = EmbeddedPostgres(folder, replica_of=embedded)
        servers[cell.name].append(replica)
        stack.push_async_callback(asyncio.to_thread, replica.release)
        replica_url = replica.url_of(database.roles.app)
    return _with_replica(database, config, replica_url)


def _with_replica(database: Database, config: Config, url: str | None) -> Database:
    if url == EMBEDDED:
        raise Invalid(
            "An embedded replica belongs to an embedded database.",
            code="invalid-configuration",
            mend="Give the replica's URL.",
        )
    if url is not None:
        engine = database.reading_engine(url)
        database.replica = Replica(database, engine, config.replica_max_lag)
    return database


class _Away:
    """Brings each cell's control schema up to date: at once, or when the cell comes back."""

    def __init__(
        self,
        installation: Installation,
        servers: dict[str, list[EmbeddedPostgres]],
        *,
        upgrade_plugins: bool,
    ) -> None:
        self._installation = installation
        self._servers = servers
        self._upgrade_plugins = upgrade_plugins
        self._waiting: set[str] = set()

    async def prepare(self, *, strict: bool) -> None:
        """All of them; a further cell may be away unless ``strict``, the first may not."""
        installation = self._installation
        directory = installation.directory
        for name, database in installation.cells.items():
            try:
                await self._upgrade(name)
            except (OSError, DBAPIError, asyncpg.PostgresError, Problem) as error:
                if strict or name == CONTROL_CELL or not _not_there(error):
                    raise _unusable(database, error) from error
                self._waiting.add(name)
                await directory.note_unreachable(name, error)
        try:
            await remember_revisions(installation.database, installation.registry)
            await directory.refresh()
        except (OSError, DBAPIError, asyncpg.PostgresError) as error:
            raise _unusable(installation.database, error) from error

    async def recover(self, name: str) -> None:
        """What was not done for a cell at the start; raises while it is still away."""
        installation = self._installation
        late = name in self._waiting
        if late:
            await self._upgrade(name)
        await installation.directory.look_again(name)
        self._waiting.discard(name)
        if late and self._upgrade_plugins and installation.config.migrates_on_start:
            await enable_pending(installation, cell=name)

    async def _upgrade(self, name: str) -> None:
        servers = self._servers.get(name, [])
        for server in servers[:1]:
            await _hold(server)
        await upgrade_control(self._installation.cells[name])
        for server in servers[1:]:  # a replica, copied with all that every reader needs
            await _hold(server)


async def _hold(server: EmbeddedPostgres) -> None:
    if not server.held:
        await asyncio.to_thread(server.acquire)


def _not_there(error: Exception) -> bool:
    return isinstance(error, OSError | Unavailable) or disconnected(error)


def _unusable(database: Database, error: Exception) -> Invalid:
    if isinstance(error, Problem) and not isinstance(error, Unavailable):
        raise error
    said = str(getattr(error, "orig", None) or error).rpartition(": ")[2].rstrip(".")
    verb = "reached" if _not_there(error) else "used"
    prefix = variables_of(database.cell)
    mend = f"Start it, or correct {prefix}DATABASE_URL."
    if database.cell == CONTROL_CELL:
        mend = f"{mend[:-1]} (without it, an embedded one is used)."
    if "permission denied to set role" in said:
        mend = f"Set {prefix}APP_DATABASE_URL to the login pss_app: see docs/operations.md."
    if "unsupported startup parameter" in str(error):  # PgBouncer's words
        said = "it is a pooler's, and does not take what a connection asks for"
        mend = f"Set PSS_POOLER=transaction: {prefix}APP_DATABASE_URL is a pooler's."
    return Invalid(
        f"The database at {database.owner_url.render_as_string()} can't be {verb}: {said}.",
        code="database-unusable",
        mend=mend,
    )
