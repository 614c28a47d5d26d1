"""One tenant's pending migrations: all of them in one transaction, or none.

What can't run in a transaction (``CREATE INDEX CONCURRENTLY``) comes as revisions of their own,
one after the other, after such a transaction. The ledger row of each plugin is written with the
change itself, so at every moment it says what the tables have.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import asyncpg
from postgast import pg_query_pb2 as pg
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from pss_kernel.errors import Conflict
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.persistence._database_problem import said
from pss_kernel.persistence._migrations import Revision
from pss_kernel.rollout._pending import LIVE, Batch, Catalogue
from pss_kernel.rollout._statements import parsed, split
from pss_kernel.tenancy._rights import grant_identity, grant_plugins
from pss_kernel.tenancy._tenant import IDENTITY

if TYPE_CHECKING:
    from pss_kernel.persistence._database import Roles
    from pss_kernel.tenancy import Tenant

__all__ = ["Limits", "MigrationHalted", "TenantMigration", "patiently"]

T = TypeVar("T")

_TRIES = 12
_LONGEST_PAUSE = 4.0
# Waits for older transactions to end, while nobody waits for it.
_CONCURRENT_LOCK_TIMEOUT = "120s"

_LOCK = """
SET LOCAL lock_timeout = '10s';
SELECT pg_advisory_xact_lock(hashtextextended('{code}', 0));
"""
_LEDGER = "SELECT plugin, revision FROM pss.tenant_plugin WHERE tenant = $1 AND state = ANY($2)"
_DONE = """
UPDATE pss.tenant_plugin p SET revision = d.revision, version = d.version, changed_at = now()
FROM unnest($2::text[], $3::text[], $4::text[]) AS d(plugin, revision, version)
WHERE p.tenant = $1 AND p.plugin = d.plugin
"""
_INDEX = """
SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = $1 AND n.nspname = $2
"""


class MigrationHalted(Conflict):
    """A tenant's migration was refused and undone."""

    code, title = "migration-halted", "A migration was halted"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a migration may be in the way of requests, in milliseconds."""

    lock_timeout: int = 250
    """Requests queue behind a waiting ALTER TABLE: it waits briefly and tries again."""
    statement_timeout: int = 60_000

    @property
    def sql(self) -> str:
        """Sets them for this transaction."""
        return (
            f"SET LOCAL lock_timeout = {self.lock_timeout:d}; "
            f"SET LOCAL statement_timeout = {self.statement_timeout:d}"
        )


@dataclass(slots=True)
class TenantMigration:
    """Brings one tenant's tables to the catalogue's heads, on an owner's connection."""

    owner: asyncpg.Connection
    tenant: Tenant
    roles: Roles
    catalogue: Catalogue
    limits: Limits
    one_index: asyncio.Lock
    """Indexes made concurrently wait for each other in a cluster: one at a time there."""
    at: str = ""
    """The plugin and revision that is being applied, for errors."""

    async def run(self) -> float:
        """Apply all that is pending; the seconds in which its locks may have been held.

        Raises MigrationHalted with what failed, and nothing of the transaction remains.
        """
        seconds = 0.0
        try:
            while True:
                started = time.monotonic()
                ledger = await patiently(self._in_transaction)
                seconds += time.monotonic() - started
                found = self.catalogue.next_concurrent(ledger)
                if found is None:
                    return seconds
                await patiently(partial(self._alone, *found))
        except asyncpg.PostgresError as error:
            raise MigrationHalted(f"{self.at}: {said(error)}") from error

    async def ledger(self) -> dict[str, str | None]:
        """The revision at which the tables of each of its plugins are."""
        rows = await self.owner.fetch(_LEDGER, self.tenant.code, list(LIVE))
        return {row["plugin"]: row["revision"] for row in rows}

    async def lock(self) -> None:
        """Let nobody else change what the tenant has until this transaction ends."""
        self.at = "its lock"
        await self.owner.execute(_LOCK.format(code=self.tenant.code))

    async def _in_transaction(self) -> dict[str, str | None]:
        """Everything up to what can't run here; where the tables are afterwards."""
        async with self.owner.transaction():
            await self.lock()
            ledger = await self.ledger()
            batch = self.catalogue.next_batch(ledger)
            if batch:
                await self.owner.execute(
                    f'{self.limits.sql}; SET LOCAL search_path = "{self.tenant.schema}"'
                )
                for plugin, revisions in batch.items():
                    await self._apply(plugin, revisions)
                # New tables are a plugin's own only when its role is given them.
                granted = (self.owner, self.catalogue.registry, self.roles, self.tenant.code)
                await grant_plugins(*granted)
                if IDENTITY in batch:
                    await grant_identity(*granted)
                await self._record(batch, ledger)
        return ledger | {plugin: done[-1].revision for plugin, done in batch.items()}

    async def _apply(self, plugin: str, revisions: tuple[Revision, ...]) -> None:
        for revision in revisions:
            self.at = f"{plugin} {revision.revision}"
            for statement in revision.statements:
                await self.owner.execute(statement)

    async def _record(self, batch: Batch, ledger: dict[str, str | None]) -> None:
        await self.owner.execute(
            _DONE,
            self.tenant.code,
            list(batch),
            [revisions[-1].revision for revisions in batch.values()],
            [self.catalogue.versions[plugin] for plugin in batch],
        )
        for plugin, revisions in batch.items():
            await audit_as_owner(
                *(self.owner, self.tenant.code, "plugin.migrated", plugin),
                before={"revision": ledger.get(plugin)},
                after={"revision": revisions[-1].revision},
            )

    async def _alone(self, plugin: str, revision: Revision) -> None:
        """One revision outside a transaction."""
        self.at = f"{plugin} {revision.revision}"
        async with self.one_index:
            await self.owner.execute(f'SET search_path = "{self.tenant.schema}"')
            await self.owner.execute(f"SET lock_timeout = '{_CONCURRENT_LOCK_TIMEOUT}'")
            try:
                for statement in split(revision.statements):
                    await self._concurrently(statement)
            finally:
                if not self.owner.is_closed():
                    await self.owner.execute("RESET lock_timeout; SET search_path = ''")
        async with self.owner.transaction():
            await self.lock()
            ledger = await self.ledger()
            if self.catalogue.next_concurrent(ledger) == (plugin, revision):
                await self._record({plugin: (revision,)}, ledger)

    async def _concurrently(self, sql: str) -> None:
        """A statement that may have been done before, wholly or half-way, by one that died."""
        ((kind, node),) = parsed(sql)
        if kind == "drop_stmt" and node.remove_type == pg.OBJECT_INDEX:
            name = node.objects[0].list.items[-1].string.sval
            if await self._index(name) is None:
                return
        if kind != "index_stmt" or not node.idxname:
            await self.owner.execute(sql)
            return
        valid = await self._index(node.idxname)
        if valid:
            return
        drop = f'DROP INDEX CONCURRENTLY "{node.idxname}"'
        if valid is not None:
            await self.owner.execute(drop)
        try:
            await self.owner.execute(sql)
        except asyncpg.PostgresError:
            if await self._index(node.idxname) is False:  # it would cost every write
                await self.owner.execute(drop)
            raise

    async def _index(self, name: str) -> bool | None:
        """Whether an index is valid; None where there is none of that name."""
        valid: bool | None = await self.owner.fetchval(_INDEX, name, self.tenant.schema)
        return valid


async def patiently(step: Callable[[], Awaitable[T]]) -> T:
    """Try again where a lock could not be had in time; nothing of a failed try remains."""
    async for attempt in AsyncRetrying(
        stop=stop_after_attempt(_TRIES),
        wait=wait_random_exponential(multiplier=0.1, max=_LONGEST_PAUSE),
        retry=retry_if_exception_type(
            (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError)
        ),
        reraise=True,
    ):
        with attempt:
            return await step()
    raise AssertionError  # pragma: no cover - the last attempt returns or raises
