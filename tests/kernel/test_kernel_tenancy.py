"""One tenant never sees another's rows, whatever SQL is sent: the database says so."""
# ruff: noqa: PT012 - what raises is the transaction, with all that is in it

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from pss_kernel import Tenant
from pss_kernel.testing import TestKit
from pss_notes import store

Pair = tuple[Tenant, Tenant]
_BOUND = "SELECT current_user AS role, current_schema() AS schema"


@pytest_asyncio.fixture(loop_scope="session")
async def pair(either: TestKit) -> Pair:
    """Two tenants that nobody writes to, made once for each database."""
    held = either.installation.__dict__.setdefault("_tenants_of_these_tests", [])
    while len(held) < 2:
        held.append(await either.make_tenant(plugins=["notes"]))
    return held[0], held[1]


async def _bound(kit: TestKit, tenant: Tenant) -> tuple[str, str]:
    async with kit.unit_of_work(tenant) as uow:
        (row,) = await uow.hot(_BOUND)
    return row["role"], row["schema"]


async def test_role_and_schema_of_its_own(either: TestKit, pair: Pair) -> None:
    """A unit of work runs as the tenant's role, in the tenant's schema."""
    tenant, _ = pair
    prefix = either.installation.config.role_prefix
    assert (f"{prefix}t_{tenant.code}", f"t_{tenant.code}") == await _bound(either, tenant)


async def test_the_role_owns_nothing_and_cannot_log_in(either: TestKit, pair: Pair) -> None:
    """A tenant's role has rights in its schema only."""
    tenant, _ = pair
    async with either.installation.database.owner() as owner:
        facts = await owner.fetchrow(
            "SELECT rolcanlogin, rolsuper, rolcreaterole, "
            "(SELECT count(*) FROM pg_class c WHERE c.relowner = r.oid) AS owned "
            "FROM pg_roles r WHERE rolname = $1",
            tenant.role,
        )
    assert (False, False, False, 0) == tuple(facts)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT body FROM {schema}.note",
        "INSERT INTO {schema}.note (note_id, body) VALUES ('x', 'x')",
        "UPDATE {schema}.note SET body = ''",
        "DELETE FROM {schema}.note",
        "SELECT data FROM {schema}.event",
        "TRUNCATE {schema}.note",
        "DROP TABLE {schema}.note",
        "CREATE TABLE {schema}.mine (n int)",
    ],
)
async def test_another_tenants_tables_are_refused(either: TestKit, pair: Pair, sql: str) -> None:
    """Raw SQL under A's binding against B's schema gets PostgreSQL's permission error."""
    one, other = pair
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with either.unit_of_work(one) as uow:
            await uow.hot(sql.format(schema=other.schema))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT code FROM pss.tenant",
        "SELECT secret_digest FROM pss.api_key",
        "SELECT payload FROM pss.outbox",
        "DELETE FROM pss.outbox",
        "UPDATE pss.outbox SET queue = 'x'",
        "UPDATE event SET data = '{}'",
        "DELETE FROM event",
        "TRUNCATE event",
        "CREATE TABLE mine (n int)",
        "DROP TABLE note",
    ],
)
async def test_what_a_tenants_role_may_not(either: TestKit, pair: Pair, sql: str) -> None:
    """It can't read the control schema or the outbox, change its event log, or make tables."""
    tenant, _ = pair
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with either.unit_of_work(tenant) as uow:
            await uow.hot(sql)


async def test_the_outbox_takes_what_a_tenant_puts_in(either: TestKit, pair: Pair) -> None:
    """A tenant's role may insert into the outbox, which it can't read."""
    tenant, _ = pair
    async with either.unit_of_work(tenant) as uow:
        await uow.hot("INSERT INTO pss.outbox (queue, payload) VALUES ('nowhere', 'x'::bytea)")
    async with either.installation.database.relay_engine.begin() as connection:
        gone = await connection.exec_driver_sql("DELETE FROM pss.outbox WHERE queue = 'nowhere'")
    assert gone.rowcount == 1


