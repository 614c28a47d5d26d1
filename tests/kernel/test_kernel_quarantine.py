"""What one plugin does wrong at one tenant stays there: budgets, quarantine, release."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from pss_kernel import Conflict, NotFound, Tenant, Unavailable, UnitOfWork
from pss_kernel.errors import PluginBusy, PluginQuarantined, PluginTooSlow
from pss_kernel.hooks import HookFailed
from pss_kernel.installation import Installation
from pss_kernel.messaging._worker import run_worker
from pss_kernel.persistence._binding import TransactionFailed
from pss_kernel.registry import Registry, _load
from pss_kernel.resilience import Call
from pss_kernel.tenancy._plugin_states import plugin_states, release_plugin
from pss_kernel.tenancy._provision import disable_plugin, enable_plugins
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.contracts import note_read, polished, title_of
from pss_rogue.contracts import decorated, rogue_word

_POOL = 24


@pytest.fixture(scope="session")
def with_rogue() -> Registry:
    """The plugins of these tests, and one that does wrong."""
    names = ("notes", "echo", "rogue")
    return Registry(_load(EntryPoint(one, f"pss_{one}:plugin", "pss.plugins")) for one in names)


@contextlib.asynccontextmanager
async def _beside(
    opened: Installation, registry: Registry, **limits: Any
) -> AsyncIterator[TestKit]:
    """Another process of the same installation, as far as its meters and its memory go."""
    wanted = {"plugin_failures": 3, "plugin_timeouts": 2, "plugin_leaks": 2}
    wanted |= {"plugin_database_seconds": 1.0, "plugin_slow_call_seconds": 0.05}
    config = msgspec.structs.replace(opened.config, plugin_pool_share=0.25, **wanted)
    beside = Installation(config, registry, opened.cells)
    await beside.directory.refresh()
    beside.directory.start()
    try:
        yield TestKit(beside)
    finally:
        await beside.breaker.stop()
        await beside.directory.stop()


async def _put_away(opened: Installation) -> None:
    """Other tests use the same database, and don't have the plugin installed."""
    async with opened.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET state = 'disabled' WHERE plugin = 'rogue'"
        )


@pytest_asyncio.fixture(loop_scope="session")
async def kit(installation: Installation, with_rogue: Registry) -> AsyncIterator[TestKit]:
    """An installation that is quick to quarantine."""
    async with _beside(installation, with_rogue) as made:
        yield made
    await _put_away(installation)


@pytest.fixture(params=["installation", "on_server"])
def opened(request: pytest.FixtureRequest) -> Installation:
    """On the embedded database, and then on the server."""
    found: Installation = request.getfixturevalue(request.param)
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def each_kit(opened: Installation, with_rogue: Registry) -> AsyncIterator[TestKit]:
    """The same, on both."""
    async with _beside(opened, with_rogue) as made:
        yield made
    await _put_away(opened)


