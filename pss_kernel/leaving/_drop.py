"""Dropping all that a cell keeps for a tenant."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import asyncpg

from pss_kernel.leaving._alone import changing
from pss_kernel.leaving._export import OUTBOXES
from pss_kernel.persistence._database import Roles
from pss_kernel.tenancy._rights import plugin_roles

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["drop_contents", "drop_everywhere", "naming_tenants", "roles_of"]

_NAMING = """
SELECT c.relname::text AS name, a.attname::text AS column
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
WHERE c.relnamespace = 'pss'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (a.attname = 'tenant' OR (c.relname = 'tenant' AND a.attname = 'code'))
ORDER BY c.relname = 'tenant', c.relname
"""
_PLACES = {"placement", "tenant_domain"}
"""Where it is and what it is called: the last to go, and the control cell's."""

# Of its own, beside those that its memberships give it.
_HAS_RIGHTS = """
SELECT EXISTS (SELECT FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
  WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'a' AND r.rolname = $1
    AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
_REVOKE = """
REVOKE ALL ON ALL TABLES IN SCHEMA pss FROM "{role}";
REVOKE ALL ON ALL SEQUENCES IN SCHEMA pss FROM "{role}";
REVOKE ALL ON SCHEMA pss FROM "{role}";
"""


async def drop_contents(owner: asyncpg.Connection, code: str, roles: Roles) -> None:
    """Drop the tenant's schema, roles and rows in this cell. In a transaction; idempotent.

    Where it is served is the control cell's to say, and to be changed before.
    """
    await owner.execute(f'DROP SCHEMA IF EXISTS "t_{code}" CASCADE')
    for name in OUTBOXES:
        await owner.execute(
            f"DELETE FROM pss.{name} "  # noqa: S608 - a name of ours
            "WHERE (convert_from(payload, 'UTF8')::jsonb ->> 'tenant') = $1",
            code,
        )
    # What refers to the tenant's own row goes before it; twice, because a trigger may write down
    # that a row has gone.
    for name, column in [*(await naming_tenants(owner)).items()] * 2:
        if name in _PLACES:
            continue
        await owner.execute(f'DELETE FROM pss."{name}" WHERE "{column}" = $1', code)  # noqa: S608 - names from the catalogue, quoted
    for role in await roles_of(owner, code, roles):
        with contextlib.suppress(asyncpg.DependentObjectsStillExistError):
            async with owner.transaction():  # another cell may be a database of the same server
                if await owner.fetchval(_HAS_RIGHTS, role):
                    await owner.execute(_REVOKE.format(role=role))
                await owner.execute(f'DROP ROLE "{role}"')


async def naming_tenants(owner: asyncpg.Connection) -> dict[str, str]:
    """Every table of the control schema that says whose its rows are, and in which column.

    The tenant's own row comes last.
    """
    return {row["name"]: row["column"] for row in await owner.fetch(_NAMING)}


async def drop_everywhere(installation: Installation, code: str) -> None:
    """The same in every cell, each in a transaction of its own."""
    for database in installation.cells.values():
        async with database.owner() as owner, changing(owner, code):
            await drop_contents(owner, code, database.roles)


async def roles_of(owner: asyncpg.Connection, code: str, roles: Roles) -> list[str]:
    """The tenant's database roles that are there: its own, and those of its plugins."""
    found = await owner.fetch(
        "SELECT rolname::text AS name FROM pg_roles WHERE rolname = $1", roles.tenant(code)
    )
    return [*await plugin_roles(owner, roles, code), *(row["name"] for row in found)]
