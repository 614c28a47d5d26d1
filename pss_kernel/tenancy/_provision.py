"""Making a tenant: its role, its schema, and the tables of each plugin it enables."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pss_kernel.config import CONTROL_CELL
from pss_kernel.errors import Conflict, Invalid, TenantMoving, TenantUnknown, Unavailable
from pss_kernel.persistence._migrations import pending, replay
from pss_kernel.tenancy._directory import SEEN_EVERYWHERE_SECONDS
from pss_kernel.tenancy._origin import origin
from pss_kernel.tenancy._rights import drop_plugin_roles, grant_plugins, plugin_roles
from pss_kernel.tenancy._secret_settings import setting_errors
from pss_kernel.tenancy._settings_store import settings_to_store
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import Database
    from pss_kernel.tenancy._tenant import Tenant

__all__ = [
    "CODE",
    "CREATE",
    "ENDING",
    "JOIN",
    "KERNEL",
    "KERNEL_MIGRATIONS",
    "MigrationFailed",
    "create_tenant",
    "disable_plugin",
    "enable_plugins",
    "needing",
    "upgrade_kernel",
    "writers_gone",
]

KERNEL_MIGRATIONS = Path(__file__).parent / "migrations"
ENDING = {"enabled", "enabling", "disabling", "failed", "quarantined"}
CODE = re.compile(r"[a-z][a-z0-9_]{1,40}", re.ASCII)

CREATE = """
DO $$ BEGIN
  CREATE ROLE "{role}" NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT "{role}" TO "{app}";
CREATE SCHEMA IF NOT EXISTS "{schema}";
GRANT USAGE ON SCHEMA "{schema}" TO "{role}";
ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}"
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO "{role}";
ALTER DEFAULT PRIVILEGES IN SCHEMA "{schema}" GRANT USAGE ON SEQUENCES TO "{role}";
"""
# Last in its transaction: until that ends, no other role is given the same membership.
JOIN = 'GRANT "{tenants}" TO "{role}"'

_BEGIN = """
SELECT set_config('lock_timeout', '10s', true), set_config('pss.actor', $1, true),
       set_config('pss.source', $2, true)
"""
_PLACE = """
INSERT INTO pss.placement (tenant, cell) VALUES ($1, $2) ON CONFLICT (tenant) DO NOTHING
"""
_PLACED = "SELECT cell, state FROM pss.placement WHERE tenant = $1"
_TENANT = """
INSERT INTO pss.tenant (code, name, schema_name, role, currency, time_zone, locales, brand,
  strict_plugins)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, currency = excluded.currency,
  time_zone = excluded.time_zone, locales = excluded.locales, brand = excluded.brand,
  strict_plugins = excluded.strict_plugins, changed_at = now()
"""
_STATE = """
INSERT INTO pss.tenant_plugin (tenant, plugin, state, version, revision, reason, settings)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7::jsonb, '{}'))
ON CONFLICT (tenant, plugin) DO UPDATE SET state = excluded.state, version = excluded.version,
  revision = coalesce(excluded.revision, tenant_plugin.revision), reason = excluded.reason,
  settings = coalesce($7::jsonb, tenant_plugin.settings), changed_at = now(),
  since = CASE WHEN tenant_plugin.state = excluded.state THEN tenant_plugin.since ELSE now() END
"""
_ENABLING = """
INSERT INTO pss.tenant_plugin (tenant, plugin, state)
SELECT $1, unnest($2::text[]), 'enabling'
ON CONFLICT (tenant, plugin) DO UPDATE
  SET state = 'enabling', reason = NULL, changed_at = now(), since = now()
WHERE tenant_plugin.state <> 'enabled'
"""
_DISABLING = """
UPDATE pss.tenant_plugin SET state = 'disabling', reason = NULL, changed_at = now(), since = now()
WHERE tenant = $1 AND plugin = ANY($2) AND state = ANY($3)
"""
# Not where somebody has enabled it again meanwhile: then that is what counts.
_DISABLED = """
UPDATE pss.tenant_plugin SET state = 'disabled', reason = NULL, changed_at = now(), since = now()
WHERE tenant = $1 AND plugin = ANY($2) AND state = 'disabling' RETURNING plugin
"""
_STATE_OF = "SELECT state FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = $2"
# Everything that has begun to write by now: the horizon passes it when it has ended.
_HORIZON = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::numeric"
_PASSED = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::numeric >= $1"
_FINISH_SECONDS = 40.0  # longer than a forgotten transaction may last
_LOOK_SECONDS = 0.05


class MigrationFailed(Conflict):
    """PostgreSQL refused a plugin's migration; its transaction was undone."""

    code, title = "migration-failed", "A plugin's migration failed"


