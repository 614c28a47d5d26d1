"""The database roles of single plugins, at tenants with ``strict_plugins``.

A plugin's role may work on the tables that its migrations make, read those that its manifest
names in ``reads``, and nothing else. What the kernel writes for it (events, inbox, idempotency
keys) is written as the tenant's own role.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import asyncpg

from pss_kernel.persistence._made import objects_made
from pss_kernel.persistence._migrations import revisions_of
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL

if TYPE_CHECKING:
    from pss_kernel.persistence._database import Roles
    from pss_kernel.registry import Registry

__all__ = ["drop_plugin_roles", "grant_identity", "grant_plugins", "plugin_roles"]

_APPENDED = {"audit_entry"}
_SCHEMA = "SELECT schema_name FROM pss.tenant WHERE code = $1"
_STRICT = "SELECT strict_plugins, schema_name FROM pss.tenant WHERE code = $1"
_PLUGINS = """
SELECT plugin FROM pss.tenant_plugin WHERE tenant = $1 AND plugin <> ALL($2) ORDER BY plugin
"""
# Tables, views and sequences, each with the table that a sequence counts for.
_RELATIONS = """
SELECT c.relname::text AS name, c.relkind = 'S' AS sequence,
       (SELECT t.relname::text FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
        WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
          AND d.refclassid = 'pg_class'::regclass AND c.relkind = 'S') AS of_table
FROM pg_class c
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
"""
_THERE = """
SELECT rolname::text AS name FROM pg_roles WHERE rolname >= $1 AND rolname < $2 ORDER BY 1
"""
_ROLE = """
DO $$ BEGIN
  CREATE ROLE "{role}" NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
GRANT "{role}" TO "{app}";
GRANT USAGE ON SCHEMA "{schema}" TO "{role}";
REVOKE ALL ON ALL TABLES IN SCHEMA "{schema}" FROM "{role}";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA "{schema}" FROM "{role}";
"""
# One statement each, so that the owner need not be a member of the role.
_DROP = """
REVOKE ALL ON ALL TABLES IN SCHEMA "{schema}" FROM "{role}";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA "{schema}" FROM "{role}";
REVOKE ALL ON SCHEMA "{schema}" FROM "{role}";
DROP ROLE "{role}";
"""


async def grant_plugins(
    owner: asyncpg.Connection, registry: Registry, roles: Roles, code: str
) -> bool:
    """Give each plugin of a strict tenant its role and its rights; idempotent.

    To be called in the transaction that has changed plugins, tables or the switch; answers
    whether the tenant is strict. Where it isn't, nothing is done.
    """
    tenant = await owner.fetchrow(_STRICT, code)
    if not tenant["strict_plugins"]:
        return False
    schema = tenant["schema_name"]
    plugins = [row["plugin"] for row in await owner.fetch(_PLUGINS, code, [KERNEL, IDENTITY])]
    relations = await owner.fetch(_RELATIONS, schema)
    made = {name: _made(registry, name) for name in plugins}
    script: list[str] = []
    for name in plugins:
        role = roles.plugin(code, name)
        script.append(_ROLE.format(role=role, app=roles.app, schema=schema))
        read = _read(registry, made, name)
        script += _grants(schema, role, made[name], read, relations)
    if script:
        await owner.execute("\n".join(script))
    return True


async def grant_identity(
    owner: asyncpg.Connection, registry: Registry, roles: Roles, code: str
) -> None:
    """Keep the tables of accounts, sessions and the audit trail to their own role; idempotent.

    To be called in the transaction that has made them. The audit trail can only be added to.
    """
    schema = await owner.fetchval(_SCHEMA, code)
    there = {row["name"] for row in await owner.fetch(_RELATIONS, schema) if not row["sequence"]}
    made = sorted(_made(registry, IDENTITY) & there)
    if not made:
        return
    tables = ", ".join(f'"{schema}"."{one}"' for one in made)
    changeable = ", ".join(f'"{schema}"."{one}"' for one in made if one not in _APPENDED)
    appended = ", ".join(f'"{schema}"."{one}"' for one in made if one in _APPENDED)
    script = [
        f'GRANT USAGE ON SCHEMA "{schema}" TO "{roles.identity}"',
        f'REVOKE ALL ON {tables} FROM "{roles.tenant(code)}", "{roles.identity}"',
        f'GRANT SELECT, INSERT, UPDATE, DELETE ON {changeable} TO "{roles.identity}"',
        f'GRANT SELECT, INSERT ON {appended} TO "{roles.identity}"',
    ]
    await owner.execute(";\n".join(script))


async def plugin_roles(owner: asyncpg.Connection, roles: Roles, code: str) -> list[str]:
    """The roles of a tenant's plugins that there are in this cluster."""
    beginning = roles.plugins_of(code)
    rows = await owner.fetch(_THERE, beginning, f"{beginning[:-1]}/")  # "/" comes after "."
    return [row["name"] for row in rows]


async def drop_plugin_roles(
    owner: asyncpg.Connection, roles: Roles, code: str, schema: str
) -> list[str]:
    """Take the rights of a tenant's plugins back and drop their roles; answers which.

    Only when nobody can be using them any more. The schema must be there still.
    """
    found = await plugin_roles(owner, roles, code)
    for role in found:
        await owner.execute(_DROP.format(role=role, schema=schema))
    return found


def _made(registry: Registry, name: str) -> frozenset[str]:
    """What an installed plugin has made; of one that is not installed nobody needs it."""
    if name not in registry.plugins:
        return frozenset()
    revisions = revisions_of(registry.migrations_of(name))
    return frozenset(one.name for one in objects_made(each.sql for each in revisions))


def _read(registry: Registry, made: Mapping[str, frozenset[str]], name: str) -> set[str]:
    """The tables of other plugins that a plugin names, as far as they are this tenant's too."""
    plugin = registry.plugins.get(name)
    if plugin is None:
        return set()
    named = (one.split(".") for one in plugin.reads)
    return {table for owner, table in named if table in made.get(owner, ())}


def _grants(
    schema: str,
    role: str,
    own: frozenset[str],
    read: set[str],
    relations: list[asyncpg.Record],
) -> Iterator[str]:
    tables = {row["name"] for row in relations if not row["sequence"]}
    sequences = {
        row["name"] for row in relations if row["sequence"] and own & {row["name"], row["of_table"]}
    }
    for rights, kind, names in (
        ("SELECT, INSERT, UPDATE, DELETE", "TABLE", own & tables),
        ("SELECT", "TABLE", read & tables),
        ("USAGE", "SEQUENCE", sequences),
    ):
        if names:
            listed = ", ".join(f'"{schema}"."{one}"' for one in sorted(names))
            yield f'GRANT {rights} ON {kind} {listed} TO "{role}";'
