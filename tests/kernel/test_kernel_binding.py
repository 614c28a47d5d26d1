"""Whatever a plugin does with its transaction, it stays bound to its tenant, or stops."""
# ruff: noqa: PT012, TRY301 - what raises is the transaction, with all that is in it

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import pytest
from sqlalchemy import insert, select, text

from pss_kernel import Problem, Tenant, UnitOfWork
from pss_kernel.installation import Installation
from pss_kernel.persistence._binding import TransactionEnded, TransactionFailed, UnitOfWorkEnded
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.models import note

_WHO = "SELECT current_user::text AS role, current_schema()::text AS schema"


@pytest.fixture(params=["embedded", "server", "pooler"])
def either(request: pytest.FixtureRequest) -> TestKit:
    """The test kit on the embedded database, on the server, and through PgBouncer."""
    name = {"embedded": "installation", "server": "on_server", "pooler": "through_pooler"}
    return TestKit(request.getfixturevalue(name[request.param]))


_pairs: WeakKeyDictionary[Installation, tuple[Tenant, Tenant]] = WeakKeyDictionary()


async def _two(kit: TestKit) -> tuple[Tenant, Tenant]:
    """Two tenants, each with a note that names it; the same for all tests of an installation."""
    if kit.installation in _pairs:
        return _pairs[kit.installation]
    made = []
    for _ in range(2):
        tenant = await kit.make_tenant(plugins=["notes"])
        async with kit.unit_of_work(tenant) as uow:
            await store.write_note(uow, f"of {tenant.code}")
        made.append(tenant)
    _pairs[kit.installation] = (made[0], made[1])
    return made[0], made[1]


