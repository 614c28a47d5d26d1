"""Making a tenant: its place, its role, its schema, and the tables that every tenant has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pss_kernel.config import CONTROL_CELL
from pss_kernel.errors import Conflict, Invalid
from pss_kernel.identity.audit.writing import audit_as_owner, differences
from pss_kernel.tenancy._changing import (
    changing,
    configured,
    refuse_leaving,
    tenant_transaction,
    writers_gone,
)
from pss_kernel.tenancy._platform import refuse_platform
from pss_kernel.tenancy._rights import drop_plugin_roles, plugin_roles
from pss_kernel.tenancy._tables import KERNEL_MIGRATIONS, migrate_plugin
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL
from pss_kernel.tenancy._twins import check_test_of, refuse_no_twin

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["CODE", "CREATE", "JOIN", "create_tenant"]

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

_PLACE = """
INSERT INTO pss.placement (tenant, cell) VALUES ($1, $2) ON CONFLICT (tenant) DO NOTHING
"""
_PLACED = "SELECT cell, state FROM pss.placement WHERE tenant = $1"
_FACTS = """
SELECT name, currency, time_zone, locales, brand::text AS brand, strict_plugins
FROM pss.tenant WHERE code = $1
"""
_TENANT = """
INSERT INTO pss.tenant (code, name, schema_name, role, currency, time_zone, locales, brand,
  strict_plugins, test_of)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $10)
ON CONFLICT (code) DO UPDATE SET name = excluded.name, currency = excluded.currency,
  time_zone = excluded.time_zone, locales = excluded.locales, brand = excluded.brand,
  strict_plugins = excluded.strict_plugins, changed_at = now()
"""


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
    test_of: str | None = None,
    platform: bool = False,
) -> Tenant:
    """Create or change a tenant; idempotent. Its schema has the kernel's tables afterwards.

    ``cell``: where a new one shall live; one that exists stays where it is.
    ``strict_plugins``: whether each plugin has a database role of its own.
    ``test_of``: the code of the tenant that this one is the test data of.
    ``platform``: the reserved one of the operators is meant.
    """
    domains = list(domains)
    if not CODE.fullmatch(code):
        raise Invalid(
            f"{code!r} can't be a tenant's code.",
            code="invalid-tenant-code",
            mend="It starts with a letter and has 2 to 41 lower-case letters, digits or '_'.",
        )
    if not platform:
        refuse_platform(code)
    check_test_of(code, test_of, domains)
    if test_of is not None:
        refuse_no_twin(installation.directory.by_code(test_of))
    roles = installation.database.roles
    schema, role = f"t_{code}", roles.tenant(code)
    # Its place and its host names first: they are decided in one place for all cells. What is
    # claimed for a tenant that is then not made is found again by the next try.
    async with installation.database.owner() as owner, owner.transaction():
        await owner.execute(_PLACE, code, cell)
        cell, state = await owner.fetchrow(_PLACED, code)
        refuse_leaving(code, state)
        wanted = sorted(domain.lower() for domain in domains)
        had = await _set_domains(owner, code, wanted, installation.config.base_domain.lower())
    database = configured(installation, code, cell)
    async with database.owner() as owner, changing(installation, database, owner, code):
        before = await _facts(owner, code, had)
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
            test_of,
        )
        await migrate_plugin(owner, installation, code, KERNEL, KERNEL_MIGRATIONS, None)
        accounts = installation.registry.migrations_of(IDENTITY)
        await migrate_plugin(owner, installation, code, IDENTITY, accounts, None)
        await owner.execute(JOIN.format(tenants=roles.tenants, role=role))
        unused = [] if strict_plugins else await plugin_roles(owner, roles, code)
        await _audit(owner, code, before, await _facts(owner, code, wanted))
    await installation.directory.refresh()
    if unused:  # the switch was turned off; who has not seen it yet acts as these roles
        await writers_gone(installation, code)
        async with tenant_transaction(installation, code) as owner:
            await drop_plugin_roles(owner, roles, code, schema)
    return installation.directory.by_code(code)


async def _facts(owner: asyncpg.Connection, code: str, domains: list[str]) -> dict[str, Any] | None:
    """What is known of the tenant itself; None before there is one."""
    row = await owner.fetchrow(_FACTS, code)
    if row is None:
        return None
    return {**row, "brand": msgspec.json.decode(row["brand"]), "domains": domains}


async def _audit(
    owner: asyncpg.Connection, code: str, before: dict[str, Any] | None, after: Any
) -> None:
    if before is None:
        await audit_as_owner(owner, code, "tenant.created", code, after=after)
    elif before != after:
        was, is_now = differences(before, after)
        await audit_as_owner(owner, code, "tenant.changed", code, before=was, after=is_now)


async def _set_domains(
    owner: asyncpg.Connection, code: str, domains: list[str], base_domain: str
) -> list[str]:
    """Give it exactly these host names; those that it had."""
    had = await owner.fetch("SELECT host FROM pss.tenant_domain WHERE tenant = $1", code)
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
    return sorted(row["host"] for row in had)
