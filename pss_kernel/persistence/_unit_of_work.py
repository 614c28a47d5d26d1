"""The unit of work: one transaction, bound to one tenant, with its events in the same commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg
import msgspec
from sqlalchemy import CursorResult, Executable, RowMapping
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pss_kernel.errors import (
    Conflict,
    Invalid,
    Problem,
    ReadOnlyUnit,
    TenantMoving,
    Unavailable,
)
from pss_kernel.hooks._dispatch import call_hook
from pss_kernel.hooks._spec import HookSpec
from pss_kernel.keys._persons import erase_persons, seal_persons, unseal_persons
from pss_kernel.messaging._log import EventBuffer
from pss_kernel.persistence._binding import Binding, TransactionFailed, first_role
from pss_kernel.persistence._database import Database, disconnected
from pss_kernel.persistence._migrations import reached
from pss_kernel.persistence._position import Freshness
from pss_kernel.persistence._recycling import connect_for
from pss_kernel.persistence._replica import BEGIN_READING, REPLICA_FAILURES, ReplicaLost
from pss_kernel.resilience import Statement
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.installation import Installation
    from pss_kernel.messaging._event import Event
    from pss_kernel.tenancy import Tenant

__all__ = ["Correlation", "UnitOfWork", "database_problem", "open_unit_of_work"]

R = TypeVar("R")
S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Correlation:
    """Ties what happens to what caused it, across requests and messages."""

    correlation_id: str
    causation_id: str | None = None


@dataclass(frozen=True, slots=True)
class _Take:
    sort_key: tuple[Any, ...]
    sql: str
    arguments: tuple[Any, ...]
    otherwise: Problem
    plugin: str


class UnitOfWork:
    """Everything a plugin needs within one transaction; see the methods.

    Opened by the kernel for a route, an event handler or a job; committed when the function
    returns, rolled back when it raises.
    """

    def __init__(
        self,
        installation: Installation,
        tenant: Tenant,
        actor: Actor,
        correlation: Correlation,
        plugin: str,
        connection: AsyncConnection,
        binding: Binding,
        *,
        read_only: bool = False,
    ) -> None:
        self.installation = installation
        self.tenant = tenant
        self.actor = actor
        self.correlation = correlation
        self.plugin = plugin
        self.read_only = read_only
        self._connection = connection
        self._binding = binding
        self._events = EventBuffer()
        self._takes: list[_Take] = []
        self._savepoints = 0
        self.broken_by: str | None = None
        """Whose statement failed in this transaction, where one has."""

    def settings(self, kind: type[S]) -> S:
        """This tenant's settings of the plugin that declares the type ``kind``."""
        return self.installation.settings_of(self.tenant, kind)

    def has_revision(self, revision: str, *, plugin: str | None = None) -> bool:
        """Whether this tenant's tables have that migration of a plugin (of whose code runs).

        For code that also works on the tables of the version before, until they are migrated.
        """
        name = plugin or self.plugin
        state = self.tenant.plugins.get(name)
        folder = self.installation.registry.migrations_of(name)
        return reached(folder, state.revision if state else None, revision)

    async def execute(
        self, statement: Executable, parameters: Any | None = None
    ) -> CursorResult[Any]:
        """Run a SQLAlchemy Core statement on the tenant's tables."""
        with Statement(self):
            await self._binding.acting_for(self.plugin)
            return await self._connection.execute(statement, parameters)

    async def fetch_all(
        self, statement: Executable, parameters: Any | None = None
    ) -> Sequence[RowMapping]:
        """All rows of a SQLAlchemy Core statement, as mappings."""
        return (await self.execute(statement, parameters)).mappings().all()

    async def fetch_one(
        self, statement: Executable, parameters: Any | None = None
    ) -> RowMapping | None:
        """The first row of a SQLAlchemy Core statement, or None."""
        return (await self.execute(statement, parameters)).mappings().first()

    async def scalar(self, statement: Executable, parameters: Any | None = None) -> Any:
        """The first column of the first row, or None."""
        return (await self.execute(statement, parameters)).scalar()

    async def hot(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """The fast path: SQL text with ``$1``-style parameters on the driver's own connection.

        For the few statements that decide how many requests a second are served. Same
        transaction; prepared once per connection. ``jsonb`` goes in as JSON text and comes
        out decoded (select it as ``::text`` to decode it into a struct yourself).
        """
        with Statement(self):
            driver = await self._binding.acting_for(self.plugin)
            rows: list[asyncpg.Record] = await driver.fetch(sql, *arguments)
        return rows

    async def copy_in(
        self, table: str, columns: Sequence[str], records: Sequence[Sequence[Any]]
    ) -> None:
        """Load many rows at once with PostgreSQL's COPY, in this transaction."""
        self._refuse_to_write("copy_in")
        with Statement(self):
            driver = await self._binding.acting_for(self.plugin)
            await driver.copy_records_to_table(
                table, columns=list(columns), records=list(records), schema_name=self.tenant.schema
            )

    def take(
        self, sort_key: tuple[Any, ...], sql: str, *arguments: Any, otherwise: Problem
    ) -> None:
        """Register a conditional statement on a contended row, with ``RETURNING``.

        All of them run as the last statements before the commit, in the order of their sort
        keys, so that contended rows are locked briefly and never in opposite orders. A sort key
        is the table's name and then the row's key, which makes keys of one table alike. One that
        returns no row raises ``otherwise`` and everything is rolled back.
        """
        self._refuse_to_write("take")
        self._takes.append(_Take(sort_key, sql, arguments, otherwise, self.plugin))

    async def seal(
        self, persons: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, bytes | None]]:
        """Encrypt personal data: subject (a person's id) to field to a value that JSON can hold.

        Each person has a key of their own. A field is bound to its name, so name it after its
        column (``meal.diet``). None stays None. One round trip for all of them, none where
        nothing is to be sealed. Raises Gone (``person-erased``) for whose key was erased.
        """
        self._refuse_to_write("seal")
        async with self.acting(KERNEL):
            return await seal_persons(self, persons)

    async def unseal(
        self, persons: Mapping[str, Mapping[str, bytes | None]]
    ) -> dict[str, dict[str, Any]]:
        """Decrypt what ``seal`` gave; ``ERASED`` stands for what was erased.

        One round trip for all of them. Raises Unavailable for what was altered or copied here from
        another person or field, and where the keys can't be opened now.
        """
        async with self.acting(KERNEL):
            return await unseal_persons(self, persons)

    async def erase_persons(self, *subjects: str) -> list[str]:
        """Erase the keys of people for good; gives those that had not been erased before."""
        self._refuse_to_write("erase_persons")
        async with self.acting(KERNEL):
            return await erase_persons(self, subjects)

    async def now(self) -> datetime:
        """The database's time, at which this transaction began."""
        moment: datetime = await self._binding.open(self.plugin).fetchval("SELECT now()")
        return moment

    def emit(self, event: Event, *, stream: str) -> None:
        """Append the event to its stream, and to the outbox, when this commits.

        Raises TypeError for an event that no plugin lists in ``emits``.
        """
        self._refuse_to_write("emit")
        if "." not in event.event_type:
            raise TypeError(f"{type(event).__name__} stands in no plugin's 'emits'.")
        self._events.add(event, stream)

    def _refuse_to_write(self, method: str) -> None:
        if self.read_only:
            raise ReadOnlyUnit(f"A read-only unit of work of {self.plugin!r} called {method!r}.")

    @asynccontextmanager
    async def acting(self, plugin: str) -> AsyncIterator[None]:
        """Whose code runs inside: the kernel says so around each hook, service and handler."""
        before, self.plugin = self.plugin, plugin
        try:
            yield
        finally:
            self.plugin = before

    async def call(self, spec: HookSpec[..., R], **arguments: Any) -> R:
        """Call a hook: what this tenant's enabled plugins implement of it."""
        answer: R = await call_hook(spec, self, arguments)
        return answer

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """What fails inside is undone alone; events and takes of the inside go with it."""
        self._savepoints += 1
        name = f"s{self._savepoints}"
        events, takes, role = self._events.mark(), len(self._takes), self._binding.mark()
        await self._binding.open(self.plugin).execute(f"SAVEPOINT {name}")
        try:
            yield
            # Refused where a statement failed inside and the failure was swallowed.
            await self._binding.open(self.plugin).execute(f"RELEASE SAVEPOINT {name}")
        except BaseException:
            self._events.reset(events)
            del self._takes[takes:]
            await self._binding.roll_back_to(name, role)
            self.broken_by = None
            raise

    async def flush(self) -> None:
        """Write buffered events, then run the takes. The kernel calls it before the commit."""
        async with self.acting(KERNEL):
            await self._events.write(self)
        for take in sorted(self._takes, key=lambda one: one.sort_key):
            driver = await self._binding.acting_for(take.plugin)
            if not await driver.fetch(take.sql, *take.arguments):
                raise take.otherwise
        self._takes.clear()

    @property
    def wrote_events(self) -> bool:
        """Whether the relay has something to do after the commit."""
        return self._events.written > 0

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the event log keeps about who did this, and why."""
        return {
            "tenant": self.tenant.code,
            "actor": self.actor.label,
            "correlation_id": self.correlation.correlation_id,
            "causation_id": self.correlation.causation_id,
        }


@asynccontextmanager
async def open_unit_of_work(
    installation: Installation,
    tenant: Tenant,
    actor: Actor,
    correlation: Correlation,
    plugin: str,
    *,
    read_only: bool = False,
    freshness: Freshness | None = None,
) -> AsyncIterator[UnitOfWork]:
    """Begin a transaction bound to the tenant; commit on the way out, roll back on an error.

    Three round trips beside the work: BEGIN with the binding, events (if any), COMMIT; and one
    more where the caller wants to know the position of its write.
    Raises Unavailable (retryable) when the database can't be reached, TenantMoving for a change
    while the tenant is on its way to another cell; what only reads goes on. Gone for one that is
    being deleted.
    """
    if tenant.keys:  # opened here, where waiting for them holds nobody up
        await installation.keyring.ready(tenant)
    place = installation.directory.current(tenant)
    place.refuse_leaving()
    if place.placement == "moving" and actor.kind == "system":
        raise _moving(tenant)
    freshness = freshness or Freshness()
    replica = installation.cells[place.cell].replica
    reading = False
    try:
        connection, driver, reading = await _opened(
            installation, place, plugin, freshness if read_only else None
        )
        binding = Binding(driver, tenant, installation.database.roles, plugin)
        uow = UnitOfWork(
            *(installation, tenant, actor, correlation, plugin, connection, binding),
            read_only=read_only,
        )
        try:
            yield uow
            await uow.flush()
            await _commit(uow, binding)
            if replica is not None and (freshness.wants_position or not read_only):
                await replica.written(driver, freshness)
        except BaseException:
            binding.end()
            await _abandon(connection, driver)
            raise
        await connection.close()
    except Exception as error:
        problem = database_problem(error)
        if reading and replica is not None and replica.lost(error):
            problem = ReplicaLost()
        elif read_only and _caused_by(error, asyncpg.ReadOnlySQLTransactionError):
            problem = ReadOnlyUnit(f"A read-only unit of work of {plugin!r} tried to write.")
        problem = problem or await _left(installation, place, error)
        if problem is None:
            raise
        raise problem from error
    if uow.wrote_events:
        installation.wake_relay(place.cell)


_ATTEMPTS = 4

# What the database says to somebody who comes too late: no more rights there, no table, no role.
_TOO_LATE = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidParameterValueError,
    asyncpg.UndefinedTableError,
)


async def _left(installation: Installation, place: Tenant, error: Exception) -> Problem | None:
    """TenantMoving, where the error comes of the tenant's leaving the cell it was known in."""
    if isinstance(error, Problem) or not _caused_by(error, *_TOO_LATE):
        return None
    try:
        await installation.directory.refresh()  # this process may not have heard of it yet
    except Exception:  # noqa: BLE001 - then the first error is the one to tell
        return None
    now = installation.directory.current(place)
    if (now.cell, now.placement) == (place.cell, "active"):
        return None
    return _moving(place)