async def _bound(kit: TestKit, *tenants: Tenant) -> None:
    """Connections of the pool bind each tenant to its own rows, and none is lost."""

    async def look(tenant: Tenant) -> tuple[Any, ...]:
        async with kit.unit_of_work(tenant) as uow:
            (who,) = await uow.hot(_WHO)
            bodies = [row["body"] for row in await uow.fetch_all(select(note.c.body))]
        return who["role"], who["schema"], {one for one in bodies if one.startswith("of ")}

    looked = [tenant for tenant in tenants for _ in range(8)]
    found = await asyncio.gather(*(look(tenant) for tenant in looked))
    expected = [(one.role, one.schema, {f"of {one.code}"}) for one in looked]
    assert expected == found
    pool: Any = kit.installation.database.engine.sync_engine.pool
    async with asyncio.timeout(10):
        while pool.checkedout():  # noqa: ASYNC110 - the directory looks at the database now and then
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "statement",
    [
        "RESET ROLE",
        "SET ROLE NONE",
        "SET SESSION AUTHORIZATION DEFAULT",
        "SELECT set_config('role', 'none', false)",
    ],
)
async def test_out_of_the_role_there_are_no_rights(either: TestKit, statement: str) -> None:
    """SQL that leaves the tenant's role reaches no table of any tenant, nor the control schema."""
    one, other = await _two(either)
    for table in (f"{one.schema}.note", f"{other.schema}.note", "pss.tenant", "pss.outbox"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with either.unit_of_work(one) as uow:
                await uow.hot(statement)
                await uow.hot(f"SELECT * FROM {table}")
    await _bound(either, one, other)


async def test_another_search_path_shows_nothing(either: TestKit) -> None:
    """A search path of another tenant's schema finds tables that it may not read."""
    one, other = await _two(either)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with either.unit_of_work(one) as uow:
            await uow.hot(f"SELECT set_config('search_path', '\"{other.schema}\"', false)")
            await uow.hot(f"SELECT * FROM {other.schema}.note")
    await _bound(either, one, other)


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK", "COMMIT; SELECT 1"])
async def test_a_plugin_that_ends_its_transaction(either: TestKit, ending: str) -> None:
    """After a plugin's own COMMIT nothing more is done in that unit, and the request fails."""
    one, other = await _two(either)
    with pytest.raises(TransactionEnded):
        async with either.unit_of_work(one) as uow:
            await uow.hot(ending) if ";" not in ending else await _simple(uow, ending)
    for further in (
        lambda uow: uow.hot("SELECT 1"),
        lambda uow: uow.execute(select(note.c.body)),
        lambda uow: uow.copy_in("note", ["note_id", "body"], [("n", "b")]),
        lambda uow: uow.now(),
        lambda uow: store.write_note(uow, "unbound"),
    ):
        with pytest.raises(TransactionEnded):
            async with either.unit_of_work(one) as uow:
                await _simple(uow, "ROLLBACK")
                await further(uow)
    await _bound(either, one, other)


async def _simple(uow: UnitOfWork, sql: str) -> None:
    """Several statements in one message, as the driver sends what has no parameters."""
    await uow._binding.open("notes").execute(sql)


async def test_a_plugin_that_begins_another_transaction(either: TestKit) -> None:
    """In a transaction that a plugin has begun there is no tenant, and there are no rights."""
    one, other = await _two(either)
    statements = [
        lambda uow: uow.hot("SELECT * FROM note"),
        lambda uow: uow.hot(f"SELECT * FROM {one.schema}.note"),
        lambda uow: uow.hot(f"SELECT * FROM {other.schema}.note"),
        lambda uow: uow.execute(insert(note).values(note_id="n", body="b")),
    ]
    for statement in statements:
        refused = (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError, Exception)
        with pytest.raises(refused) as raised:
            async with either.unit_of_work(one) as uow:
                await _simple(uow, "COMMIT; BEGIN")
                (who,) = await uow.hot(_WHO)
                assert (either.installation.database.roles.app, None) == tuple(who)
                await statement(uow)
        said = str(raised.value)
        assert "permission denied" in said or "does not exist" in said
    with pytest.raises(asyncpg.PostgresError):  # its events can't be written either
        async with either.unit_of_work(one) as uow:
            await store.write_note(uow, "never")
            await _simple(uow, "COMMIT; BEGIN")
    await _bound(either, one, other)


async def test_a_failed_statement_that_is_swallowed(either: TestKit) -> None:
    """Who goes on after a failed statement is told that nothing was kept."""
    one, _ = await _two(either)
    with pytest.raises(TransactionFailed):
        async with either.unit_of_work(one) as uow:
            await uow.hot("INSERT INTO trace (who, what) VALUES ('swallowed', 'x')")
            with pytest.raises(asyncpg.DivisionByZeroError):
                await uow.hot("SELECT 1 / 0")
    async with either.unit_of_work(one) as uow:
        assert [] == await store.traces(uow, "swallowed")


async def test_rolled_back_to_a_savepoint(either: TestKit) -> None:
    """What was set inside a savepoint goes with it: role and search path are the tenant's again."""
    one, other = await _two(either)
    setting = (
        "SELECT set_config('role', 'none', true), "
        f"set_config('search_path', '{other.schema}', true)"
    )
    async with either.unit_of_work(one) as uow:
        with pytest.raises(ZeroDivisionError):
            async with uow.savepoint():
                await uow.hot(setting)
                raise ZeroDivisionError
        (who,) = await uow.hot(_WHO)
        assert (one.role, one.schema) == tuple(who)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with uow.savepoint():
                await uow.hot(setting)
                await uow.hot(f"SELECT * FROM {other.schema}.note")
        await store.write_note(uow, "after")
    await _bound(either, one, other)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, asyncio.CancelledError])
async def test_after_an_exception(either: TestKit, error: type[BaseException]) -> None:
    """Whatever ends a unit of work, the connection that it had is nobody's afterwards."""
    one, other = await _two(either)
    for _ in range(30):
        with pytest.raises(error):
            async with either.unit_of_work(one) as uow:
                await uow.hot("SELECT set_config('role', 'none', false)")
                raise error
    await _bound(either, one, other)


@pytest.mark.parametrize("ending", ["commit", "rollback"])
async def test_nothing_is_left_in_the_session(either: TestKit, ending: str) -> None:
    """What a plugin sets for the whole session, role included, is gone for the next user."""
    one, other = await _two(either)
    settings = (
        "SET lock_timeout = '1h'",
        f"SET ROLE {one.role}",
        f"SET search_path = {one.schema}",
        "SELECT set_config('notes.last', 'of one', false)",
    )
    for _ in range(30):
        try:
            async with either.unit_of_work(one) as uow:
                for setting in settings:
                    await uow.hot(setting)
                if ending == "rollback":
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        async with either.unit_of_work(other) as uow:
            (said,) = await uow.hot(
                "SELECT current_setting('lock_timeout'), current_setting('notes.last', true)"
            )
            assert ("5s", True) == (said[0], not said[1])
            await _simple(uow, "ROLLBACK; BEGIN")
            (who,) = await uow.hot(_WHO)
            assert (either.installation.database.roles.app, None) == tuple(who)
    await _bound(either, one, other)


