"""A tenant's rows as they were seeded, put back where something has deleted them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._contents import TenantTable, tables_of

__all__ = ["Kept", "kept_of"]

_KEY = """
SELECT a.attname::text AS name FROM pg_index i
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey)
WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY a.attnum
"""


class Kept:
    """Copies of all rows in temporary tables of one connection, which take them along."""

    def __init__(self, owner: asyncpg.Connection) -> None:
        self._owner = owner
        self._restore: list[str] = []
        self._missing: list[str] = []
        self._asked: PreparedStatement[asyncpg.Record] | None = None

    async def keep(self, schema: str) -> None:
        """Copy each table that has rows."""
        for table in await tables_of(self._owner, schema):
            await self._keep(f'"{schema}"."{table.name}"', table)

    async def _keep(self, place: str, table: TenantTable) -> None:
        number = len(self._restore)
        copied = await self._owner.execute(f"CREATE TEMP TABLE kept_{number} AS TABLE {place}")
        if copied == "SELECT 0":
            await self._owner.execute(f"DROP TABLE kept_{number}")
            return
        key = [row["name"] for row in await self._owner.fetch(_KEY, place)]
        same = " AND ".join(f't."{one}" = k."{one}"' for one in key) or "t::text = k::text"
        names = ", ".join(f'"{one}"' for one in table.columns)
        # Names are from the catalogue, and quoted.
        missing = f"FROM kept_{number} k WHERE NOT EXISTS (SELECT FROM {place} t WHERE {same})"
        self._missing.append(f"SELECT {number} AS number WHERE EXISTS (SELECT {missing})")
        self._restore.append(
            f"INSERT INTO {place} ({names}) OVERRIDING SYSTEM VALUE "
            f"SELECT {names} {missing} ON CONFLICT DO NOTHING"
        )

    async def put_back(self) -> None:
        """Insert the rows that are gone, those that others refer to first.

        A row that no longer fits what has been written since stays away.
        """
        if not self._missing:
            return
        if self._asked is None:  # once: it is long, and asked before all that is run
            asked = " UNION ALL ".join(self._missing)
            self._asked = await self._owner.prepare(f"{asked} ORDER BY number")
        for row in await self._asked.fetch():
            with contextlib.suppress(asyncpg.IntegrityConstraintViolationError):
                await self._owner.execute(self._restore[row["number"]])


@contextlib.asynccontextmanager
async def kept_of(installation: Installation, tenant: Tenant) -> AsyncIterator[Kept]:
    """Keep what a tenant's tables hold now, for as long as the block runs."""
    async with installation.cell(tenant).owner() as owner:
        kept = Kept(owner)
        await kept.keep(tenant.schema)
        yield kept
