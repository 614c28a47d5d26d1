"""Budgets: a share of the pool, units of work that are left open, and whose fault it is."""

from __future__ import annotations

import asyncio
import contextlib

import asyncpg
import pytest

from pss_kernel import Conflict, NotFound, Unavailable
from pss_kernel.errors import PluginBusy
from pss_kernel.persistence._binding import TransactionFailed, UnitOfWorkEnded
from pss_kernel.registry import Registry
from pss_kernel.resilience import Call
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.contracts import title_of
from pss_rogue.scene import scene_of, traces

_POOL = 24


async def test_a_share_of_the_pool(rogue_kit: TestKit, with_rogue: Registry) -> None:
    """One plugin at one tenant can't have all connections; the others have theirs meanwhile."""
    async with scene_of(rogue_kit, "well") as scene:
        share = rogue_kit.installation.meters.limits.units
        assert _POOL // 4 == share
        holding = asyncio.Event()
        begun = asyncio.Semaphore(0)

        async def hold() -> None:
            async with rogue_kit.installation.unit_of_work(scene.bad, plugin="rogue"):
                begun.release()
                await holding.wait()

        tasks = [asyncio.create_task(hold()) for _ in range(3 * share)]
        try:
            for _ in range(share):
                await begun.acquire()
            meter = rogue_kit.installation.meters.of(scene.bad.code, "rogue")
            assert share == meter.open_units
            assert 200 == (await scene.at_bad.get("/v1/notes")).status_code
            assert 200 == (await scene.at_good.get("/v1/rogue")).status_code
        finally:
            holding.set()
            await asyncio.gather(*tasks)
        assert 0 == meter.open_units


