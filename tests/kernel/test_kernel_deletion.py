"""Deleting a tenant: a waiting time, the way back, and the proof that nothing remains."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy.engine import make_url

from pss_kernel.config import CellConfig, Config
from pss_kernel.errors import Conflict, Gone, Invalid, TenantUnknown
from pss_kernel.installation import Installation, open_installation
from pss_kernel.leaving import _delete
from pss_kernel.leaving._broker import messages_of
from pss_kernel.leaving._delete import (
    drop_due,
    drop_tenant,
    due_tenants,
    restore_tenant,
    schedule_deletion,
)
from pss_kernel.leaving._import import import_tenant
from pss_kernel.leaving._purge import purge_plugin
from pss_kernel.leaving._remains import kept_exports, remains_of
from pss_kernel.leaving._verify import faults_of, read_manifest
from pss_kernel.messaging._jobs import JobRunner
from pss_kernel.messaging._worker import run_worker
from pss_kernel.persistence._database import connect_arguments
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._enablement import disable_plugin, enable_plugins
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit
from pss_notes import store

_WEEK = timedelta(days=7)


async def _living(kit: TestKit) -> Tenant:
    """A tenant with something in each place: rows, an event that waits, a dead one, key, job."""
    tenant = await kit.make_tenant(plugins=["notes", "echo"])
    async with kit.unit_of_work(tenant) as uow:
        await store.write_note(uow, "here")
    await kit.api_key(tenant, ["*"])
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            "INSERT INTO pss.outbox_dead (original_id, queue, payload, deliveries_count, "
            "created_at, failure_reason) SELECT id, queue, payload, 12, now(), 'x' FROM pss.outbox "
            "WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1",
            tenant.code,
        )
        await owner.execute(
            "INSERT INTO pss.job (tenant, plugin, name, next_run_at) "
            "VALUES ($1, 'notes', 'x', now())",
            tenant.code,
        )
        await owner.execute(
            "INSERT INTO pss.tenant_traffic VALUES ($1, now(), 1, 0, '{}')", tenant.code
        )
        await owner.execute(
            "INSERT INTO pss.event_waiting (tenant, plugin, event_id, event_type, payload, "
            "occurred_at) SELECT $1, 'notes', gen_random_uuid(), 'x', payload, now() "
            "FROM pss.outbox WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1",
            tenant.code,
        )
        await owner.execute(
            "INSERT INTO pss.tenant_file (tenant, plugin, name, digest) "
            "VALUES ($1, 'notes', 'x', '')",
            tenant.code,
        )
    return tenant


async def _remaining(installation: Installation, code: str) -> dict[str, int]:
    found = await remains_of(installation, code)
    return {one.place: one.count for one in found if one.count}


async def test_what_is_looked_at(either: TestKit) -> None:
    """A living tenant is found in every place that it is in."""
    tenant = await _living(either)
    assert {
        f"schema {tenant.schema}": 1,
        "database roles": 1,
        "rows of pss.tenant": 1,
        "rows of pss.tenant_plugin": 4,
        "rows of pss.tenant_file": 1,
        "rows of pss.api_key": 1,
        "rows of pss.job": 1,
        "rows of pss.event_waiting": 1,
        "rows of pss.tenant_traffic": 1,
        "rows of pss.placement": 1,
        "events in pss.outbox": 1,
        "events in pss.outbox_dead": 1,
    } == await _remaining(either.installation, tenant.code)


async def test_nothing_remains(either: TestKit) -> None:
    """Dropped, it is nowhere, its export is whole, and others are untouched."""
    tenant, other = [await _living(either) for _ in range(2)]
    before = await _remaining(either.installation, other.code)
    await schedule_deletion(either.installation, tenant.code, timedelta())
    place = await drop_tenant(either.installation, tenant.code)
    assert {} == await _remaining(either.installation, tenant.code)
    assert before == await _remaining(either.installation, other.code)
    assert place is not None
    assert [place] == kept_exports(either.installation, tenant.code)
    manifest = read_manifest(place)
    assert [] == faults_of(place, manifest)
    with pytest.raises(TenantUnknown):
        either.installation.directory.by_code(tenant.code)
    assert await drop_tenant(either.installation, tenant.code) is None  # again: nothing to do
    arrived = await import_tenant(either.installation, place, manifest)
    assert 2 == await either.deliver(arrived)


async def test_without_an_export(either: TestKit) -> None:
    """Where no export is wanted, none is made."""
    tenant = await _living(either)
    await schedule_deletion(either.installation, tenant.code, timedelta(), export=False)
    assert await drop_tenant(either.installation, tenant.code) is None
    assert ({}, []) == (
        await _remaining(either.installation, tenant.code),
        kept_exports(either.installation, tenant.code),
    )


async def test_served_no_more(either: TestKit) -> None:
    """From then on requests are answered 410, also of its guests and of its own page."""
    tenant = await _living(either)
    async with either.http(tenant, ["*"]) as http:
        assert 200 == (await http.get("/v1/notes")).status_code
        due = await schedule_deletion(either.installation, tenant.code, _WEEK)
        for path in ("/v1/notes", "/v1/tenant"):
            answer = await http.get(path)
            assert (410, "tenant-deleting") == (answer.status_code, answer.json()["code"])
    now = either.installation.directory.by_code(tenant.code)
    assert ("deleting", due) == (now.placement, now.due_at)
    assert _WEEK - timedelta(minutes=5) < due - datetime.now(UTC) <= _WEEK
    with pytest.raises(Gone, match="no longer served"):
        async with either.unit_of_work(now):
            pass
    with pytest.raises(Conflict, match="is being deleted"):
        await enable_plugins(either.installation, tenant.code, {"notes": {"most": 1}})
    await restore_tenant(either.installation, tenant.code)


async def test_events_and_jobs_wait(
    kit: TestKit, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile events are kept and not tried, and jobs don't run; taken back, all goes on."""
    tenant = await _living(kit)
    installation = kit.installation
    await schedule_deletion(installation, tenant.code, _WEEK)
    async with installation.cell(tenant).owner() as owner:
        waits = (
            "SELECT count(*) FROM pss.outbox WHERE next_attempt_at = 'infinity' "
            "AND convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1"
        )
        assert 1 == await owner.fetchval(waits, tenant.code)
        runner = JobRunner(installation)
        ran = []

        async def run(_installation: Any, tenant: Tenant, job: Any) -> None:
            ran.append((tenant.code, job.name))

        monkeypatch.setattr("pss_kernel.messaging._jobs.run_job", run)
        await owner.execute("DELETE FROM pss.job WHERE tenant = $1", tenant.code)
        await runner._register()
        await runner._run_one(tenant.code, "kernel", "forget_old_keys")
        jobs = "SELECT count(*) FROM pss.job WHERE tenant = $1"
        assert (0, []) == (await owner.fetchval(jobs, tenant.code), ran)
        await restore_tenant(installation, tenant.code)
        await restore_tenant(installation, tenant.code)  # again: nothing to do
        assert 0 == await owner.fetchval(waits, tenant.code)
        await runner._register()
        await runner._run_one(tenant.code, "kernel", "forget_old_keys")
        assert await owner.fetchval(jobs, tenant.code)
        assert [(tenant.code, "forget_old_keys")] == ran
    back = installation.directory.by_code(tenant.code)
    assert ("active", None) == (back.placement, back.due_at)
    assert 2 == await kit.deliver(back)