@asynccontextmanager
async def _tenant_transaction(
    installation: Installation, code: str, *, leaving: bool = False
) -> AsyncIterator[asyncpg.Connection]:
    """A transaction of the owner's, in the tenant's cell, that nobody else changes it beside.

    ``leaving``: also for one that is being deleted and may be taken back.
    """
    database = await _database_of(installation, code)
    async with (
        database.owner() as owner,
        _changing(installation, database, owner, code, leaving=leaving),
    ):
        yield owner


@asynccontextmanager
async def _changing(
    installation: Installation,
    database: Database,
    owner: asyncpg.Connection,
    code: str,
    *,
    leaving: bool = False,
) -> AsyncIterator[None]:
    """A transaction in which this tenant is changed, by nobody else at the same time.

    Raises TenantMoving while the tenant is on its way to another cell, Conflict for one that is
    being deleted or imported.
    """
    async with owner.transaction():
        who = origin.get()
        await owner.execute(_BEGIN, who.actor, who.source)
        await owner.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", code)
        # Asked with the lock, which whoever moves it takes as well once it is said to move.
        if database.cell == CONTROL_CELL:  # one round trip, where it can be had
            placed = await owner.fetchrow(_PLACED, code)
        else:
            placed = await installation.directory.placement_of(code)
        if placed is not None and (placed[1] == "moving" or placed[0] != database.cell):
            raise TenantMoving(
                f"The tenant {code!r} is being moved to another cell.",
                mend="Try again when that has ended; see 'pss cell status'.",
            )
        if placed is not None and not leaving:
            _refuse_leaving(code, placed[1])
        yield


def _refuse_leaving(code: str, state: str) -> None:
    """Nothing is changed of a tenant that is being deleted or imported."""
    if state == "deleting":
        raise Conflict(
            f"The tenant {code!r} is being deleted.",
            code="tenant-deleting",
            mend=f"Take it back first: pss tenant restore {code}.",
        )
    if state == "importing":
        raise Conflict(
            f"The tenant {code!r} is being imported, or an import of it has ended half-way.",
            code="tenant-importing",
            mend="Run 'pss tenant import' again, or give it up with 'pss tenant delete'.",
        )


async def create_tenant(
    installation: Installation,
    code: str,
    *,
    name: str,
    currency: str,
    time_zone: str,
    locales: Iterable[str] = ("en",),
    brand: dict[str, Any] | None = None,
    domains: Iterable[str] = (),
    cell: str = CONTROL_CELL,
    strict_plugins: bool = False,
) -> Tenant:
    """Create or change a tenant; idempotent. Its schema has the kernel's tables afterwards.

    ``cell``: where a new one shall live; one that exists stays where it is.
    ``strict_plugins``: whether each plugin has a database role of its own.
    """
    if not CODE.fullmatch(code):
        raise Invalid(
            f"{code!r} can't be a tenant's code.",
            code="invalid-tenant-code",
            mend="It starts with a letter and has 2 to 41 lower-case letters, digits or '_'.",
        )
    roles = installation.database.roles
    schema, role = f"t_{code}", roles.tenant(code)
    # Its place and its host names first: they are decided in one place for all cells. What is
    # claimed for a tenant that is then not made is found again by the next try.
    async with installation.database.owner() as owner, owner.transaction():
        await owner.execute(_PLACE, code, cell)
        cell, state = await owner.fetchrow(_PLACED, code)
        _refuse_leaving(code, state)
        await _set_domains(
            owner,
            code,
            [domain.lower() for domain in domains],
            installation.config.base_domain.lower(),
        )
    database = _configured(installation, code, cell)
    async with database.owner() as owner, _changing(installation, database, owner, code):
        await owner.execute(CREATE.format(role=role, app=roles.app, schema=schema))
        await owner.execute(
            _TENANT,
            code,
            name,
            schema,
            role,
            currency,
            time_zone,
            list(locales),
            msgspec.json.encode(brand or {}).decode(),
            strict_plugins,
        )
        await _migrate(owner, installation, code, KERNEL, KERNEL_MIGRATIONS, None)
        await owner.execute(JOIN.format(tenants=roles.tenants, role=role))
        unused = [] if strict_plugins else await plugin_roles(owner, roles, code)
    await installation.directory.refresh()
    if unused:  # the switch was turned off; who has not seen it yet acts as these roles
        await writers_gone(installation, code)
        async with _tenant_transaction(installation, code) as owner:
            await drop_plugin_roles(owner, roles, code, schema)
    return installation.directory.by_code(code)