async def test_waiting_too_long_for_a_share(
    rogue_kit: TestKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After as long as one waits for a connection, it is a 503 that may be tried again."""
    monkeypatch.setattr("pss_kernel.resilience._meter._WAIT_SECONDS", 0.02)
    async with scene_of(rogue_kit, "well") as scene, contextlib.AsyncExitStack() as held:
        for _ in range(rogue_kit.installation.meters.limits.units):
            await held.enter_async_context(
                rogue_kit.installation.unit_of_work(scene.bad, plugin="rogue")
            )
        answer = await scene.at_bad.get("/v1/rogue")
        assert (503, "plugin-busy", "1") == (
            answer.status_code,
            answer.json()["code"],
            answer.headers["retry-after"],
        )
        assert 0 == rogue_kit.installation.meters.of(scene.bad.code, "rogue").recent().failures


async def test_a_unit_left_open_is_undone(rogue_kit: TestKit) -> None:
    """Its connection goes back with nothing of it left, and its block can't commit later."""
    async with scene_of(rogue_kit, "well") as scene:
        async with rogue_kit.installation.work(scene.bad, plugin="rogue") as work:
            left = work.begin()
            uow = await left.__aenter__()
            await store.leave_trace(uow, "left", "open")
            async with work.begin() as other:
                await store.leave_trace(other, "left", "closed")
        assert ["closed"] == await traces(scene, "left")
        with pytest.raises(UnitOfWorkEnded, match="rolled back"):
            await left.__aexit__(None, None, None)
        with pytest.raises(UnitOfWorkEnded):
            await work.begin().__aenter__()
        assert 1 == rogue_kit.installation.meters.of(scene.bad.code, "rogue").recent().leaks


async def test_more_units_than_there_can_be(rogue_kit: TestKit) -> None:
    """One that opens more than its share at once is told so, instead of waiting for itself."""
    tenant = await rogue_kit.make_tenant(plugins=["rogue"])
    async with (
        rogue_kit.installation.work(tenant, plugin="rogue") as work,
        contextlib.AsyncExitStack() as held,
    ):
        for _ in range(rogue_kit.installation.meters.limits.units):
            await held.enter_async_context(work.begin())
        with pytest.raises(PluginBusy) as caught:
            await work.begin().__aenter__()
    assert not caught.value.retryable


async def test_a_failure_that_was_swallowed(rogue_kit: TestKit) -> None:
    """A transaction in which a statement failed is not taken for committed."""
    tenant = await rogue_kit.make_tenant(plugins=["rogue"])

    async def go_on_regardless() -> None:
        async with rogue_kit.installation.unit_of_work(tenant, plugin="rogue") as uow:
            await store.leave_trace(uow, "swallowed", "x")
            with contextlib.suppress(asyncpg.PostgresError):
                await uow.hot("SELECT 1 / 0")

    with pytest.raises(TransactionFailed, match="of the plugin 'rogue' failed"):
        await go_on_regardless()
    async with rogue_kit.unit_of_work(tenant) as uow:
        assert [] == await store.traces(uow, "swallowed")


async def test_a_client_that_goes_away_counts_nothing(rogue_kit: TestKit) -> None:
    """Being cancelled from outside is not being too slow."""
    async with scene_of(rogue_kit, "hang") as scene:
        for _ in range(4):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await scene.at_bad.get("/v1/rogue")
        counts = rogue_kit.installation.meters.of(scene.bad.code, "rogue").recent()
        assert (4, 0, 0) == (round(counts.calls), counts.timeouts, counts.failures)


async def test_the_database_is_not_the_plugins_fault(rogue_kit: TestKit) -> None:
    """What any plugin would be told by it is not counted: too long, deadlocked, not there."""
    tenant = await rogue_kit.make_tenant(plugins=["rogue"])

    async def sleep() -> None:
        async with (
            rogue_kit.installation.unit_of_work(tenant, plugin="rogue") as uow,
            Call(uow.installation, tenant, "rogue", 5.0),
        ):
            await uow.hot("SET LOCAL statement_timeout = '5ms'")
            await uow.hot("SELECT pg_sleep(5)")

    for _ in range(6):
        with pytest.raises(Unavailable):
            await sleep()
    counts = rogue_kit.installation.meters.of(tenant.code, "rogue").recent()
    assert (6, 0) == (round(counts.calls), counts.failures)


async def test_not_found_in_a_hook(rogue_kit: TestKit) -> None:
    """A Problem that a hook raises goes to the caller as it is."""
    async with scene_of(rogue_kit, "refuse") as scene, scene.journey(scene.bad) as uow:
        with pytest.raises(Conflict, match="Not today"):
            await uow.call(title_of, body="x")
        with pytest.raises(NotFound):
            await store.read_note(uow, "nothing")


async def test_a_unit_begun_while_its_work_ends(rogue_kit: TestKit) -> None:
    """One that a task of the plugin's still waits for is not handed out afterwards."""
    tenant = await rogue_kit.make_tenant(plugins=["rogue"])
    installation = rogue_kit.installation
    async with contextlib.AsyncExitStack() as held:
        for _ in range(installation.meters.limits.units):
            await held.enter_async_context(installation.unit_of_work(tenant, plugin="rogue"))
        async with installation.work(tenant, plugin="rogue") as work:
            beginning = asyncio.create_task(work.begin().__aenter__())
            await asyncio.sleep(0)  # it stands in the queue now
    with pytest.raises(UnitOfWorkEnded):
        await beginning
    assert 0 == installation.meters.of(tenant.code, "rogue").open_units


async def test_a_broken_transaction_counts_once(rogue_kit: TestKit) -> None:
    """Also where the commit that finds out is made by the plugin's own call."""
    tenant = await rogue_kit.make_tenant(plugins=["rogue"])

    async def go_on_regardless() -> None:
        async with (
            rogue_kit.installation.work(tenant, plugin="rogue") as work,
            Call(rogue_kit.installation, tenant, "rogue", 5.0),
            work.begin() as uow,
        ):
            with contextlib.suppress(asyncpg.PostgresError):
                await uow.hot("SELECT 1 / 0")

    with pytest.raises(TransactionFailed):
        await go_on_regardless()
    counts = rogue_kit.installation.meters.of(tenant.code, "rogue").recent()
    assert (1, 1) == (round(counts.calls), round(counts.failures))