@dataclass
class Scene:
    """One tenant at which the plugin does wrong, and one at which it is good."""

    kit: TestKit
    bad: Tenant
    good: Tenant
    at_bad: httpx.AsyncClient
    at_good: httpx.AsyncClient

    @property
    def state(self) -> str:
        """The plugin's state at the tenant at which it does wrong, as known here."""
        return self.row.state

    @property
    def row(self) -> Any:
        """All that is known about it."""
        return self.kit.installation.directory.by_code(self.bad.code).plugins["rogue"]

    def now(self, tenant: Tenant) -> Tenant:
        """The tenant as it is known now."""
        return self.kit.installation.directory.by_code(tenant.code)

    @contextlib.asynccontextmanager
    async def journey(self, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
        """A transaction of another plugin, whose hooks the plugin implements."""
        async with self.kit.installation.unit_of_work(self.now(tenant), plugin="notes") as uow:
            yield uow

    async def quarantine(self) -> None:
        """Put it there, as the breaker does."""
        async with self.kit.installation.cell(self.bad).relay_engine.begin() as connection:
            await connection.exec_driver_sql(
                "SELECT pss.quarantine_plugin($1, 'rogue', 'said so')", (self.bad.code,)
            )
        await self.kit.installation.directory.refresh()


@contextlib.asynccontextmanager
async def _scene(kit: TestKit, does: str) -> AsyncIterator[Scene]:
    bad = await kit.make_tenant(plugins=["echo"], settings={"rogue": {"does": does}})
    good = await kit.make_tenant(plugins=["echo", "rogue"])
    async with kit.http(bad) as at_bad, kit.http(good) as at_good:
        yield Scene(kit, bad, good, at_bad, at_good)


async def _by_route(scene: Scene) -> None:
    assert (await scene.at_bad.get("/v1/rogue")).status_code >= 500


async def _by_late_route(scene: Scene) -> None:
    await scene.at_bad.get("/v1/rogue")


async def _by_work(scene: Scene) -> None:
    await scene.at_bad.post("/v1/rogue/works")


async def _by_notify(scene: Scene) -> None:
    """Another plugin's journey goes on, and keeps what it wrote before and after."""
    async with scene.journey(scene.bad) as uow:
        await store.leave_trace(uow, "journey", "before")
        await uow.call(note_read, note_id="n")
        await store.leave_trace(uow, "journey", "after")
    async with scene.journey(scene.bad) as uow:
        assert ["before", "after"] == (await store.traces(uow, "journey"))[-2:]


async def _by_first(scene: Scene) -> None:
    # A transaction that it broke and left is blamed on it, and not on the plugin that goes on.
    with contextlib.suppress(HookFailed, TransactionFailed):
        async with scene.journey(scene.bad) as uow:
            await uow.call(title_of, body="x")


async def _by_service(scene: Scene) -> None:
    with contextlib.suppress(KeyError):
        async with scene.journey(scene.bad) as uow:
            await rogue_word(uow)


async def _by_event(scene: Scene) -> None:
    async with scene.journey(scene.bad) as uow:
        await store.write_note(uow, "x")
    with contextlib.suppress(Exception):
        await scene.kit.deliver(scene.bad)


async def _by_job(scene: Scene) -> None:
    with contextlib.suppress(KeyError, PluginTooSlow):
        await scene.kit.run_job(scene.bad, "rogue", "visit")


_WRONGS: list[tuple[str, Callable[[Scene], Awaitable[None]], str]] = [
    ("hang", _by_route, "took longer than their budget"),
    ("hang-in-core", _by_route, "took longer than their budget"),
    ("hang-in-sql", _by_route, "took longer than their budget"),
    ("block", _by_late_route, "took longer than their budget"),
    ("raise", _by_route, "calls failed"),
    ("answer-500", _by_route, "calls failed"),
    ("eat-database", _by_late_route, "of the database's time"),
    ("break-transaction", _by_route, "calls failed"),
    ("leak", _by_work, "were left open"),
    ("spawn", _by_work, "were left open"),
    ("hang", _by_notify, "took longer than their budget"),
    ("hang-in-core", _by_notify, "took longer than their budget"),
    ("hang-in-sql", _by_notify, "took longer than their budget"),
    ("raise", _by_notify, "calls failed"),
    ("break-savepoint", _by_notify, "calls failed"),
    ("hang-in-core", _by_first, "took longer than their budget"),
    ("raise", _by_first, "calls failed"),
    ("break-transaction", _by_first, "calls failed"),
    ("raise", _by_service, "calls failed"),
    ("raise", _by_event, "calls failed"),
    ("hang", _by_event, "took longer than their budget"),
    ("raise", _by_job, "calls failed"),
    ("hang", _by_job, "took longer than their budget"),
]


@pytest.mark.parametrize(
    ("does", "how", "why"), _WRONGS, ids=[f"{one[0]}{one[1].__name__}" for one in _WRONGS]
)
async def test_only_there(
    kit: TestKit,
    eventually: Any,
    does: str,
    how: Callable[[Scene], Awaitable[None]],
    why: str,
) -> None:
    """What keeps doing wrong is switched off for that tenant alone, until it is released."""
    async with _scene(kit, does) as scene:
        with capture_logs() as logs:

            async def in_quarantine() -> bool:
                if scene.state == "enabled":
                    await how(scene)
                return scene.state == "quarantined"

            await eventually(in_quarantine)
        (told,) = [one for one in logs if one["event"] == "plugin_quarantined"]
        assert (scene.bad.code, "rogue", scene.row.reason) == (
            told["tenant"],
            told["plugin"],
            told["reason"],
        )
        assert why in scene.row.reason
        await _others_go_on(scene)
        pool = kit.installation.cell(scene.bad).engine.pool
        await eventually(lambda: pool.checkedout() == 0)

        await enable_plugins(kit.installation, scene.bad.code, {"rogue": {}})
        assert ("enabled", None) == (scene.state, scene.row.reason)
        assert 200 == (await scene.at_bad.get("/v1/rogue")).status_code


async def test_on_each_database(each_kit: TestKit, eventually: Any) -> None:
    """The application's own login suffices to quarantine, and the owner's to release."""
    async with _scene(each_kit, "hang-in-core") as scene:
        await _by_notify(scene)
        await _by_notify(scene)
        await eventually(lambda: scene.state == "quarantined")
        await _others_go_on(scene)
        await release_plugin(each_kit.installation, scene.bad.code, "rogue")
        assert "enabled" == scene.state


async def _others_go_on(scene: Scene) -> None:
    """The tenant's other plugins, the other tenant, and what the plugin took part in."""
    refused = await scene.at_bad.get("/v1/rogue")
    assert (503, "plugin-quarantined") == (refused.status_code, refused.json()["code"])
    assert 200 == (await scene.at_bad.get("/v1/notes")).status_code
    assert 200 == (await scene.at_good.get("/v1/rogue")).status_code
    plugins = scene.now(scene.bad).plugins
    assert {"enabled"} == {plugins[one].state for one in ("kernel", "notes", "echo")}
    async with scene.journey(scene.bad) as uow:
        await uow.call(note_read, note_id="n")
        assert await uow.call(title_of, body="x") is None
    async with scene.journey(scene.good) as uow:
        assert "rogue's title" == await uow.call(title_of, body="x")


async def test_refusals_are_no_failures(kit: TestKit) -> None:
    """A Problem is raised on purpose, however often."""
    async with _scene(kit, "refuse") as scene:
        answers = [await scene.at_bad.get("/v1/rogue") for _ in range(8)]
        assert {409} == {one.status_code for one in answers}
        async with scene.journey(scene.bad) as uow:
            for _ in range(8):
                with pytest.raises(Conflict):
                    await rogue_word(uow)
        counts = kit.installation.meters.of(scene.bad.code, "rogue").recent()
        assert (True, 0) == (counts.calls > 15, counts.failures)
        assert "enabled" == scene.state


async def test_an_event_that_is_tried_again_counts_once(kit: TestKit) -> None:
    """One event that a plugin can't handle, tried again and again, is no reason."""
    async with _scene(kit, "raise") as scene:
        async with scene.journey(scene.bad) as uow:
            note = await store.write_note(uow, "x")
        envelope = await _outbox(kit, scene.bad)
        for _ in range(6):
            with contextlib.suppress(Exception):
                await kit.deliver(scene.bad)
            await _put_back(kit, scene.bad, envelope)
        assert 1 == round(kit.installation.meters.of(scene.bad.code, "rogue").recent().failures)
        assert "enabled" == scene.state
        async with scene.journey(scene.bad) as uow:
            assert [note.id] == await store.traces(uow, "index")


async def _outbox(kit: TestKit, tenant: Tenant) -> bytes:
    async with kit.installation.cell(tenant).owner() as owner:
        payload: bytes = await owner.fetchval(
            "SELECT payload FROM pss.outbox "
            "WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1",
            tenant.code,
        )
    return payload


async def _put_back(kit: TestKit, tenant: Tenant, payload: bytes) -> None:
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            "INSERT INTO pss.outbox (queue, payload) VALUES ('events', $1)",
            payload,
        )


