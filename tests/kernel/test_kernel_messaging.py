"""Events reach each consumer once in effect, however often and by whatever way they come."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import aio_pika
import msgspec
import pytest
import pytest_asyncio
from faststream_outbox import ExponentialRetry
from sqlalchemy import text
from tenacity import AsyncRetrying, stop_after_attempt

from pss_kernel import Tenant, UnitOfWork
from pss_kernel.errors import TenantUnknown
from pss_kernel.ids import new_uuid7
from pss_kernel.installation import Installation
from pss_kernel.messaging import _relay
from pss_kernel.messaging._deliver import DeliveryFailed, deliver
from pss_kernel.messaging._envelope import Envelope
from pss_kernel.messaging._worker import run_worker
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.contracts import NoteErased

Worker = Callable[[], AbstractAsyncContextManager[None]]


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(kit: TestKit) -> Tenant:
    """A fresh tenant with both plugins."""
    return await kit.make_tenant(plugins=["echo"])


@asynccontextmanager
async def _working(installation: Installation) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_worker(installation, stop))
    try:
        yield
    finally:
        stop.set()
        await task


@pytest.fixture(params=["in place", "rabbitmq"])
def relaying(request: pytest.FixtureRequest, installation: Installation) -> Installation:
    """The installation without a broker, and with RabbitMQ."""
    if request.param == "in place":
        return installation
    config = msgspec.structs.replace(
        installation.config, amqp_url=request.getfixturevalue("amqp_url")
    )
    beside = Installation(config, installation.registry, installation.cells)
    beside.directory = installation.directory
    return beside


def _envelope(tenant: Tenant, note_id: str, kind: str = "notes.note-written") -> Envelope:
    return Envelope(
        id=UUID(int=new_uuid7()),
        type=kind,
        version=1,
        tenant=tenant.code,
        stream=note_id,
        stream_version=1,
        occurred_at=datetime.now(UTC),
        correlation_id="cor_test",
        actor="system",
        data={"note_id": note_id},
    )


async def _traces(kit: TestKit, tenant: Tenant, who: str) -> list[str]:
    async with kit.unit_of_work(tenant) as uow:
        return await store.traces(uow, who)


class TestDelivery:
    """Giving one envelope to its consumers."""

    async def test_exactly_once_in_effect(self, kit: TestKit, tenant: Tenant) -> None:
        """The same envelope again, also at the same time, has no second effect."""
        envelope = _envelope(tenant, "n1")
        await deliver(kit.installation, envelope)
        await asyncio.gather(*(deliver(kit.installation, envelope) for _ in range(4)))
        assert ["n1"] == await _traces(kit, tenant, "copy")
        assert ["n1"] == await _traces(kit, tenant, "index")

    async def test_one_failing_consumer(
        self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
    ) -> None:
        """Its own effects are undone; the others' stay, and are not repeated later."""

        async def fail(*_: Any) -> None:
            raise ZeroDivisionError

        scripts["copying"] = fail
        envelope = _envelope(tenant, "n1")
        with pytest.raises(DeliveryFailed, match=r"echo\.copy_note"):
            await deliver(kit.installation, envelope)
        assert [] == await _traces(kit, tenant, "copy")
        scripts.clear()
        await deliver(kit.installation, envelope)
        assert (["n1"], ["n1"]) == (
            await _traces(kit, tenant, "copy"),
            await _traces(kit, tenant, "index"),
        )

    async def test_a_consumer_with_units_of_its_own(
        self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
    ) -> None:
        """One that takes ``work`` is repeated until it succeeds, then no more."""

        async def fail(*_: Any) -> None:
            raise ZeroDivisionError

        scripts["archiving"] = fail
        envelope = _envelope(tenant, "n1", "notes.note-erased")
        with pytest.raises(DeliveryFailed):
            await deliver(kit.installation, envelope)
        scripts.clear()
        for _ in range(2):
            await deliver(kit.installation, envelope)
        assert ["n1", "n1"] == await _traces(kit, tenant, "archive")

    async def test_bound_to_the_events_tenant(
        self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
    ) -> None:
        """Tenant, actor, correlation and cause are the event's."""
        seen: list[dict[str, Any]] = []

        async def look(uow: UnitOfWork, _: object) -> None:
            seen.append(dict(uow.facts))

        scripts["copying"] = look
        envelope = _envelope(tenant, "n1")
        await deliver(kit.installation, envelope)
        expected = {
            "tenant": tenant.code,
            "actor": "system:echo.copy_note",
            "correlation_id": "cor_test",
            "causation_id": str(envelope.id),
        }
        assert [expected] == seen

    async def test_a_tenant_without_the_plugin(self, kit: TestKit) -> None:
        """Consumers of plugins that the tenant has not enabled are left out."""
        plain = await kit.make_tenant(plugins=["notes"])
        await deliver(kit.installation, _envelope(plain, "n1"))
        assert (["n1"], []) == (
            await _traces(kit, plain, "index"),
            await _traces(kit, plain, "copy"),
        )

    async def test_a_plugin_enabled_a_moment_ago(self, kit: TestKit) -> None:
        """A process that has not yet heard of it looks again before it drops the event."""
        fresh = await kit.make_tenant(plugins=["notes"])
        directory = kit.installation.directory
        stale = directory._snapshot, dict(directory._cells)
        await enable_plugins(kit.installation, fresh.code, {"echo": None})
        directory._snapshot, directory._cells = stale
        await deliver(kit.installation, _envelope(fresh, "n1"))
        assert ["n1"] == await _traces(kit, fresh, "copy")

    async def test_an_unknown_tenant(self, kit: TestKit, tenant: Tenant) -> None:
        """An event of a tenant that is gone fails, to be tried again and then put aside."""
        nobody = msgspec.structs.replace(_envelope(tenant, "n1"), tenant="nobody")
        with pytest.raises(DeliveryFailed):
            await deliver(kit.installation, nobody)
        with pytest.raises(TenantUnknown):
            kit.installation.directory.by_code("nobody")

    async def test_the_kits_deliver(
        self, kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
    ) -> None:
        """What handlers emit is delivered too; the outbox of that tenant is empty after."""

        async def erase(uow: UnitOfWork, event: Any) -> None:
            uow.emit(NoteErased(note_id=event.note_id), stream=event.note_id)

        scripts["copying"] = erase
        async with kit.unit_of_work(tenant) as uow:
            note = await store.write_note(uow, "x")
        assert 2 == await kit.deliver(tenant)
        assert [note.id] == await _traces(kit, tenant, "archive")
        assert 0 == await kit.deliver(tenant)
        async with kit.unit_of_work(tenant) as uow:
            rows = await uow.hot("SELECT event_id::text, causation_id FROM event ORDER BY position")
        assert rows[0]["event_id"] == rows[1]["causation_id"]


