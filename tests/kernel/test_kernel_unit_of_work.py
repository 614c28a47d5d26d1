"""One transaction: rows, events and outbox together, contended statements last."""
# ruff: noqa: PT012 - what raises is the transaction, with all that is in it

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from pss_kernel import Conflict, Invalid, Tenant, Unavailable, UnitOfWork
from pss_kernel.auth import Actor
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.contracts import Exhausted, NoteWritten, title_of

_WAITING = text("""
SELECT convert_from(payload, 'UTF8')::jsonb AS envelope FROM pss.outbox
WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = :tenant ORDER BY id
""")


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(kit: TestKit) -> Tenant:
    """A fresh tenant with notes."""
    return await kit.make_tenant(plugins=["notes"])


async def _count(kit: TestKit, tenant: Tenant, table: str) -> int:
    async with kit.unit_of_work(tenant) as uow:
        return (await uow.hot(f"SELECT count(*) FROM {table}"))[0][0]


async def _waiting(kit: TestKit, tenant: Tenant) -> list[dict[str, Any]]:
    async with kit.installation.database.relay_engine.begin() as connection:
        rows = await connection.execute(_WAITING, {"tenant": tenant.code})
        return [row.envelope for row in rows]


async def test_commit_keeps_rows_events_and_outbox(kit: TestKit, tenant: Tenant) -> None:
    """Leaving the block commits the row, its event and the same envelope in the outbox."""
    async with kit.unit_of_work(tenant, Actor("key", "k1")) as uow:
        note = await store.write_note(uow, "a")
    async with kit.unit_of_work(tenant) as uow:
        (event,) = await uow.hot(
            "SELECT event_id::text, event_type, event_version, stream, stream_version, actor, data "
            "FROM event"
        )
    (envelope,) = await _waiting(kit, tenant)
    assert ("notes.note-written", 2, note.id, 1, "key:k1", {"note_id": note.id}) == tuple(event)[1:]
    assert event["event_id"] == envelope["id"]
    assert (event["event_type"], 2, tenant.code, note.id, 1, event["data"]) == tuple(
        envelope[name] for name in ("type", "version", "tenant", "stream", "stream_version", "data")
    )


async def test_an_error_undoes_everything(kit: TestKit, tenant: Tenant) -> None:
    """Whatever is raised, neither row nor event nor message stays."""
    with pytest.raises(ZeroDivisionError):
        async with kit.unit_of_work(tenant) as uow:
            await store.write_note(uow, "a")
            await uow.flush()
            raise ZeroDivisionError
    assert (0, 0, []) == (
        await _count(kit, tenant, "note"),
        await _count(kit, tenant, "event"),
        await _waiting(kit, tenant),
    )


async def test_streams_are_numbered(kit: TestKit, tenant: Tenant) -> None:
    """Each stream counts its own versions, over several units of work."""
    for _ in range(2):
        async with kit.unit_of_work(tenant) as uow:
            for stream in ("a", "b", "a"):
                uow.emit(NoteWritten(note_id=stream), stream=stream)
    async with kit.unit_of_work(tenant) as uow:
        rows = await uow.hot("SELECT stream, stream_version FROM event ORDER BY position")
    expected = [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2), ("a", 4)]
    assert expected == [tuple(row) for row in rows]


async def test_two_writers_of_one_stream(kit: TestKit, tenant: Tenant) -> None:
    """Of two that append to one stream at once, one is told to try again."""
    first_has_written, second_is_there = asyncio.Event(), asyncio.Event()

    async def first() -> None:
        async with kit.unit_of_work(tenant) as uow:
            uow.emit(NoteWritten(note_id="1"), stream="same")
            await uow.flush()
            first_has_written.set()
            await second_is_there.wait()

    async def second() -> None:
        await first_has_written.wait()
        async with kit.unit_of_work(tenant) as uow:
            uow.emit(NoteWritten(note_id="2"), stream="same")
            await uow.hot("SELECT 1")
            second_is_there.set()

    _, refused = await asyncio.gather(first(), second(), return_exceptions=True)
    assert isinstance(refused, Conflict | None)
    if refused is not None:  # which of the two commits first is not ours to say
        assert ("concurrent-change", True) == (refused.code, refused.retryable)


async def test_takes_run_last_and_in_order(kit: TestKit, tenant: Tenant) -> None:
    """Contended statements run after everything else, sorted by their keys."""
    sql = "INSERT INTO trace (who, what) VALUES ('take', $1) RETURNING position"
    async with kit.unit_of_work(tenant) as uow:
        for name in ("c", "a", "b"):
            uow.take((name, 1), sql, name, otherwise=Exhausted())
        uow.emit(NoteWritten(note_id="n"), stream="n")
        await store.leave_trace(uow, "take", "first")
    async with kit.unit_of_work(tenant) as uow:
        assert ["first", "a", "b", "c"] == await store.traces(uow, "take")