async def test_an_unbound_connection_sees_nothing(either: TestKit, pair: Pair) -> None:
    """Forgetting the binding fails closed: no table is found, and no schema may be entered."""
    tenant, _ = pair
    async with either.installation.database.engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        with pytest.raises(asyncpg.UndefinedTableError):
            await driver.fetch("SELECT body FROM note")
        for table in (f"{tenant.schema}.note", "pss.tenant", "pss.outbox"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await driver.fetch(f"SELECT 1 FROM {table}")


async def test_the_binding_ends_with_the_transaction(either: TestKit, pair: Pair) -> None:
    """After a commit and after an error the pooled connection belongs to nobody."""
    tenant, _ = pair
    seen = []

    async def look() -> None:
        async with either.installation.database.engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            row = await driver.fetchrow(_BOUND)
            seen.append((row["role"], row["schema"]))

    await _bound(either, tenant)
    await look()
    with pytest.raises(ZeroDivisionError):
        async with either.unit_of_work(tenant) as uow:
            await uow.hot("SELECT 1")
            raise ZeroDivisionError
    await look()
    assert [(either.installation.database.roles.app, None)] * 2 == seen


async def test_the_binding_survives_savepoints_and_errors(either: TestKit, pair: Pair) -> None:
    """Savepoints, rolled back or not, leave role and schema as they were."""
    tenant, _ = pair
    async with either.unit_of_work(tenant) as uow:
        (before,) = await uow.hot(_BOUND)
        async with uow.savepoint():
            await uow.hot("SELECT 1")
        with pytest.raises(asyncpg.UndefinedTableError):
            async with uow.savepoint():
                await uow.hot("SELECT 1 FROM nothing")
        (after,) = await uow.hot(_BOUND)
    assert before == after


async def test_a_cancelled_task_leaves_no_binding(either: TestKit, eventually: Any) -> None:
    """A task cancelled in the middle of a statement gives its connection back unbound."""
    tenant = await either.make_tenant(plugins=["notes"])
    pool = either.installation.database.engine.pool
    begun = asyncio.Event()

    async def wait() -> None:
        async with either.unit_of_work(tenant) as uow:
            await store.write_note(uow, "never")
            begun.set()
            await uow.hot("SELECT pg_sleep(60)")

    tasks = [asyncio.create_task(wait()) for _ in range(4)]
    await begun.wait()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {asyncio.CancelledError} == {type(one) for one in results}
    await eventually(lambda: pool.checkedout() == 0)
    async with either.unit_of_work(tenant) as uow:
        assert [[0]] == [list(row) for row in await uow.hot("SELECT count(*) FROM note")]


async def test_one_pool_serves_many_tenants(either: TestKit) -> None:
    """Units of work of several tenants, at once and on few connections, never mix."""
    tenants = [await either.make_tenant(plugins=["notes"]) for _ in range(3)]

    async def write(number: int) -> None:
        tenant = tenants[number % 3]
        async with either.unit_of_work(tenant) as uow:
            await store.write_note(uow, tenant.code)
            if number % 5 == 0:
                raise ZeroDivisionError

    await asyncio.gather(*(write(number) for number in range(60)), return_exceptions=True)
    for tenant in tenants:
        async with either.unit_of_work(tenant) as uow:
            rows = await uow.hot("SELECT body, count(*) FROM note GROUP BY body")
        assert [(tenant.code, 16)] == [tuple(row) for row in rows]


async def test_enabled_tables_only(either: TestKit) -> None:
    """A plugin's tables exist only where it is enabled; the kernel's exist everywhere."""
    tenant = await either.make_tenant()
    async with either.unit_of_work(tenant) as uow:
        await uow.hot("SELECT 1 FROM event, inbox, idempotency")
    with pytest.raises(asyncpg.UndefinedTableError):
        async with either.unit_of_work(tenant) as uow:
            await uow.hot("SELECT 1 FROM note")


async def test_making_a_tenant_again_changes_nothing(either: TestKit) -> None:
    """Creating and enabling are idempotent, also when several do it at once."""
    tenant = await either.make_tenant(plugins=["echo"])
    async with either.unit_of_work(tenant) as uow:
        await store.write_note(uow, "kept")
    again = await asyncio.gather(
        *(either.make_tenant(plugins=["echo"], code=tenant.code) for _ in range(3))
    )
    assert {"kernel", "identity", "notes", "echo"} == again[0].enabled
    async with either.unit_of_work(tenant) as uow:
        assert 1 == (await uow.hot("SELECT count(*) FROM note"))[0][0]