def _caused_by(error: BaseException, *kinds: type[BaseException]) -> bool:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, kinds):
        cause = cause.__cause__
    return cause is not None


def _moving(tenant: Tenant) -> TenantMoving:
    return TenantMoving(
        f"{tenant.name} is being moved and can't be changed for the moment.",
        mend="Send the same request again in a moment.",
    )


async def _commit(uow: UnitOfWork, binding: Binding) -> None:
    """Commit; where a failed statement forbids it, whoever sent that is to blame."""
    culprit = uow.broken_by or uow.plugin
    try:
        await binding.commit(culprit)
    except TransactionFailed as error:
        uow.installation.breaker.failed(uow.tenant, culprit, error)
        raise


async def _opened(
    installation: Installation, tenant: Tenant, plugin: str, reader: Freshness | None
) -> tuple[AsyncConnection, asyncpg.Connection, bool]:
    """A transaction with the tenant bound, and whether it is on the replica."""
    database = installation.cells[tenant.cell]
    role = first_role(tenant, installation.database.roles, plugin)
    replica = database.replica
    if reader and replica is not None and (least := replica.least(reader)) is not None:
        try:
            binding = tenant.binding_as(role, begin=replica.beginning(least))
            return *await _begin(database, replica.engine, tenant, binding), True
        except REPLICA_FAILURES as error:
            replica.lost(error)
    binding = tenant.binding_as(role, begin=BEGIN_READING if reader else "BEGIN")
    return *await _begin(database, database.engine, tenant, binding), False


