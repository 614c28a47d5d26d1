"""A tenant's pending migrations applied and rolled back, with what really happened."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import asyncpg

from pss_kernel.persistence._database_problem import said
from pss_kernel.rollout._apply import MigrationHalted, TenantMigration, patiently
from pss_kernel.rollout._statements import Lock, split

__all__ = ["Observed", "dry_run"]

_HELD = """
SELECT c.relname::text AS table, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.granted AND n.nspname = $1 AND c.relkind IN ('r', 'p')
"""
_FILES = """
SELECT c.relname::text AS table, pg_relation_filenode(c.oid) AS file FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """One statement as it ran for a tenant."""

    tenant: str
    plugin: str
    revision: str
    sql: str
    milliseconds: float | None
    """None: not run, because it can't run in a transaction."""
    locks: tuple[Lock, ...] = ()
    """Those that it was the first to take, on tables that were there before."""
    rewritten: tuple[str, ...] = ()
    """Tables whose every row it wrote anew."""


async def dry_run(migration: TenantMigration) -> list[Observed]:
    """Apply what is pending and roll it back. Requests wait meanwhile as they would then.

    Raises MigrationHalted with what failed.
    """
    found: list[Observed] = []

    async def once() -> None:
        found.clear()
        transaction = migration.owner.transaction()
        await transaction.start()
        try:
            await _apply(migration, found)
        finally:
            await transaction.rollback()

    try:
        await patiently(once)
    except asyncpg.PostgresError as error:
        raise MigrationHalted(f"{migration.tenant.code}, {migration.at}: {said(error)}") from error
    return found


async def _apply(migration: TenantMigration, found: list[Observed]) -> None:
    owner, tenant = migration.owner, migration.tenant
    await migration.lock()
    lacking = migration.catalogue.lacking(await migration.ledger())
    await owner.execute(f'{migration.limits.sql}; SET LOCAL search_path = "{tenant.schema}"')
    seen = _Seen(owner, tenant.schema)
    await seen.start()
    for plugin, revisions in lacking.items():
        for revision in revisions:
            migration.at = f"{plugin} {revision.revision}"
            for sql in split(revision.statements):
                if revision.concurrent:
                    found.append(Observed(tenant.code, plugin, revision.revision, sql, None))
                    continue
                started = time.monotonic()
                await owner.execute(sql)
                milliseconds = (time.monotonic() - started) * 1000
                locks, rewritten = await seen.look()
                found.append(
                    Observed(
                        tenant.code, plugin, revision.revision, sql, milliseconds, locks, rewritten
                    )
                )


class _Seen:
    """What this transaction holds and has rewritten, told from one look to the next."""

    def __init__(self, owner: asyncpg.Connection, schema: str) -> None:
        self._owner = owner
        self._schema = schema
        self._held: set[Lock] = set()
        self._files: dict[str, Any] = {}
        self._before: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Remember the tables that are there."""
        self._files = await self._files_now()
        self._before = frozenset(self._files)

    async def look(self) -> tuple[tuple[Lock, ...], tuple[str, ...]]:
        """The locks that are new, and the tables that were rewritten, since the last look."""
        rows = await self._owner.fetch(_HELD, self._schema)
        held = {Lock(row["table"], _name(row["mode"])) for row in rows}
        new = sorted(
            (one for one in held - self._held if one.table in self._before),
            key=lambda one: (one.table, one.mode),
        )
        files = await self._files_now()
        rewritten = [
            name
            for name, file in files.items()
            if name in self._before and self._files.get(name) not in {None, file}
        ]
        self._held, self._files = held, files
        return tuple(new), tuple(sorted(rewritten))

    async def _files_now(self) -> dict[str, Any]:
        rows = await self._owner.fetch(_FILES, self._schema)
        return {row["table"]: row["file"] for row in rows}


def _name(mode: str) -> str:
    """``AccessExclusiveLock`` as the documentation writes it."""
    words = "".join(f" {one}" if one.isupper() else one for one in mode.removesuffix("Lock"))
    return words.strip().upper()
