"""What one plugin does wrong at one tenant stays there: quarantine and release."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from pss_kernel import Conflict
from pss_kernel.errors import PluginQuarantined, PluginTooSlow
from pss_kernel.hooks import HookFailed
from pss_kernel.persistence._binding import TransactionFailed
from pss_kernel.registry import Registry
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._plugin_states import release_plugin
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.contracts import note_read, polished, title_of
from pss_rogue.contracts import decorated, rogue_word
from pss_rogue.scene import Scene, beside, scene_of


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
    rogue_kit: TestKit,
    eventually: Any,
    does: str,
    how: Callable[[Scene], Awaitable[None]],
    why: str,
) -> None:
    """What keeps doing wrong is switched off for that tenant alone, until it is released."""
    async with scene_of(rogue_kit, does) as scene:
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
        pool = rogue_kit.installation.cell(scene.bad).engine.pool
        await eventually(lambda: pool.checkedout() == 0)

        await enable_plugins(rogue_kit.installation, scene.bad.code, {"rogue": {}})
        assert ("enabled", None) == (scene.state, scene.row.reason)
        assert 200 == (await scene.at_bad.get("/v1/rogue")).status_code


async def test_on_each_database(each_rogue_kit: TestKit, eventually: Any) -> None:
    """The application's own login suffices to quarantine, and the owner's to release."""
    async with scene_of(each_rogue_kit, "hang-in-core") as scene:
        await _by_notify(scene)
        await _by_notify(scene)
        await eventually(lambda: scene.state == "quarantined")
        await _others_go_on(scene)
        await release_plugin(each_rogue_kit.installation, scene.bad.code, "rogue")
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


async def test_refusals_are_no_failures(rogue_kit: TestKit) -> None:
    """A Problem is raised on purpose, however often."""
    async with scene_of(rogue_kit, "refuse") as scene:
        answers = [await scene.at_bad.get("/v1/rogue") for _ in range(8)]
        assert {409} == {one.status_code for one in answers}
        async with scene.journey(scene.bad) as uow:
            for _ in range(8):
                with pytest.raises(Conflict):
                    await rogue_word(uow)
        counts = rogue_kit.installation.meters.of(scene.bad.code, "rogue").recent()
        assert (True, 0) == (counts.calls > 15, counts.failures)
        assert "enabled" == scene.state


async def test_hooks_that_can_do_without(rogue_kit: TestKit) -> None:
    """A pipeline goes on where it is declared optional; else the caller learns who is missing."""
    async with scene_of(rogue_kit, "well") as scene:
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


async def test_the_caller_is_not_blamed(rogue_kit: TestKit) -> None:
    """What a quarantined plugin makes fail in others does not count against them."""
    async with scene_of(rogue_kit, "well") as scene:
        await scene.quarantine()
        async with rogue_kit.http(scene.bad, ["*"]) as staff:
            note = (await staff.post("/v1/notes", json={"body": "x"})).json()
            for _ in range(6):
                answer = await staff.get(f"/v1/notes/{note['id']}")
                assert (503, "plugin-quarantined") == (answer.status_code, answer.json()["code"])
        assert "enabled" == scene.now(scene.bad).plugins["notes"].state


async def test_every_process_sees_it(
    each_rogue_kit: TestKit, with_rogue: Registry, eventually: Any
) -> None:
    """One process decides; the others see it, also one that starts later, and its release."""
    async with (
        scene_of(each_rogue_kit, "raise") as scene,
        beside(each_rogue_kit.installation, with_rogue) as other,
    ):
        there_too = other.installation
        async with other.http(scene.bad) as there:
            for _ in range(2):
                await there.get("/v1/rogue")
            while scene.state == "enabled":
                await scene.at_bad.get("/v1/rogue")
                await asyncio.sleep(0)
            state = there_too.directory.by_code

            async def seen() -> bool:
                return state(scene.bad.code).plugins["rogue"].state == "quarantined"

            await eventually(seen)
            async with beside(each_rogue_kit.installation, with_rogue) as restarted:
                found = restarted.installation.directory.by_code(scene.bad.code).plugins["rogue"]
            assert ("quarantined", scene.row.reason) == (found.state, found.reason)

            await release_plugin(each_rogue_kit.installation, scene.bad.code, "rogue")
            await eventually(lambda: "rogue" in state(scene.bad.code).enabled)
            for _ in range(2):  # with the two of before it would be enough
                await there.get("/v1/rogue")
            await there_too.breaker.stop()
        assert "enabled" == scene.state


async def test_who_may_quarantine(each_rogue_kit: TestKit) -> None:
    """The relay's role may, an enabled plugin only, and never the kernel; a tenant's may not."""
    tenant = await each_rogue_kit.make_tenant(plugins=["rogue"])
    sql = "SELECT pss.quarantine_plugin($1, $2, 'why')"
    engine = each_rogue_kit.installation.cell(tenant).relay_engine
    answers = []
    for plugin in ("kernel", "echo", "rogue", "rogue"):
        async with engine.begin() as connection:
            result = await connection.exec_driver_sql(sql, (tenant.code, plugin))
            answers.append(result.scalar_one())
    assert [False, False, True, False] == answers
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with each_rogue_kit.unit_of_work(tenant) as uow:
            await uow.hot(sql, tenant.code, "notes")
    async with engine.connect() as connection:
        with pytest.raises(Exception, match="permission denied"):
            await connection.exec_driver_sql("UPDATE pss.tenant_plugin SET state = 'enabled'")


async def test_release_what_is_not_there(rogue_kit: TestKit) -> None:
    """It says what the state is."""
    tenant = await rogue_kit.make_tenant(plugins=["rogue"])
    with pytest.raises(Conflict, match="it is enabled") as caught:
        await release_plugin(rogue_kit.installation, tenant.code, "rogue")
    assert "not-quarantined" == caught.value.code