async def test_a_take_without_a_row_undoes_all(kit: TestKit, tenant: Tenant) -> None:
    """When one contended statement finds nothing, ``otherwise`` is raised and all is undone."""
    async with kit.unit_of_work(tenant) as uow:
        await store.set_counter(uow, "full", 3)
        await store.set_counter(uow, "none", 0)
    with pytest.raises(Exhausted, match="none has run out"):
        async with kit.unit_of_work(tenant) as uow:
            await store.write_note(uow, "lost")
            store.take_one(uow, "full")
            store.take_one(uow, "none")
    async with kit.unit_of_work(tenant) as uow:
        assert 3 == await store.left_in(uow, "full")
    assert (0, 0) == (await _count(kit, tenant, "note"), await _count(kit, tenant, "event"))


async def test_a_race_for_the_last_ones(kit: TestKit, tenant: Tenant) -> None:
    """Of forty that want one of seven, seven get it and the others hear that it has run out."""
    async with kit.unit_of_work(tenant) as uow:
        await store.set_counter(uow, "seven", 7)

    async def take() -> None:
        async with kit.unit_of_work(tenant) as uow:
            await store.write_note(uow, "mine")
            store.take_one(uow, "seven")

    results = await asyncio.gather(*(take() for _ in range(40)), return_exceptions=True)
    assert 7 == results.count(None)
    assert {Exhausted, type(None)} == {type(one) for one in results}
    async with kit.unit_of_work(tenant) as uow:
        assert 0 == await store.left_in(uow, "seven")
    assert 7 == await _count(kit, tenant, "note")


async def test_crossed_takes_do_not_deadlock(kit: TestKit, tenant: Tenant) -> None:
    """Two rows asked for in opposite orders are locked in one order."""
    async with kit.unit_of_work(tenant) as uow:
        for name in ("left", "right"):
            await store.set_counter(uow, name, 100)

    async def both(names: tuple[str, str]) -> None:
        async with kit.unit_of_work(tenant) as uow:
            for name in names:
                store.take_one(uow, name)

    orders = [("left", "right"), ("right", "left")] * 10
    await asyncio.gather(*(both(order) for order in orders))
    async with kit.unit_of_work(tenant) as uow:
        assert 80 == await store.left_in(uow, "right")


async def test_a_savepoint_drops_its_events_and_takes(kit: TestKit, tenant: Tenant) -> None:
    """What fails inside a savepoint goes with its rows, events and takes; the rest stays."""
    async with kit.unit_of_work(tenant) as uow:
        await store.set_counter(uow, "one", 1)
        kept = await store.write_note(uow, "kept")
        with pytest.raises(ZeroDivisionError):
            async with uow.savepoint():
                await store.write_note(uow, "dropped")
                store.take_one(uow, "one")
                raise ZeroDivisionError
    async with kit.unit_of_work(tenant) as uow:
        assert 1 == await store.left_in(uow, "one")
        rows = await uow.hot("SELECT stream FROM event")
    assert ([kept.id], 1) == ([row["stream"] for row in rows], await _count(kit, tenant, "note"))


async def test_a_savepoint_with_a_swallowed_failure(kit: TestKit, tenant: Tenant) -> None:
    """A statement that failed and was swallowed inside a savepoint does not spoil the rest."""
    async with kit.unit_of_work(tenant) as uow:
        kept = await store.write_note(uow, "kept")
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            async with uow.savepoint():
                await store.write_note(uow, "dropped")
                with pytest.raises(asyncpg.UndefinedTableError):
                    await uow.hot("SELECT 1 FROM nothing")
        async with uow.savepoint():
            await store.leave_trace(uow, "after", kept.id)
    async with kit.unit_of_work(tenant) as uow:
        assert [kept.id] == await store.traces(uow, "after")
    assert (1, 1) == (await _count(kit, tenant, "note"), await _count(kit, tenant, "event"))


async def test_nested_savepoints(kit: TestKit, tenant: Tenant) -> None:
    """An inner savepoint that fails leaves the outer one's work."""
    async with kit.unit_of_work(tenant) as uow, uow.savepoint():
        outer = await store.write_note(uow, "outer")
        with pytest.raises(ZeroDivisionError):
            async with uow.savepoint():
                await store.write_note(uow, "inner")
                raise ZeroDivisionError
    async with kit.unit_of_work(tenant) as uow:
        rows = await uow.hot("SELECT stream FROM event")
    assert [outer.id] == [row["stream"] for row in rows]