async def _begin(
    database: Database, engine: AsyncEngine, tenant: Tenant, binding: str
) -> tuple[AsyncConnection, asyncpg.Connection]:
    """A pooled connection with the tenant bound; a stale one is replaced."""
    for attempt in range(1, _ATTEMPTS + 1):
        most = database.tenants_per_connection
        connection = await connect_for(tenant.code, engine, most)
        try:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert driver is not None
            await driver.execute(binding)
        except BaseException as error:
            await _discard(connection)
            if attempt == 1 and disconnected(error):
                await engine.dispose()  # the others in the pool are as stale as this one
                continue
            if attempt < _ATTEMPTS and _has_old_roles(error):
                continue
            raise
        return connection, driver
    raise AssertionError  # pragma: no cover - the loop returns or raises


def _has_old_roles(error: BaseException) -> bool:
    """Whether the connection may not know yet that its login has been given the tenant's role.

    PostgreSQL keeps a list of the roles that a login is a member of in each connection. A role
    that is given while a connection makes that list (which takes a while with a thousand tenants)
    is missing there until the next one is given; in another connection it is not.
    """
    return isinstance(error, asyncpg.InsufficientPrivilegeError) and "set role" in str(error)


async def _abandon(connection: AsyncConnection, driver: asyncpg.Connection) -> None:
    """Roll back; a connection that can't even do that leaves the pool."""
    try:
        await asyncio.shield(_within(driver.execute("ROLLBACK"), 2.0))
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        await _discard(connection)
    except asyncio.CancelledError:
        await _discard(connection)
        raise
    else:
        await asyncio.shield(connection.close())