async def test_no_temporary_tables(either: TestKit) -> None:
    """They would outlive the transaction, and stand before another tenant's own tables."""
    one, _ = await _two(either)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with either.unit_of_work(one) as uow:
            await uow.hot("CREATE TEMPORARY TABLE note (note_id text, body text)")


async def _cancelled_at(number: int, work: Callable[[], Awaitable[Any]]) -> bool:
    """Run and cancel where it waits for that time, counted from 0; whether it came so far."""
    reached: list[int] = []

    class Watched:
        def __await__(self) -> Generator[Any, Any, Any]:
            return _watched(work().__await__(), number, reached)

    async def run() -> Any:
        return await Watched()

    with suppress(asyncio.CancelledError):
        await asyncio.ensure_future(run())
    return bool(reached)


def _watched(
    steps: Generator[Any, Any, Any], number: int, reached: list[int]
) -> Generator[Any, Any, Any]:
    """Pass on what a coroutine waits for, and cancel its task while it waits there."""
    task = asyncio.current_task()
    assert task is not None
    sent: Any = None
    error: BaseException | None = None
    place = 0
    while True:
        try:
            waited = steps.send(sent) if error is None else steps.throw(error)
        except StopIteration as stopped:
            return stopped.value
        if place == number:
            asyncio.get_running_loop().call_soon(task.cancel)
            reached.append(place)
        place += 1
        sent, error = None, None
        try:
            sent = yield waited
        except BaseException as raised:  # noqa: BLE001 - passed on to the coroutine
            error = raised


async def test_cancelled_at_every_await(either: TestKit) -> None:
    """Cancelled at each point where it waits, a request leaves nothing bound and nothing half."""
    one, other = await _two(either)

    async def request() -> None:
        async with either.unit_of_work(one) as uow:
            await store.write_note(uow, "of a request")
            async with uow.savepoint():
                await store.leave_trace(uow, "request", "inside")
            touch = "UPDATE note SET body = body WHERE body = $1 RETURNING 1"
            uow.take(("note",), touch, "of a request", otherwise=Problem())

    cancelled = 0
    while await _cancelled_at(cancelled, request):
        cancelled += 1
        async with either.unit_of_work(other) as uow:
            (who,) = await uow.hot(_WHO)
        assert (other.role, other.schema) == tuple(who)
    assert cancelled >= 8  # BEGIN, rows, savepoint, events, take, COMMIT at least
    async with either.unit_of_work(one) as uow:
        notes, traces, events = (
            await uow.hot(
                "SELECT (SELECT count(*) FROM note WHERE body = 'of a request'),"
                " (SELECT count(*) FROM trace WHERE who = 'request'),"
                " (SELECT count(*) FROM event JOIN note ON stream = note_id"
                "  WHERE body = 'of a request')"
            )
        )[0]
    assert notes == traces == events >= 1  # what was cancelled during COMMIT may be there: whole
    async with either.unit_of_work(one) as uow:
        await uow.hot("DELETE FROM note WHERE body = 'of a request'")
    await _bound(either, one, other)


async def test_a_request_cancelled_at_every_await(either: TestKit) -> None:
    """The same for a whole request over HTTP: its key and its note are there together, or not."""
    one, other = await _two(either)
    async with either.http(one, ["*"]) as client:
        cancelled = 0

        async def request() -> None:
            headers = {"Idempotency-Key": f"key {cancelled}"}
            await client.post("/v1/notes", json={"body": f"n {cancelled}"}, headers=headers)

        while await _cancelled_at(cancelled, request):
            cancelled += 1
            async with either.unit_of_work(other) as uow:
                (who,) = await uow.hot(_WHO)
            assert (other.role, other.schema) == tuple(who)
    assert cancelled >= 5
    async with either.unit_of_work(one) as uow:
        keys = {row["key"] for row in await uow.hot("SELECT key FROM idempotency")}
        bodies = {row["body"] for row in await uow.hot("SELECT body FROM note")}
    assert {f"n {number}" for number in range(cancelled + 1) if f"key {number}" in keys} == {
        one for one in bodies if one.startswith("n ")
    }
    assert f"n {cancelled}" in bodies
    await _bound(either, one, other)


