"""Personal columns: canaries that are sealed, and all texts that were sealed for a tenant."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

import asyncpg

from pss_kernel.errors import Problem
from pss_kernel.installation import Installation
from pss_kernel.leaving._protection import protection_of
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._contents import tables_of
from pss_kernel.testing.conformance._canaries import texts_of

__all__ = ["opened_texts", "seal_canaries"]

_MOST_ROWS = 20
_KEY = """
SELECT a.attname::text FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = $1::regclass AND i.indisprimary
  AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
"""


async def seal_canaries(
    installation: Installation, tenant: Tenant, owner: asyncpg.Connection, plugins: Iterable[str]
) -> None:
    """Seal a canary in each seeded row, for whoever the first column of its key names."""
    async for plugin, table, column in _columns(installation, tenant, owner, plugins):
        place = f'"{tenant.schema}"."{table}"'
        key = await owner.fetchval(_KEY, place)
        if key is None:
            continue
        subjects = await owner.fetch(
            f'SELECT "{key}" AS subject FROM {place} '  # noqa: S608 - from the catalogue, quoted
            f"WHERE substring(\"{column}\" FOR 4) = 'cnry'::bytea"
        )
        for (subject,) in subjects:
            clear = f"cnry{secrets.token_hex(6)}"
            async with installation.unit_of_work(tenant, plugin=plugin) as uow:
                sealed = await uow.seal({subject: {f"{table}.{column}": clear}})
            await owner.execute(
                f'UPDATE {place} SET "{column}" = $1 WHERE "{key}" = $2',  # noqa: S608
                sealed[subject][f"{table}.{column}"],
                subject,
            )


async def opened_texts(
    installation: Installation, tenant: Tenant, owner: asyncpg.Connection, plugins: Iterable[str]
) -> dict[str, str]:
    """All texts in personal columns that open for an id in their row, with where they stand."""
    found: dict[str, str] = {}
    async for plugin, table, column in _columns(installation, tenant, owner, plugins):
        rows = await owner.fetch(
            f'SELECT * FROM "{tenant.schema}"."{table}" '  # noqa: S608 - from the catalogue, quoted
            f'WHERE "{column}" IS NOT NULL LIMIT {_MOST_ROWS}'
        )
        field = f"{table}.{column}"
        for row in rows:
            for subject in {one for one in row.values() if isinstance(one, str)}:
                with suppress(Problem):  # not the person that it is about
                    async with installation.unit_of_work(tenant, plugin=plugin) as uow:
                        opened = await uow.unseal({subject: {field: row[column]}})
                    for text in texts_of(opened[subject][field]):
                        found.setdefault(text, f"{field}, opened")
    return found


async def _columns(
    installation: Installation, tenant: Tenant, owner: asyncpg.Connection, plugins: Iterable[str]
) -> AsyncIterator[tuple[str, str, str]]:
    """Each personal column: the plugin whose models say so, table and column."""
    tables = [one.name for one in await tables_of(owner, tenant.schema)]
    for plugin in plugins:
        for table in tables:
            for column, how in protection_of(installation.registry, plugin, table).items():
                if how == "encrypted":
                    yield plugin, table, column
