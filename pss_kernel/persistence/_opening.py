"""Opening a unit of work: a pooled connection, the tenant bound, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pss_kernel.errors import Problem, ReadOnlyUnit, TenantMoving
from pss_kernel.outgoing._within import within_unit
from pss_kernel.persistence._binding import Binding, TransactionFailed, first_role
from pss_kernel.persistence._database import Database, disconnected
from pss_kernel.persistence._database_problem import database_problem
from pss_kernel.persistence._position import Freshness
from pss_kernel.persistence._recycling import connect_for
from pss_kernel.persistence._replica import BEGIN_READING, REPLICA_FAILURES, ReplicaLost
from pss_kernel.persistence._unit_of_work import Correlation, UnitOfWork

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["open_unit_of_work"]

_ATTEMPTS = 4
# What the database says to somebody who comes too late: no more rights there, no table, no role.
_TOO_LATE = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidParameterValueError,
    asyncpg.UndefinedTableError,
)


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
            with within_unit(binding):
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