@pytest.mark.parametrize("twice", [False, True])
async def test_cancellation_leaves_the_pool_healthy(
    kit: TestKit, tenant: Tenant, eventually: Any, twice: bool
) -> None:
    """Cancelled once or twice in mid-statement, no connection leaks and the pool serves on."""
    pool = kit.installation.database.engine.pool
    begun: asyncio.Queue[None] = asyncio.Queue()

    async def wait() -> None:
        async with kit.unit_of_work(tenant) as uow:
            await store.write_note(uow, "never")
            begun.put_nowait(None)
            await uow.hot("SELECT pg_sleep(60)")

    tasks = [asyncio.create_task(wait()) for _ in range(24)]  # as many as the pool holds
    for _ in tasks:
        await begun.get()
    for task in tasks:
        task.cancel()
    if twice:
        await asyncio.sleep(0)  # let the first cancellation arrive
        for task in tasks:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await eventually(lambda: pool.checkedout() == 0)
    assert [0] * 24 == await asyncio.gather(*(_count(kit, tenant, "note") for _ in range(24)))


async def test_a_slow_statement_is_retryable(kit: TestKit, tenant: Tenant) -> None:
    """A statement over the time limit gives Unavailable, not PostgreSQL's own error."""
    with pytest.raises(Unavailable) as caught:
        async with kit.unit_of_work(tenant) as uow:
            await uow.hot("SET LOCAL statement_timeout = '20ms'")
            await uow.hot("SELECT pg_sleep(10)")
    assert ("database-busy", True) == (caught.value.code, caught.value.retryable)


@pytest.mark.parametrize("through_core", [False, True])
@pytest.mark.parametrize(
    ("value", "code"), [("nul \0 inside", "invalid-text"), (2**70, "out-of-range")]
)
async def test_values_that_no_column_can_hold(
    kit: TestKit, tenant: Tenant, value: object, code: str, through_core: bool
) -> None:
    """A NUL character, or a number too large for its column, is the caller's mistake: Invalid."""
    with pytest.raises(Invalid) as caught:
        async with kit.unit_of_work(tenant) as uow:
            name, remaining = ("n", value) if isinstance(value, int) else (value, 1)
            if through_core:
                await store.set_counter(uow, name, remaining)
            else:
                await uow.hot("INSERT INTO counter VALUES ($1, $2)", name, remaining)
    assert code == caught.value.code


async def test_other_failures_are_not_mistaken_for_the_database(
    kit: TestKit, tenant: Tenant
) -> None:
    """A plugin's missing file or refused connection is not 'the database can't be reached'."""
    for error in (FileNotFoundError("x"), RuntimeError("x")):
        error.__cause__ = ConnectionRefusedError("another company")
        with pytest.raises(type(error)):
            async with kit.unit_of_work(tenant):
                raise error


async def test_time_is_the_databases(kit: TestKit, tenant: Tenant) -> None:
    """``now`` is the transaction's own time and does not move within it."""
    async with kit.unit_of_work(tenant) as uow:
        first = await uow.now()
        await uow.hot("SELECT pg_sleep(0.01)")
        assert first == await uow.now()
    assert first.utcoffset() is not None


async def test_copy_in(kit: TestKit, tenant: Tenant) -> None:
    """Many rows go in by COPY, in the same transaction."""
    async with kit.unit_of_work(tenant) as uow:
        await uow.copy_in("note", ["note_id", "body"], [(f"n{one}", "x") for one in range(500)])
    assert 500 == await _count(kit, tenant, "note")
    with pytest.raises(ZeroDivisionError):
        async with kit.unit_of_work(tenant) as uow:
            await uow.copy_in("note", ["note_id", "body"], [("more", "x")])
            raise ZeroDivisionError
    assert 500 == await _count(kit, tenant, "note")


async def test_whose_code_runs(kit: TestKit, scripts: dict[str, Any]) -> None:
    """A unit of work knows the plugin at work: the route's, and inside a hook the implementer's."""
    tenant = await kit.make_tenant(plugins=["echo"])
    seen = []

    async def title(uow: UnitOfWork, _body: str) -> None:
        seen.append(uow.plugin)

    scripts["notes title"] = title
    async with kit.installation.unit_of_work(tenant, plugin="echo") as uow:
        await uow.call(title_of, body="x")
        seen.append(uow.plugin)
    assert ["notes", "echo"] == seen