async def test_many_tenants_on_few_connections(either: TestKit) -> None:
    """Under concurrency, with failures between, each unit of work sees its own tenant only."""
    one, other = await _two(either)

    async def work(number: int) -> None:
        tenant = (one, other)[number % 2]
        try:
            async with either.unit_of_work(tenant) as uow:
                query = select(note.c.body).where(note.c.body.startswith("of "))
                rows = await uow.fetch_all(query)
                assert [f"of {tenant.code}"] == [row["body"] for row in rows]
                await asyncio.sleep(0)
                (who,) = await uow.hot(_WHO)
                assert (tenant.role, tenant.schema) == tuple(who)
                if number % 3 == 0:
                    await uow.hot("SELECT 1 / 0")
        except asyncpg.DivisionByZeroError:
            assert number % 3 == 0

    await asyncio.gather(*(work(number) for number in range(200)))
    await _bound(either, one, other)


@pytest.mark.parametrize(
    "use",
    [
        lambda uow: uow.hot("SELECT * FROM note"),
        lambda uow: uow.execute(select(note.c.body)),
        lambda uow: uow.fetch_all(select(note.c.body)),
        lambda uow: uow.copy_in("note", ["note_id", "body"], [("n", "b")]),
        lambda uow: uow.now(),
        lambda uow: uow.savepoint().__aenter__(),
    ],
)
@pytest.mark.parametrize("failed", [False, True])
async def test_a_task_that_outlives_its_unit_of_work(
    either: TestKit, use: Callable[[UnitOfWork], Awaitable[Any]], failed: bool
) -> None:
    """A unit of work that was kept can't be used after its end: its connection is another's."""
    one, other = await _two(either)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def background(uow: UnitOfWork) -> None:
        begun.set()
        await ended.wait()
        await use(uow)

    try:
        async with either.unit_of_work(one) as uow:
            task = asyncio.create_task(background(uow))
            await begun.wait()
            if failed:
                raise ZeroDivisionError
    except ZeroDivisionError:
        assert failed
    async with either.unit_of_work(other) as uow:  # has the connection now
        ended.set()
        with pytest.raises(UnitOfWorkEnded):
            await task
        (who,) = await uow.hot(_WHO)
        assert (other.role, other.schema) == tuple(who)
    await _bound(either, one, other)


@pytest.mark.parametrize(
    "ending",
    ["COMMIT AND CHAIN", " -- a remark\n rollback and chain", "/* so */ END AND CHAIN", "abort"],
)
async def test_an_end_that_begins_anew(either: TestKit, ending: str) -> None:
    """A transaction that is to go on in a next one is refused before it ends."""
    tenant, _ = await _two(either)
    before = await _count(either, tenant)
    for send in ("hot", "text"):
        with pytest.raises(TransactionEnded):
            async with either.unit_of_work(tenant) as uow:
                await store.write_note(uow, "not kept")
                await (uow.hot(ending) if send == "hot" else uow.execute(text(ending)))
    assert before == await _count(either, tenant)


async def test_back_to_a_savepoint_in_sql(either: TestKit) -> None:
    """A way back to a savepoint ends nothing."""
    tenant, _ = await _two(either)
    async with either.unit_of_work(tenant) as uow:
        await uow.hot("SAVEPOINT here")
        await uow.hot("ROLLBACK TO SAVEPOINT here")
        await uow.hot("ROLLBACK WORK TO here")


async def test_what_a_session_holds(either: TestKit) -> None:
    """Advisory locks and channels that a plugin took are gone in the next unit of work."""
    one, other = await _two(either)
    for tenant in (one, other) * 8:
        async with either.unit_of_work(tenant) as uow:
            held = await uow.hot(
                "SELECT (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()"
                " AND locktype = 'advisory') + (SELECT count(*) FROM pg_listening_channels())"
            )
            await uow.hot("SELECT pg_advisory_lock_shared(70001)")
            await uow.hot("LISTEN spy")
        assert 0 == held[0][0]


async def _count(kit: TestKit, tenant: Tenant) -> int:
    async with kit.unit_of_work(tenant) as uow:
        ((count,),) = await uow.hot("SELECT count(*) FROM note")
    return int(count)
