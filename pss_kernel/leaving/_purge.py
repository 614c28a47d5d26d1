"""Taking a plugin's tables away from a tenant, after they were exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from pss_kernel.errors import Conflict, Invalid
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.leaving._alone import changing
from pss_kernel.leaving._export import export_tables
from pss_kernel.leaving._revisions import made_by
from pss_kernel.persistence._made import Made
from pss_kernel.tenancy._contents import control_tables
from pss_kernel.tenancy._enablement import disable_plugin
from pss_kernel.tenancy._rights import plugin_roles
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["Purged", "plugin_remains", "plugins_to_purge", "purge_plugin"]

_SERVING = {"enabling", "enabled", "disabling", "quarantined"}
# In this order: what looks at a table goes before it, what a table uses after it.
_KINDS = (
    "VIEW",
    "MATERIALIZED VIEW",
    "TABLE",
    "SEQUENCE",
    "PROCEDURE",
    "FUNCTION",
    "TYPE",
    "DOMAIN",
)
_WITH_PLUGIN = """
SELECT table_name::text AS name FROM information_schema.columns
WHERE table_schema = 'pss' AND column_name = 'plugin'
"""
_RELATIONS = """
SELECT relname::text AS name FROM pg_class
WHERE relnamespace = $1::regnamespace AND relname = ANY($2)
"""
_ROUTINES = """
SELECT p.oid::regprocedure::text AS signature FROM pg_proc p
WHERE p.pronamespace = $1::regnamespace AND p.proname = ANY($2)
"""
# What it was given on other plugins' tables, and on those that were dropped it has no more.
_ROLE = """
REVOKE ALL ON ALL TABLES IN SCHEMA "{schema}" FROM "{role}";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA "{schema}" FROM "{role}";
REVOKE ALL ON SCHEMA "{schema}" FROM "{role}";
DROP ROLE "{role}";
"""


@dataclass(frozen=True, slots=True)
class Purged:
    """What was taken away of one plugin."""

    plugin: str
    tables: tuple[str, ...]
    rows: int
    export: Path | None


def plugins_to_purge(
    installation: Installation, tenant: Tenant, name: str, *, cascade: bool = False
) -> list[str]:
    """The plugin and, with ``cascade``, those of the tenant that need it, first the needing ones.

    Raises Conflict where it is not disabled, or others need it, unless ``cascade``; Invalid where
    the tenant has nothing of it.
    """
    if name in {KERNEL, IDENTITY} or name not in tenant.plugins:
        raise Invalid(
            f"{tenant.code!r} has nothing of the plugin {name!r}.",
            code="nothing-to-uninstall",
            mend=f"See 'pss tenant show {tenant.code}'.",
        )
    registry = installation.registry
    needing = (
        [one for one in registry.dependents(name) if one in tenant.plugins]
        if name in registry.plugins
        else []
    )
    if needing and not cascade:
        raise Conflict(
            f"{', '.join(needing)} need the plugin {name!r} and have tables of their own.",
            code="plugin-required",
            mend="Uninstall those first, or give --cascade.",
        )
    if not cascade and name in registry.plugins and tenant.plugins[name].state in _SERVING:
        raise Conflict(
            f"The plugin {name!r} is {tenant.plugins[name].state}.",
            code="plugin-not-disabled",
            mend="Disable it first, or give --cascade.",
        )
    return [*needing, name]


async def purge_plugin(
    installation: Installation, code: str, name: str, place: Path | None
) -> Purged:
    """Export the plugin's tables to ``place`` (None: don't), then drop them and all its rows.

    Killed half-way, the same call goes on. It is disabled first where it still serves. Also for
    a plugin whose code is no longer installed, as long as its revision was seen here.
    """
    tenant = installation.directory.by_code(code)
    await disable_plugin(installation, code, name)
    made = await _made(installation, tenant, name)
    tables = frozenset(one.name for one in made if one.kind == "TABLE")
    rows = 0
    exported = place if tables else None
    if exported is not None:
        rows = await export_tables(installation, tenant, tables, exported)
    database = installation.cell(tenant)
    async with database.owner() as owner, changing(owner, code):
        try:
            await _drop(owner, tenant.schema, made)
        except asyncpg.DependentObjectsStillExistError as error:
            raise Conflict(
                f"Something else of {code!r} depends on the tables of {name!r}: {error}.",
                code="plugin-required",
                mend="Uninstall what depends on them first.",
            ) from error
        # Twice, because a trigger may write down that a row has gone.
        for table in [*await _control(owner)] * 2:
            await owner.execute(
                f'DELETE FROM pss."{table}" WHERE tenant = $1 AND plugin = $2',  # noqa: S608 - a name from the catalogue, quoted
                code,
                name,
            )
        await owner.execute(
            f'DELETE FROM "{tenant.schema}".inbox WHERE starts_with(consumer, $1)',  # noqa: S608 - the tenant's schema, quoted
            f"{name}.",
        )
        role = database.roles.plugin(code, name)
        if role in await plugin_roles(owner, database.roles, code):
            await owner.execute(_ROLE.format(role=role, schema=tenant.schema))
        await audit_as_owner(
            *(owner, code, "plugin.uninstalled", name),
            before={"tables": sorted(tables)},
            after={"exported_rows": rows if exported else None},
        )
    await installation.directory.refresh()
    return Purged(name, tuple(sorted(tables)), rows, exported)


async def _made(installation: Installation, tenant: Tenant, name: str) -> frozenset[Made]:
    """What is the plugin's own. Raises Conflict where nobody knows (any more)."""
    state = tenant.plugins.get(name)
    async with installation.database.owner() as control:
        made = await made_by(
            control, installation.registry, name, state.revision if state else None
        )
    if made is None:
        raise Conflict(
            f"Which tables are those of {name!r} at its revision {state and state.revision!r} is "
            "not known here.",
            code="unknown-revision",
            mend="Install a version of it that has this revision, and run it again.",
        )
    return made