async def test_hooks_that_can_do_without(kit: TestKit) -> None:
    """A pipeline goes on where it is declared optional; else the caller learns who is missing."""
    async with _scene(kit, "well") as scene:
        await scene.quarantine()
        async with scene.journey(scene.bad) as uow:
            assert "x" == await uow.call(decorated, text="x")
            with pytest.raises(PluginQuarantined, match="'rogue'") as caught:
                await uow.call(polished, body="x", note_id="n")
            assert ("plugin-quarantined", "rogue") == (caught.value.code, caught.value.plugin)
            with pytest.raises(PluginQuarantined, match="'rogue'"):
                await rogue_word(uow)
        async with scene.journey(scene.good) as uow:
            assert "~x~" == await uow.call(decorated, text="x")
            assert "x.?!" == await uow.call(polished, body="x", note_id="n")


async def test_the_caller_is_not_blamed(kit: TestKit) -> None:
    """What a quarantined plugin makes fail in others does not count against them."""
    async with _scene(kit, "well") as scene:
        await scene.quarantine()
        async with kit.http(scene.bad, ["*"]) as staff:
            note = (await staff.post("/v1/notes", json={"body": "x"})).json()
            for _ in range(6):
                answer = await staff.get(f"/v1/notes/{note['id']}")
                assert (503, "plugin-quarantined") == (answer.status_code, answer.json()["code"])
        assert "enabled" == scene.now(scene.bad).plugins["notes"].state