async def enable_plugins(
    installation: Installation,
    code: str,
    settings: dict[str, dict[str, Any] | None],
    *,
    upgrading: bool = False,
) -> list[str]:
    """Enable plugins with all that they require, each in one transaction; idempotent.

    Ends a quarantine. ``upgrading``: only while they are enabled; one that is being disabled, or
    was put into quarantine a moment ago, stays so; new indexes come too, while writers wait.
    ``settings`` maps a plugin's name to its new settings, or None to keep what is stored.
    Answers the names newly enabled. Raises Invalid for settings that don't fit.
    """
    registry = installation.registry
    names = registry.closure(settings)
    for name in names:
        given = settings.get(name)
        errors = setting_errors(given, registry[name].settings) if given is not None else []
        if errors:
            raise Invalid(f"The settings of {name!r} are not valid.", errors=errors)
    known = installation.directory.by_code(code)
    newly = [] if upgrading else [name for name in names if name not in known.enabled]
    database = await _database_of(installation, code)
    at = ""
    try:
        async with database.owner() as owner:
            if newly:
                async with _changing(installation, database, owner, code):
                    await owner.execute(_ENABLING, code, newly)
            for at in names:
                folder, given = registry.migrations_of(at), settings.get(at)
                async with _changing(installation, database, owner, code):
                    if upgrading and await owner.fetchval(_STATE_OF, code, at) != "enabled":
                        continue
                    await _migrate(owner, installation, code, at, folder, given, blocking=upgrading)
    except asyncpg.PostgresError as error:
        if not at:
            raise
        await _mark_failed(installation, code, at, str(error))
        for one in names[names.index(at) + 1 :]:
            if one in newly and at in registry.closure([one]):
                await _mark_failed(installation, code, one, f"It needs {at!r}, which failed.")
        raise MigrationFailed(
            f"The tables of the plugin {at!r} could not be made for {code!r}: {error}.",
            mend="Nothing of it was kept; mend the plugin and enable it again.",
        ) from error
    await installation.directory.refresh()
    return newly


async def _mark_failed(installation: Installation, code: str, name: str, reason: str) -> None:
    """The plugin does not serve this tenant until it is enabled again, and says why."""
    async with _tenant_transaction(installation, code) as owner:
        await owner.execute(_STATE, code, name, "failed", None, None, reason, None)
    await installation.directory.refresh()


async def disable_plugin(
    installation: Installation, code: str, name: str, *, cascade: bool = False
) -> list[str]:
    """Disable a plugin; its data stays. Answers what was disabled.

    New requests are refused at once, those in flight finish, and then it is disabled; that takes
    as long as a change needs to be seen everywhere. Raises Conflict where enabled plugins need it,
    unless ``cascade``; Unavailable where requests in flight don't end: run it again.
    """
    tenant = installation.directory.by_code(code)
    if name not in tenant.plugins:  # one that is gone from this machine can still be disabled
        _ = installation.registry[name]
    state = tenant.plugins.get(name)
    if state is None or state.state not in ENDING:
        return []
    first = needing(installation, tenant, name)
    if first and not cascade:
        raise Conflict(
            f"{', '.join(first)} need the plugin {name!r}.",
            code="plugin-required",
            mend="Disable those first, or give --cascade.",
        )
    names = [*first, name]
    async with _tenant_transaction(installation, code) as owner:
        await owner.execute(_DISABLING, code, names, list(ENDING))
    await installation.directory.refresh()
    await writers_gone(installation, code)
    async with _tenant_transaction(installation, code) as owner:
        ended = {row["plugin"] for row in await owner.fetch(_DISABLED, code, names)}
    await installation.directory.refresh()
    if ended != set(names):
        raise Conflict(
            f"{', '.join(one for one in names if one not in ended)} was enabled again meanwhile.",
            code="enabled-meanwhile",
            mend="Find out who enables it; then disable it again.",
        )
    return names