async def test_an_event_in_hand(kit: TestKit, eventually: Any) -> None:
    """An event that a relay holds at that moment is waited for, and then kept too."""
    tenant = await _living(kit)
    mine = "convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1"
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            f"UPDATE pss.outbox SET acquired_token = gen_random_uuid(), acquired_at = now() "
            f"WHERE {mine}",
            tenant.code,
        )
        deleting = asyncio.create_task(schedule_deletion(kit.installation, tenant.code, _WEEK))
        await eventually(
            lambda: owner.fetchval(
                "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%acquired_token IS NOT NULL'"
            )
        )
        assert not deleting.done()
        await owner.execute(
            f"UPDATE pss.outbox SET acquired_token = NULL, acquired_at = NULL WHERE {mine}",
            tenant.code,
        )
        await deleting
        assert 1 == await owner.fetchval(
            f"SELECT count(*) FROM pss.outbox WHERE next_attempt_at = 'infinity' AND {mine}",
            tenant.code,
        )


async def test_not_before_its_time(kit: TestKit) -> None:
    """What is not due is not dropped; what is, is, whoever asks for it."""
    soon, later, living = [await kit.make_tenant(plugins=["notes"]) for _ in range(3)]
    await schedule_deletion(kit.installation, later.code, _WEEK)
    for tenant in (later, living):
        with pytest.raises(Conflict, match="not to be dropped now"):
            await drop_tenant(kit.installation, tenant.code)
    await schedule_deletion(kit.installation, soon.code, timedelta(), export=False)
    assert soon.code in await due_tenants(kit.installation)
    assert later.code not in await due_tenants(kit.installation)
    assert soon.code in await drop_due(kit.installation)
    assert {} == await _remaining(kit.installation, soon.code)
    with pytest.raises(TenantUnknown):
        await restore_tenant(kit.installation, soon.code)
    moved = await schedule_deletion(kit.installation, later.code, 2 * _WEEK)
    assert moved - datetime.now(UTC) > _WEEK
    assert living.code == kit.installation.directory.by_code(living.code).code