async def test_events_wait(each_kit: TestKit) -> None:
    """The others have theirs at once; the plugin has its own after it is released, once."""
    async with _scene(each_kit, "well") as scene:
        await scene.quarantine()
        for _ in range(3):
            async with scene.journey(scene.bad) as uow:
                await store.write_note(uow, "x")
        assert 3 == await each_kit.deliver(scene.bad, times=2)
        assert (3, 3, 0) == await _heard(scene)
        assert 3 == await _waiting(scene)
        await release_plugin(each_kit.installation, scene.bad.code, "rogue")
        assert 3 == await each_kit.deliver(scene.bad, times=2)
        assert (3, 3, 3) == await _heard(scene)
        assert 0 == await _waiting(scene)


async def test_events_wait_while_it_is_enabled(kit: TestKit) -> None:
    """What comes while a plugin's tables are made is for it, too."""
    async with _scene(kit, "well") as scene:
        async with kit.installation.cell(scene.bad).owner() as owner:
            await owner.execute(
                "UPDATE pss.tenant_plugin SET state = 'enabling' "
                "WHERE tenant = $1 AND plugin = 'rogue'",
                scene.bad.code,
            )
        await kit.installation.directory.refresh()
        async with scene.journey(scene.bad) as uow:
            await store.write_note(uow, "x")
        await kit.deliver(scene.bad)
        assert (1, 1, 0) == await _heard(scene)
        await enable_plugins(kit.installation, scene.bad.code, {"rogue": None})
        await kit.deliver(scene.bad)
        assert (1, 1, 1) == await _heard(scene)


async def test_disabled_out_of_quarantine(kit: TestKit) -> None:
    """What waited is given to it still; what comes after it was disabled is not."""
    async with _scene(kit, "well") as scene:
        await scene.quarantine()
        async with scene.journey(scene.bad) as uow:
            await store.write_note(uow, "before")
        await kit.deliver(scene.bad)
        await disable_plugin(kit.installation, scene.bad.code, "rogue")
        async with scene.journey(scene.bad) as uow:
            await store.write_note(uow, "after")
        await kit.deliver(scene.bad)
        assert (2, 2, 1) == await _heard(scene)
        assert 0 == await _waiting(scene)


async def test_jobs_pause(each_kit: TestKit, eventually: Any) -> None:
    """None of its jobs runs meanwhile, and the others' do."""
    async with _scene(each_kit, "well") as scene:
        await scene.quarantine()
        stop = asyncio.Event()
        await _run_jobs_now(each_kit, scene.bad)
        task = asyncio.create_task(run_worker(each_kit.installation, stop))
        try:
            await eventually(lambda: _traces(scene, "tidy"))
        finally:
            stop.set()
            await task
        assert [] == await _traces(scene, "rogue job")


async def _run_jobs_now(kit: TestKit, tenant: Tenant) -> None:
    async with kit.installation.cell(tenant).owner() as owner:
        for plugin, name in (("rogue", "visit"), ("notes", "tidy")):
            await owner.execute(
                "INSERT INTO pss.job (tenant, plugin, name, next_run_at) "
                "VALUES ($1, $2, $3, now() - interval '1 second')",
                *(tenant.code, plugin, name),
            )


async def _traces(scene: Scene, who: str) -> list[str]:
    async with scene.journey(scene.bad) as uow:
        return await store.traces(uow, who)


