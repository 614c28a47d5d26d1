"""Events and jobs of a plugin that is in quarantine: nothing is lost, nobody else waits."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from pss_kernel import Tenant
from pss_kernel.installation import Installation
from pss_kernel.messaging._worker import run_worker
from pss_kernel.tenancy._enablement import disable_plugin, enable_plugins
from pss_kernel.tenancy._plugin_states import release_plugin
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_rogue.scene import Scene, heard, scene_of, traces, waiting


async def test_an_event_that_is_tried_again_counts_once(rogue_kit: TestKit) -> None:
    """One event that a plugin can't handle, tried again and again, is no reason."""
    async with scene_of(rogue_kit, "raise") as scene:
        async with scene.journey(scene.bad) as uow:
            note = await store.write_note(uow, "x")
        envelope = await _outbox(rogue_kit, scene.bad)
        for _ in range(6):
            with contextlib.suppress(Exception):
                await rogue_kit.deliver(scene.bad)
            await _put_back(rogue_kit, scene.bad, envelope)
        assert 1 == round(
            rogue_kit.installation.meters.of(scene.bad.code, "rogue").recent().failures
        )
        assert "enabled" == scene.state
        async with scene.journey(scene.bad) as uow:
            assert [note.id] == await store.traces(uow, "index")


async def _outbox(rogue_kit: TestKit, tenant: Tenant) -> bytes:
    async with rogue_kit.installation.cell(tenant).owner() as owner:
        payload: bytes = await owner.fetchval(
            "SELECT payload FROM pss.outbox "
            "WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1",
            tenant.code,
        )
    return payload


async def _put_back(rogue_kit: TestKit, tenant: Tenant, payload: bytes) -> None:
    async with rogue_kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            "INSERT INTO pss.outbox (queue, payload) VALUES ('events', $1)",
            payload,
        )


async def test_events_wait(each_rogue_kit: TestKit) -> None:
    """The others have theirs at once; the plugin has its own after it is released, once."""
    async with scene_of(each_rogue_kit, "well") as scene:
        await scene.quarantine()
        for _ in range(3):
            async with scene.journey(scene.bad) as uow:
                await store.write_note(uow, "x")
        assert 3 == await each_rogue_kit.deliver(scene.bad, times=2)
        assert (3, 3, 0) == await heard(scene)
        assert 3 == await waiting(scene)
        await release_plugin(each_rogue_kit.installation, scene.bad.code, "rogue")
        assert 3 == await each_rogue_kit.deliver(scene.bad, times=2)
        assert (3, 3, 3) == await heard(scene)
        assert 0 == await waiting(scene)


async def test_events_wait_while_it_is_enabled(rogue_kit: TestKit) -> None:
    """What comes while a plugin's tables are made is for it, too."""
    async with scene_of(rogue_kit, "well") as scene:
        async with rogue_kit.installation.cell(scene.bad).owner() as owner:
            await owner.execute(
                "UPDATE pss.tenant_plugin SET state = 'enabling' "
                "WHERE tenant = $1 AND plugin = 'rogue'",
                scene.bad.code,
            )
        await rogue_kit.installation.directory.refresh()
        async with scene.journey(scene.bad) as uow:
            await store.write_note(uow, "x")
        await rogue_kit.deliver(scene.bad)
        assert (1, 1, 0) == await heard(scene)
        await enable_plugins(rogue_kit.installation, scene.bad.code, {"rogue": None})
        await rogue_kit.deliver(scene.bad)
        assert (1, 1, 1) == await heard(scene)


async def test_disabled_out_of_quarantine(rogue_kit: TestKit) -> None:
    """What waited is given to it still; what comes after it was disabled is not."""
    async with scene_of(rogue_kit, "well") as scene:
        await scene.quarantine()
        async with scene.journey(scene.bad) as uow:
            await store.write_note(uow, "before")
        await rogue_kit.deliver(scene.bad)
        await disable_plugin(rogue_kit.installation, scene.bad.code, "rogue")
        async with scene.journey(scene.bad) as uow:
            await store.write_note(uow, "after")
        await rogue_kit.deliver(scene.bad)
        assert (2, 2, 1) == await heard(scene)
        assert 0 == await waiting(scene)


async def test_jobs_pause(each_rogue_kit: TestKit, eventually: Any) -> None:
    """None of its jobs runs meanwhile, and the others' do."""
    async with scene_of(each_rogue_kit, "well") as scene:
        await scene.quarantine()
        await _run_jobs_now(each_rogue_kit, scene.bad)
        async with _working(each_rogue_kit.installation):
            await eventually(lambda: traces(scene, "tidy"))
        assert [] == await traces(scene, "rogue job")


async def _run_jobs_now(rogue_kit: TestKit, tenant: Tenant) -> None:
    async with rogue_kit.installation.cell(tenant).owner() as owner:
        for plugin, name in (("rogue", "visit"), ("notes", "tidy")):
            await owner.execute(
                "INSERT INTO pss.job (tenant, plugin, name, next_run_at) "
                "VALUES ($1, $2, $3, now() - interval '1 second')",
                *(tenant.code, plugin, name),
            )


@pytest.fixture(params=["in place", "rabbitmq"])
def broker(request: pytest.FixtureRequest) -> str | None:
    """No broker, and RabbitMQ."""
    return None if request.param == "in place" else request.getfixturevalue("amqp_url")


async def test_relayed_while_it_is_in_quarantine(
    rogue_kit: TestKit, eventually: Any, broker: str | None
) -> None:
    """The message is done for the others and is not tried again; the plugin has it afterwards."""
    installation = rogue_kit.installation
    config = msgspec.structs.replace(installation.config, amqp_url=broker)
    relaying = Installation(config, installation.registry, installation.cells)
    relaying.directory = installation.directory
    async with scene_of(rogue_kit, "well") as scene, _working(relaying):
        await scene.quarantine()
        async with scene.journey(scene.bad) as uow:
            await store.write_note(uow, "x")

        async def counts() -> tuple[tuple[int, int, int], int, int]:
            return await heard(scene), await waiting(scene), await _in_outbox(scene)

        async def waits() -> bool:
            return ((1, 1, 0), 1, 0) == await counts()

        async def arrived() -> bool:
            return ((1, 1, 1), 0, 0) == await counts()

        await eventually(waits)
        await release_plugin(installation, scene.bad.code, "rogue")
        await eventually(arrived)


@contextlib.asynccontextmanager
async def _working(installation: Installation) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(installation, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def _in_outbox(scene: Scene) -> int:
    """Messages of the tenant that are to be delivered, or that rest as dead ones."""
    async with scene.kit.installation.cell(scene.bad).owner() as owner:
        number: int = await owner.fetchval(
            "SELECT count(*) FROM (SELECT payload FROM pss.outbox UNION ALL "
            "SELECT payload FROM pss.outbox_dead) AS both_tables "
            "WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1",
            scene.bad.code,
        )
    return number