async def test_one_that_fails(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that can't be dropped is told and stops no other one; a worker goes on with it."""
    first, second = [await kit.make_tenant(plugins=["notes"]) for _ in range(2)]
    for tenant in (first, second):
        await schedule_deletion(kit.installation, tenant.code, timedelta(), export=False)
    whole = _delete.drop_everywhere

    async def fail(installation: Installation, code: str) -> None:
        if code == first.code:
            raise Conflict("It can't be.", code="x")
        await whole(installation, code)

    with monkeypatch.context() as patched:
        patched.setattr(_delete, "drop_everywhere", fail)
        with pytest.raises(Conflict, match="It can't be"):
            await drop_due(kit.installation)
    assert {} == await _remaining(kit.installation, second.code)
    assert [first.code] == await due_tenants(kit.installation)


async def test_the_worker(kit: TestKit, eventually: Any) -> None:
    """A worker drops what is due."""
    tenant = await kit.make_tenant(plugins=["notes"])
    await schedule_deletion(kit.installation, tenant.code, timedelta(), export=False)
    stop = asyncio.Event()
    worker = asyncio.create_task(run_worker(kit.installation, stop))

    async def gone() -> bool:
        return not await _remaining(kit.installation, tenant.code)

    await eventually(gone)
    stop.set()
    await worker


async def test_nobody(kit: TestKit) -> None:
    """A code that nobody has is told."""
    for act in (restore_tenant(kit.installation, "nobody"),
                schedule_deletion(kit.installation, "nobody", _WEEK)):  # fmt: skip
        with pytest.raises(TenantUnknown, match="There is no tenant 'nobody'"):
            await act
    assert {} == await _remaining(kit.installation, "nobody")


@pytest.mark.parametrize("step", ["export_tenant", "drop_everywhere", "messages_of"])
async def test_half_way(either: TestKit, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ended before or after any step, the same again finishes it, with one export."""
    tenant = await _living(either)
    installation = either.installation
    done = getattr(_delete, step)

    async def before(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    async def after(*given: Any, **named: Any) -> None:
        await done(*given, **named)
        raise KeyboardInterrupt

    await schedule_deletion(installation, tenant.code, timedelta())
    for ending in (before, after):
        with monkeypatch.context() as patched:
            patched.setattr(_delete, step, ending)
            with pytest.raises(KeyboardInterrupt):
                await drop_tenant(installation, tenant.code)
    await schedule_deletion(installation, tenant.code, timedelta())
    place = await drop_tenant(installation, tenant.code)
    assert {} == await _remaining(installation, tenant.code)
    assert place is not None
    assert [place] == kept_exports(installation, tenant.code)
    assert [] == faults_of(place, read_manifest(place))


async def test_no_way_back(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its tables have gone, taking it back is refused: there is its export."""
    tenant = await _living(kit)
    await schedule_deletion(kit.installation, tenant.code, timedelta())

    async def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_delete, "messages_of", stop)
        with pytest.raises(KeyboardInterrupt):
            await drop_tenant(kit.installation, tenant.code)
    with pytest.raises(Conflict, match="dropped already") as caught:
        await restore_tenant(kit.installation, tenant.code)
    assert "tenant-dropped" == caught.value.code
    await drop_tenant(kit.installation, tenant.code)


async def test_one_at_a_time(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one drops or imports a tenant, nobody else restores it under their hands."""
    tenant = await _living(kit)
    await schedule_deletion(kit.installation, tenant.code, _WEEK)
    monkeypatch.setattr("pss_kernel.leaving._alone._WAIT", "10ms")
    async with kit.installation.database.owner() as owner, owner.transaction():
        await owner.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('leaving ' || $1, 0))", tenant.code
        )
        with pytest.raises(Conflict, match="at this moment") as caught:
            await restore_tenant(kit.installation, tenant.code)
        assert ("tenant-busy", True) == (caught.value.code, caught.value.retryable)


async def test_a_half_made_import(kit: TestKit) -> None:
    """What an import has left, when nobody wants it any more, is deleted the same way."""
    async with kit.installation.database.owner() as owner:
        await owner.execute("INSERT INTO pss.placement VALUES ('halfmade', 'default', 'importing')")
    await schedule_deletion(kit.installation, "halfmade", _WEEK)
    assert await drop_tenant(kit.installation, "halfmade") is None
    assert {} == await _remaining(kit.installation, "halfmade")


async def test_files_and_keys_of_the_cache(kit: TestKit, redis_url: str, folder: Path) -> None:
    """A file that is called after it, and keys that begin with its code, are found."""
    installation = Installation(
        msgspec.structs.replace(kit.installation.config, redis_url=redis_url),
        kit.installation.registry,
        kit.installation.cells,
    )
    client = Redis.from_url(redis_url)
    left = folder / "somewhere_left"
    try:
        await client.set("pss:somewhere:x", "1", ex=60)
        await client.set("pss:somewhere_else:x", "1", ex=60)
        left.with_name("somewhere.log").touch()
        left.touch()
        assert {"cache keys pss:somewhere:*": 1, "files in the data folder": 1} == await _remaining(
            installation, "somewhere"
        )
    finally:
        left.unlink()
        left.with_name("somewhere.log").unlink()
        await client.delete("pss:somewhere:x", "pss:somewhere_else:x")
        await client.aclose()


async def test_messages_of_the_broker(kit: TestKit, amqp_url: str) -> None:
    """Its messages in RabbitMQ are counted, and thrown away; those of others keep their order."""
    installation = Installation(
        msgspec.structs.replace(kit.installation.config, amqp_url=amqp_url),
        kit.installation.registry,
        kit.installation.cells,
    )
    codes = ["gone", "here_1", "gone", "here_2", "here_3", "gone"]
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        dead = await channel.declare_queue("pss.dead", durable=True)
        await dead.purge()
        for code in codes:
            body = json.dumps({"tenant": code}).encode()
            await channel.default_exchange.publish(aio_pika.Message(body), "pss.dead")
        await channel.default_exchange.publish(aio_pika.Message(b"\xff"), "pss.dead")
        assert {"queue pss.dead": 3} == await _remaining(installation, "gone")
        assert 3 == (await messages_of(installation, "gone", remove=True))["pss.dead"]
        assert {} == await _remaining(installation, "gone")
        left = [await dead.get(no_ack=True) for _ in range(4)]
        assert [b"here_1", b"here_2", b"here_3"] == [
            json.loads(one.body)["tenant"].encode() for one in left[:3] if one
        ]
        await dead.delete(if_empty=False)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two_cells(folder: Path, registry: Registry) -> AsyncIterator[TestKit]:
    """An installation of two embedded clusters."""
    east = CellConfig(name="east", database_url="embedded")
    config = Config(data_dir=folder / "deletion", cells=(east,), pool_size=4)
    async with open_installation(config, registry) as opened:
        yield TestKit(opened)


async def test_in_each_cell(two_cells: TestKit) -> None:
    """A tenant of another cell goes from there; a cell that is not configured is not passed by."""
    installation = two_cells.installation
    await create_tenant(
        installation, "eastern", name="x", currency="EUR", time_zone="UTC", cell="east"
    )
    assert {"east"} == {
        one.cell
        for one in await remains_of(installation, "eastern")
        if one.count and not one.place.startswith("rows of pss.placement")
    }
    await schedule_deletion(installation, "eastern", timedelta())
    without = Installation(
        installation.config, installation.registry, {"default": installation.cells["default"]}
    )
    with pytest.raises(Invalid, match="not configured"):
        await drop_tenant(without, "eastern")
    await drop_tenant(installation, "eastern")
    assert {} == await _remaining(installation, "eastern")


@pytest_asyncio.fixture(loop_scope="session")
async def no_superuser(
    server_database: dict[str, Any], folder: Path, registry: Registry
) -> AsyncIterator[TestKit]:
    """An installation whose owner may create roles and owns its database, and no more."""
    url = make_url(server_database["database_url"])
    name, password = f"{url.database}_owned", secrets.token_hex(8)
    superuser = await asyncpg.connect(**connect_arguments(url))
    try:
        await superuser.execute(f"CREATE ROLE \"{name}\" LOGIN CREATEROLE PASSWORD '{password}'")
        await superuser.execute(f'CREATE DATABASE "{name}" OWNER "{name}" TEMPLATE template0')
        await superuser.execute(f"CREATE ROLE \"{name}_pss_app\" LOGIN PASSWORD '{password}'")
        owner = url.set(database=name, username=name, password=password)
        config = Config(
            data_dir=folder / name,
            pool_size=4,
            database_url=owner.render_as_string(hide_password=False),
            app_database_url=owner.set(username=f"{name}_pss_app").render_as_string(
                hide_password=False
            ),
            role_prefix=f"{name}_",
        )
        async with open_installation(config, registry) as opened:
            yield TestKit(opened)
    finally:
        await superuser.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        roles = await superuser.fetch(
            "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", name
        )
        for row in roles:
            await superuser.execute(f'DROP ROLE "{row["rolname"]}"')
        await superuser.close()


async def test_as_no_superuser(no_superuser: TestKit) -> None:
    """The whole way with an owner as in production: out, gone, nothing left, and back."""
    tenant = await _living(no_superuser)
    installation = no_superuser.installation
    await schedule_deletion(installation, tenant.code, timedelta())
    place = await drop_tenant(installation, tenant.code)
    assert place is not None
    assert {} == await _remaining(installation, tenant.code)
    arrived = await import_tenant(installation, place, read_manifest(place))
    assert 2 == await no_superuser.deliver(arrived)
    for name in ("echo", "notes"):
        await disable_plugin(installation, tenant.code, name)
        await purge_plugin(installation, tenant.code, name, None)