def needing(installation: Installation, tenant: Tenant, name: str) -> list[str]:
    """The tenant's plugins that are not disabled and need that one, those needing most first."""
    serving = {one for one, state in tenant.plugins.items() if state.state in ENDING}
    return [one for one in installation.registry.dependents(name) if one in serving]


async def writers_gone(installation: Installation, code: str) -> None:
    """Wait until every process has seen a change, and what had begun to write before has ended.

    Raises Unavailable where a transaction lasts longer than any may.
    """
    await asyncio.sleep(SEEN_EVERYWHERE_SECONDS)
    database = await _database_of(installation, code)
    async with database.owner() as owner:
        horizon = await owner.fetchval(_HORIZON)
        try:
            async with asyncio.timeout(_FINISH_SECONDS):
                while not await owner.fetchval(_PASSED, horizon):  # noqa: ASYNC110 - another's end
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError as error:
            raise Unavailable(
                f"Requests that had begun before have not ended after {_FINISH_SECONDS:g} s.",
                code="still-in-use",
                mend="Run the same command again.",
            ) from error


async def _database_of(installation: Installation, code: str) -> Database:
    """Of the cell that the tenant lives in, as decided. Raises TenantUnknown, Invalid."""
    cell = await installation.directory.cell_of(code)
    if cell is None:
        raise TenantUnknown(f"There is no tenant {code!r}.")
    return _configured(installation, code, cell)


def _configured(installation: Installation, code: str, cell: str) -> Database:
    if cell not in installation.cells:
        raise Invalid(
            f"The tenant {code!r} lives in the cell {cell!r}, which is not configured here.",
            code="unknown-cell",
            mend=f"Name it in PSS_CELLS and set PSS_CELL_{cell.upper()}_DATABASE_URL.",
        )
    return installation.cells[cell]


async def upgrade_kernel(installation: Installation, code: str) -> None:
    """Bring the tables that every tenant has to this version's; idempotent."""
    async with _tenant_transaction(installation, code) as owner:
        await _migrate(owner, installation, code, KERNEL, KERNEL_MIGRATIONS, None, blocking=True)


async def _migrate(
    owner: asyncpg.Connection,
    installation: Installation,
    code: str,
    name: str,
    folder: Path,
    settings: dict[str, Any] | None,
    *,
    blocking: bool = False,
) -> None:
    """Replay what is pending of one plugin and write its ledger row, in this transaction."""
    row = await owner.fetchrow(
        "SELECT state, revision FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = $2",
        code,
        name,
    )
    waiting = pending(folder, row["revision"] if row else None)
    if row and row["state"] == "enabled" and not blocking:
        # In use: an index that would block its writers waits for 'pss migrate run'.
        waiting = tuple(itertools.takewhile(lambda one: not one.concurrent, waiting))
    await replay(owner, waiting, f"t_{code}")
    plugin = installation.registry.plugins.get(name)
    stored = None
    if settings is not None and plugin is not None:
        stored = await settings_to_store(installation.keyring, owner, code, plugin, settings)
    await owner.execute(
        _STATE,
        code,
        name,
        "enabled",
        plugin.version if plugin else None,
        waiting[-1].revision if waiting else None,
        None,
        stored,
    )
    await grant_plugins(owner, installation.registry, installation.database.roles, code)


async def _set_domains(
    owner: asyncpg.Connection, code: str, domains: list[str], base_domain: str
) -> None:
    for domain in domains:
        label, _, rest = domain.partition(".")
        if rest == base_domain and label.replace("-", "_") != code:
            raise Conflict(
                f"The domain {domain!r} is kept for a tenant with that code.", code="domain-taken"
            )
    taken = await owner.fetchrow(
        "SELECT host, tenant FROM pss.tenant_domain WHERE host = ANY($1) AND tenant <> $2",
        domains,
        code,
    )
    if taken:
        raise Conflict(
            f"The domain {taken['host']!r} belongs to the tenant {taken['tenant']!r}.",
            code="domain-taken",
        )
    await owner.execute(
        "DELETE FROM pss.tenant_domain WHERE tenant = $1 AND host <> ALL($2)", code, domains
    )
    await owner.executemany(
        "INSERT INTO pss.tenant_domain (host, tenant) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [(domain, code) for domain in domains],
    )