class TestRelay:
    """From the outbox to the consumers, by the worker itself."""

    async def test_from_commit_to_effect(
        self, kit: TestKit, tenant: Tenant, relaying: Installation, eventually: Any
    ) -> None:
        """What was committed before and while the worker runs arrives, once."""
        async with kit.unit_of_work(tenant) as uow:
            before = await store.write_note(uow, "before")
        async with _working(relaying):
            async with kit.unit_of_work(tenant) as uow:
                during = [await store.write_note(uow, "during") for _ in range(20)]
            wanted = sorted([before.id, *(note.id for note in during)])

            async def arrived() -> bool:
                return (
                    wanted
                    == sorted(await _traces(kit, tenant, "copy"))
                    == sorted(await _traces(kit, tenant, "index"))
                )

            await eventually(arrived)

    async def test_on_a_server(
        self, on_server: Installation, eventually: Any, scripts: dict[str, Any]
    ) -> None:
        """The roles of the application's own login suffice: relay, handlers, another try."""
        kit = TestKit(on_server)
        tenant = await kit.make_tenant(plugins=["echo"])
        failed = asyncio.Event()

        async def fail_once(*_: Any) -> None:
            if not failed.is_set():
                failed.set()
                raise ZeroDivisionError

        scripts["copying"] = fail_once
        async with _working(on_server):
            async with kit.unit_of_work(tenant) as uow:
                note = await store.write_note(uow, "x")

            async def arrived() -> bool:
                return [note.id] == await _traces(kit, tenant, "copy")

            await eventually(arrived)

    async def test_a_failing_handler_is_tried_again(
        self,
        kit: TestKit,
        tenant: Tenant,
        relaying: Installation,
        eventually: Any,
        scripts: dict[str, Any],
    ) -> None:
        """It fails twice and then succeeds: one effect, and the other consumer's only once."""
        tries = 0

        async def fail_twice(*_: Any) -> None:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise ZeroDivisionError

        scripts["copying"] = fail_twice
        async with kit.unit_of_work(tenant) as uow:
            note = await store.write_note(uow, "x")
        async with _working(relaying):

            async def arrived() -> bool:
                return [note.id] == await _traces(kit, tenant, "copy")

            await eventually(arrived)
        assert tries >= 3  # a broker may deliver once more
        assert [note.id] == await _traces(kit, tenant, "copy")
        assert [note.id] == await _traces(kit, tenant, "index")

    async def test_in_place_the_dead_rest_in_a_table(
        self,
        kit: TestKit,
        tenant: Tenant,
        eventually: Any,
        scripts: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """After the last try the message lies in ``pss.outbox_dead``, without personal data."""

        async def fail(*_: Any) -> None:
            raise ZeroDivisionError("Ada Lovelace")

        scripts["copying"] = fail
        retry = ExponentialRetry(initial_delay_seconds=0.01, max_attempts=2)
        monkeypatch.setattr(_relay, "_RETRY", retry)
        async with kit.unit_of_work(tenant) as uow:
            note = await store.write_note(uow, "x")
        dead = text(
            "SELECT last_exception FROM pss.outbox_dead "
            "WHERE convert_from(payload, 'UTF8')::jsonb ->> 'stream' = :stream"
        )

        async def resting() -> Any:
            async with kit.installation.database.relay_engine.connect() as connection:
                return (await connection.execute(dead, {"stream": note.id})).all()

        async with _working(kit.installation):
            ((said,),) = await eventually(resting)
        assert "DeliveryFailed" in said
        assert "Lovelace" not in said

    async def test_in_rabbitmq_the_dead_rest_in_a_queue(
        self,
        kit: TestKit,
        tenant: Tenant,
        installation: Installation,
        amqp_url: str,
        eventually: Any,
        scripts: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """After the last try the message lies in ``pss.dead``, ready for an operator."""

        async def fail(*_: Any) -> None:
            raise ZeroDivisionError

        scripts["copying"] = fail
        monkeypatch.setattr(
            _relay, "_attempts", lambda: AsyncRetrying(stop=stop_after_attempt(2), reraise=True)
        )
        config = msgspec.structs.replace(installation.config, amqp_url=amqp_url)
        beside = Installation(config, installation.registry, installation.cells)
        beside.directory = installation.directory
        connection = await aio_pika.connect(amqp_url)
        async with connection, _working(beside):
            async with kit.unit_of_work(tenant) as uow:
                note = await store.write_note(uow, "x")
            channel = await connection.channel()

            async def resting() -> Any:
                queue = await channel.declare_queue("pss.dead", durable=True, passive=False)
                message = await queue.get(no_ack=True, fail=False)
                found = message and msgspec.json.decode(message.body, type=Envelope)
                return found and found.stream == note.id  # others' may rest there too

            assert await eventually(resting)

    async def test_a_killed_consumer(
        self, kit: TestKit, tenant: Tenant, relaying: Installation, eventually: Any
    ) -> None:
        """A worker killed in the middle of an event: the next one has it, with one effect."""
        async with kit.unit_of_work(tenant) as uow:
            note = await store.write_note(uow, "x")
        config = relaying.config
        await _take_and_kill(str(config.data_dir), config.amqp_url or "")
        assert [] == await _traces(kit, tenant, "copy")
        if not config.amqp_url:  # a minute later: the dead worker's lease has ended
            async with relaying.database.relay_engine.begin() as connection:
                await connection.exec_driver_sql(
                    "UPDATE pss.outbox SET acquired_at = acquired_at - interval '61 seconds'"
                )
        async with _working(relaying):

            async def arrived() -> bool:
                return [note.id] == await _traces(kit, tenant, "copy")

            await eventually(arrived)
        assert [note.id] == await _traces(kit, tenant, "index")


async def _take_and_kill(folder: str, amqp_url: str) -> None:
    """Start a worker that takes an event and never finishes it, and kill it when it has."""
    script = Path(__file__).with_name("hanging_worker.py")
    worker = subprocess.Popen(  # noqa: ASYNC220 - starting it takes no time
        [sys.executable, str(script), folder, amqp_url, "copying"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with closing(worker.stdout) as said:
            for expected in ("open\n", "taken\n"):
                assert expected == await asyncio.wait_for(asyncio.to_thread(said.readline), 30)
    finally:
        worker.kill()
        worker.wait()