async def _drop(owner: asyncpg.Connection, schema: str, made: frozenset[Made]) -> None:
    """Drop what is there of it, all at once and nothing that depends on it."""
    await owner.execute("SELECT set_config('search_path', $1, true)", f'"{schema}"')
    for kind in _KINDS:
        names = sorted(one.name for one in made if one.kind == kind)
        if not names:
            continue
        if kind in {"FUNCTION", "PROCEDURE"}:
            found = await owner.fetch(_ROUTINES, schema, names)
            listed = [row["signature"] for row in found]
        else:
            listed = ['"' + one.replace('"', '""') + '"' for one in names]
        if listed:
            await owner.execute(f"DROP {kind} IF EXISTS {', '.join(listed)}")
    await owner.execute("SELECT set_config('search_path', '', true)")


async def _control(owner: asyncpg.Connection) -> list[str]:
    """The tables with rows of single tenants and plugins."""
    with_plugin = {row["name"] for row in await owner.fetch(_WITH_PLUGIN)}
    return [name for name in await control_tables(owner) if name in with_plugin]


async def plugin_remains(installation: Installation, code: str, purged: Purged) -> dict[str, int]:
    """The proof: how much of the plugin each place still has; all zero when it has gone."""
    tenant = installation.directory.by_code(code)
    async with installation.cell(tenant).owner() as owner:
        found = {
            "tables": len(await owner.fetch(_RELATIONS, tenant.schema, list(purged.tables))),
            "rows of inbox": await owner.fetchval(
                f'SELECT count(*) FROM "{tenant.schema}".inbox WHERE starts_with(consumer, $1)',  # noqa: S608 - the tenant's schema, quoted
                f"{purged.plugin}.",
            ),
        }
        for table in await _control(owner):
            found[f"rows of pss.{table}"] = await owner.fetchval(
                f'SELECT count(*) FROM pss."{table}" WHERE tenant = $1 AND plugin = $2',  # noqa: S608 - a name from the catalogue, quoted
                code,
                purged.plugin,
            )
    return found