async def _heard(scene: Scene) -> tuple[int, int, int]:
    """How many events each consumer has handled."""
    return (
        len(await _traces(scene, "index")),
        len(await _traces(scene, "copy")),
        len(await _traces(scene, "rogue heard")),
    )


async def _waiting(scene: Scene) -> int:
    (row,) = [
        one
        for one in await plugin_states(scene.kit.installation, scene.bad.code, every=True)
        if one.plugin == "rogue"
    ]
    return row.events_waiting


async def test_every_process_sees_it(
    each_kit: TestKit, with_rogue: Registry, eventually: Any
) -> None:
    """One process decides; the others see it, also one that starts later, and its release."""
    async with (
        _scene(each_kit, "raise") as scene,
        _beside(each_kit.installation, with_rogue) as other,
    ):
        beside = other.installation
        async with other.http(scene.bad) as there:
            for _ in range(2):
                await there.get("/v1/rogue")
            while scene.state == "enabled":
                await scene.at_bad.get("/v1/rogue")
                await asyncio.sleep(0)
            state = beside.directory.by_code

            async def seen() -> bool:
                return state(scene.bad.code).plugins["rogue"].state == "quarantined"

            await eventually(seen)
            async with _beside(each_kit.installation, with_rogue) as restarted:
                found = restarted.installation.directory.by_code(scene.bad.code).plugins["rogue"]
            assert ("quarantined", scene.row.reason) == (found.state, found.reason)

            await release_plugin(each_kit.installation, scene.bad.code, "rogue")
            await eventually(lambda: "rogue" in state(scene.bad.code).enabled)
            for _ in range(2):  # with the two of before it would be enough
                await there.get("/v1/rogue")
            await beside.breaker.stop()
        assert "enabled" == scene.state


async def test_who_may_quarantine(each_kit: TestKit) -> None:
    """The relay's role may, an enabled plugin only, and never the kernel; a tenant's may not."""
    tenant = await each_kit.make_tenant(plugins=["rogue"])
    sql = "SELECT pss.quarantine_plugin($1, $2, 'why')"
    engine = each_kit.installation.cell(tenant).relay_engine
    answers = []
    for plugin in ("kernel", "echo", "rogue", "rogue"):
        async with engine.begin() as connection:
            result = await connection.exec_driver_sql(sql, (tenant.code, plugin))
            answers.append(result.scalar_one())
    assert [False, False, True, False] == answers
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with each_kit.unit_of_work(tenant) as uow:
            await uow.hot(sql, tenant.code, "notes")
    async with engine.connect() as connection:
        with pytest.raises(Exception, match="permission denied"):
            await connection.exec_driver_sql("UPDATE pss.tenant_plugin SET state = 'enabled'")


async def test_release_what_is_not_there(kit: TestKit) -> None:
    """It says what the state is."""
    tenant = await kit.make_tenant(plugins=["rogue"])
    with pytest.raises(Conflict, match="it is enabled") as caught:
        await release_plugin(kit.installation, tenant.code, "rogue")
    assert "not-quarantined" == caught.value.code


async def test_a_share_of_the_pool(kit: TestKit, with_rogue: Registry) -> None:
    """One plugin at one tenant can't have all connections; the others have theirs meanwhile."""
    async with _scene(kit, "well") as scene:
        share = kit.installation.meters.limits.units
        assert _POOL // 4 == share
        holding = asyncio.Event()
        begun = asyncio.Semaphore(0)

        async def hold() -> None:
            async with kit.installation.unit_of_work(scene.bad, plugin="rogue"):
                begun.release()
                await holding.wait()

        tasks = [asyncio.create_task(hold()) for _ in range(3 * share)]
        try:
            for _ in range(share):
                await begun.acquire()
            meter = kit.installation.meters.of(scene.bad.code, "rogue")
            assert share == meter.open_units
            assert 200 == (await scene.at_bad.get("/v1/notes")).status_code
            assert 200 == (await scene.at_good.get("/v1/rogue")).status_code
        finally:
            holding.set()
            await asyncio.gather(*tasks)
        assert 0 == meter.open_units