async def _within(work: Awaitable[Any], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        await work


async def _discard(connection: AsyncConnection) -> None:
    await asyncio.shield(connection.invalidate())
    await asyncio.shield(connection.close())


def database_problem(error: BaseException) -> Problem | None:
    """What the database said, as a problem that a client can act on; None for anything else."""
    if isinstance(error, Problem):
        return None
    if disconnected(error):
        return Unavailable(
            "The database can't be reached at the moment.", code="database-unavailable"
        )
    if isinstance(error, PoolTimeout):
        return Unavailable("Too many requests wait for the database.", code="database-busy")
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.PostgresError):
            return _said(cause)
        cause = cause.__cause__
    return None


def _said(error: asyncpg.PostgresError) -> Problem | None:
    if isinstance(error, asyncpg.LockNotAvailableError | asyncpg.QueryCanceledError):
        return Unavailable("The database took too long over this.", code="database-busy")
    if isinstance(
        error, asyncpg.CharacterNotInRepertoireError | asyncpg.UntranslatableCharacterError
    ):
        return Invalid("A text holds a character that can't be kept (U+0000).", code="invalid-text")
    if isinstance(error, asyncpg.NumericValueOutOfRangeError) or (
        isinstance(error, asyncpg.DataError) and "value out of" in str(error)  # asyncpg's own check
    ):
        return Invalid("A number is larger than can be kept.", code="out-of-range")
    collided = isinstance(error, asyncpg.UniqueViolationError) and (
        error.constraint_name == "uq_event_stream_stream_version"
    )
    if collided or isinstance(error, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return Conflict(
            "Another request changed the same thing at the same time.",
            code="concurrent-change",
            retryable=True,
        )
    return None