async def test_waiting_too_long_for_a_share(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """After as long as one waits for a connection, it is a 503 that may be tried again."""
    monkeypatch.setattr("pss_kernel.resilience._meter._WAIT_SECONDS", 0.02)
    async with _scene(kit, "well") as scene, contextlib.AsyncExitStack() as held:
        for _ in range(kit.installation.meters.limits.units):
            await held.enter_async_context(kit.installation.unit_of_work(scene.bad, plugin="rogue"))
        answer = await scene.at_bad.get("/v1/rogue")
        assert (503, "plugin-busy", "1") == (
            answer.status_code,
            answer.json()["code"],
            answer.headers["retry-after"],
        )
        assert 0 == kit.installation.meters.of(scene.bad.code, "rogue").recent().failures


async def test_a_unit_left_open_is_undone(kit: TestKit) -> None:
    """Its connection goes back with nothing of it left, and its block can't commit later."""
    async with _scene(kit, "well") as scene:
        async with kit.installation.work(scene.bad, plugin="rogue") as work:
            left = work.begin()
            uow = await left.__aenter__()
            await store.leave_trace(uow, "left", "open")
            async with work.begin() as other:
                await store.leave_trace(other, "left", "closed")
        assert ["closed"] == await _traces(scene, "left")
        with pytest.raises(RuntimeError, match="rolled back"):
            await left.__aexit__(None, None, None)
        with pytest.raises(RuntimeError, match="has ended"):
            await work.begin().__aenter__()
        assert 1 == kit.installation.meters.of(scene.bad.code, "rogue").recent().leaks


async def test_more_units_than_there_can_be(kit: TestKit) -> None:
    """One that opens more than its share at once is told so, instead of waiting for itself."""
    tenant = await kit.make_tenant(plugins=["rogue"])
    async with (
        kit.installation.work(tenant, plugin="rogue") as work,
        contextlib.AsyncExitStack() as held,
    ):
        for _ in range(kit.installation.meters.limits.units):
            await held.enter_async_context(work.begin())
        with pytest.raises(PluginBusy) as caught:
            await work.begin().__aenter__()
    assert not caught.value.retryable


async def test_a_failure_that_was_swallowed(kit: TestKit) -> None:
    """A transaction in which a statement failed is not taken for committed."""
    tenant = await kit.make_tenant(plugins=["rogue"])

    async def go_on_regardless() -> None:
        async with kit.installation.unit_of_work(tenant, plugin="rogue") as uow:
            await store.leave_trace(uow, "swallowed", "x")
            with contextlib.suppress(asyncpg.PostgresError):
                await uow.hot("SELECT 1 / 0")

    with pytest.raises(TransactionFailed, match="of the plugin 'rogue' failed"):
        await go_on_regardless()
    async with kit.unit_of_work(tenant) as uow:
        assert [] == await store.traces(uow, "swallowed")


async def test_a_client_that_goes_away_counts_nothing(kit: TestKit) -> None:
    """Being cancelled from outside is not being too slow."""
    async with _scene(kit, "hang") as scene:
        for _ in range(4):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await scene.at_bad.get("/v1/rogue")
        counts = kit.installation.meters.of(scene.bad.code, "rogue").recent()
        assert (4, 0, 0) == (round(counts.calls), counts.timeouts, counts.failures)


async def test_the_database_is_not_the_plugins_fault(kit: TestKit) -> None:
    """What any plugin would be told by it is not counted: too long, deadlocked, not there."""
    tenant = await kit.make_tenant(plugins=["rogue"])

    async def sleep() -> None:
        async with (
            kit.installation.unit_of_work(tenant, plugin="rogue") as uow,
            Call(uow.installation, tenant, "rogue", 5.0),
        ):
            await uow.hot("SET LOCAL statement_timeout = '5ms'")
            await uow.hot("SELECT pg_sleep(5)")

    for _ in range(6):
        with pytest.raises(Unavailable):
            await sleep()
    counts = kit.installation.meters.of(tenant.code, "rogue").recent()
    assert (6, 0) == (round(counts.calls), counts.failures)


async def test_not_found_in_a_hook(kit: TestKit) -> None:
    """A Problem that a hook raises goes to the caller as it is."""
    async with _scene(kit, "refuse") as scene, scene.journey(scene.bad) as uow:
        with pytest.raises(Conflict, match="Not today"):
            await uow.call(title_of, body="x")
        with pytest.raises(NotFound):
            await store.read_note(uow, "nothing")
