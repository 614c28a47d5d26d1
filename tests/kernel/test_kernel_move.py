"""A tenant moves to another cell: everything arrives, nothing is lost, others do not notice."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import msgspec
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from pss_kernel.config import CellConfig, Config
from pss_kernel.errors import Conflict, Invalid, TenantMoving, TenantUnknown
from pss_kernel.installation import Installation, open_installation
from pss_kernel.messaging._envelope import Envelope
from pss_kernel.messaging._worker import run_worker
from pss_kernel.persistence._database import connect_arguments
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy import _move as moving
from pss_kernel.tenancy._contents import fingerprint, sequence_values, tables_of
from pss_kernel.tenancy._enablement import disable_plugin, enable_plugins
from pss_kernel.tenancy._move import abort_move, move_tenant
from pss_kernel.tenancy._origin import Origin, origin
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.contracts import NoteWritten
from pss_signing_in.people import make_person

pytestmark = pytest.mark.xdist_group("cells")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kit(folder: Path, registry: Registry) -> AsyncIterator[TestKit]:
    """An installation of two embedded clusters."""
    east = CellConfig(name="east", database_url="embedded")
    config = Config(data_dir=folder / "moving", cells=(east,), pool_size=4)
    async with open_installation(config, registry) as opened:
        yield TestKit(opened)


async def _tenant(kit: TestKit, code: str, *, notes: int = 3) -> Tenant:
    installation = kit.installation
    await create_tenant(installation, code, name=code, currency="EUR", time_zone="UTC")
    await enable_plugins(installation, code, {"echo": None})
    tenant = installation.directory.by_code(code)
    async with kit.unit_of_work(tenant) as uow:
        for number in range(notes):
            await store.write_note(uow, f"note {number}")
        await store.leave_trace(uow, "somebody", "was here")
    return installation.directory.by_code(code)


async def _contents(kit: TestKit, tenant: Tenant, cell: str) -> dict[str, Any]:
    """What a cell has of the tenant, comparable."""
    async with kit.installation.cells[cell].owner() as owner, owner.transaction():
        await owner.execute("SET LOCAL timezone = 'UTC'")
        found: dict[str, Any] = {
            table.name: await fingerprint(owner, tenant.schema, table)
            for table in await tables_of(owner, tenant.schema)
            if table.name != "audit_entry"  # says that it has moved
        }
        found["counted"] = await sequence_values(owner, tenant.schema) if found else {}
        return found


async def _rows(kit: TestKit, cell: str, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    async with kit.installation.cells[cell].owner() as owner:
        return [tuple(row) for row in await owner.fetch(query, *arguments)]


_LEFT = """
SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 't_' || $1)
     + (SELECT count(*) FROM pg_roles WHERE rolname = 't_' || $1)
     + (SELECT count(*) FROM pss.tenant WHERE code = $1)
     + (SELECT count(*) FROM pss.tenant_plugin WHERE tenant = $1)
     + (SELECT count(*) FROM pss.api_key WHERE tenant = $1)
     + (SELECT count(*) FROM pss.job WHERE tenant = $1)
     + (SELECT count(*) FROM pss.outbox WHERE convert_from(payload, 'UTF8') LIKE '%' || $1 || '%')
"""
_PLUGINS = """
SELECT plugin, state, version, revision, settings, since FROM pss.tenant_plugin
WHERE tenant = $1 ORDER BY 1
"""


async def test_everything_arrives(kit: TestKit) -> None:
    """Rows, counters, keys, plugins' states and settings are in the target, and only there."""
    tenant = await _tenant(kit, "wanderer")
    await enable_plugins(kit.installation, "wanderer", {"notes": {"greeting": "hi"}})
    await disable_plugin(kit.installation, "wanderer", "echo")
    key = await kit.api_key(tenant, ["*"])
    before = await _contents(kit, tenant, "default")
    plugins = await _rows(kit, "default", _PLUGINS, "wanderer")
    moved = await move_tenant(kit.installation, "wanderer", "east")
    assert moved is not None
    assert ("default", "east", 3) == (moved.source, moved.target, moved.events)
    trail = sum(table.rows for table in moved.tables if table.name == "audit_entry")
    assert 7 == moved.rows - trail  # three notes with their events, and a trace
    assert before == await _contents(kit, tenant, "east")
    assert plugins == await _rows(kit, "east", _PLUGINS, "wanderer")
    assert [(0,)] == await _rows(kit, "default", _LEFT, "wanderer")
    now = kit.installation.directory.by_code("wanderer")
    assert ("east", "active") == (now.cell, now.placement)
    async with kit.http(now) as http:
        headers = {"Authorization": f"Bearer {key}"}
        assert (
            201 == (await http.post("/v1/notes", json={"body": "x"}, headers=headers)).status_code
        )
    assert 4 == await kit.deliver(now)
    async with kit.unit_of_work(tenant) as uow:  # the snapshot of before finds its way, too
        assert 4 == len(await store.traces(uow, "index"))
    assert (await move_tenant(kit.installation, "wanderer", "east")) is None


async def test_the_trail_goes_along(kit: TestKit) -> None:
    """Its entries arrive as they were, and then say from where to where it moved, and who."""
    tenant = await _tenant(kit, "traced")
    trail = f"SELECT position, entry, digest FROM {tenant.schema}.audit_entry ORDER BY position"
    before = await _rows(kit, "default", trail)
    typed = origin.set(Origin("cli:somebody", "pss tenant move"))
    await move_tenant(kit.installation, "traced", "east")
    origin.reset(typed)
    *rest, (position, text, digest) = await _rows(kit, "east", trail)
    assert before == rest
    entry = msgspec.json.decode(text)
    assert {
        "position": len(before) + 1,
        "action": "tenant.moved",
        "actor": "cli:somebody",
        "source": "pss tenant move",
        "before": {"cell": "default"},
        "after": {"cell": "east"},
    }.items() <= entry.items()
    assert position == entry["position"]
    assert digest == hashlib.sha256(before[-1][2] + text.encode()).digest()


async def test_people_go_along(kit: TestKit) -> None:
    """Accounts, factors, roles and what was cut off arrive; still no plugin may read them."""
    tenant = await _tenant(kit, "peopled")
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            "INSERT INTO pss.role (tenant, name, grants) "
            """VALUES ('peopled', 'desk', '{"permissions": ["identity:audit-read"]}')"""
        )
    await kit.installation.directory.refresh()
    person = await make_person(kit, kit.installation.directory.by_code("peopled"), "desk")
    async with kit.http(tenant) as client:
        await person.enrol(client)
        await person.sign_in({"pwd", "otp", "mfa"})
        shown = await client.get("/v1/audit-entries", headers=person.headers)
        assert 200 == shown.status_code, shown.text
        await move_tenant(kit.installation, "peopled", "east")
        again = await client.get("/v1/audit-entries", headers=person.headers)
        assert 200 == again.status_code, again.text
        before = dict(person.headers)
        person.tenant = kit.installation.directory.by_code("peopled")
        step = await person.first_step()
        answer = await client.post(
            "/v1/sessions/second-factor",
            json={"step_token": step.step_token, "code": await person.unused_code()},
        )
        assert 201 == answer.status_code, answer.text
        ended = await client.delete("/v1/sessions/current", headers=before)
        assert 200 == ended.status_code, ended.text
        await kit.installation.directory.refresh()
        refused = await client.get("/v1/me", headers=before)
        assert (401, "session-ended") == (refused.status_code, refused.json()["code"])
    async with kit.unit_of_work(person.tenant) as uow:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with uow.savepoint():
                await uow.hot("SELECT email FROM account")


async def test_there_and_back(kit: TestKit) -> None:
    """A tenant that comes back finds nothing in its way, a kept copy included."""
    tenant = await _tenant(kit, "boomerang")
    await move_tenant(kit.installation, "boomerang", "east", keep_source=True)
    kept = await _contents(kit, tenant, "default")
    async with kit.unit_of_work(tenant) as uow:
        await store.write_note(uow, "written in the east")
    there = await _contents(kit, tenant, "east")
    assert kept != there
    moved = await move_tenant(kit.installation, "boomerang", "default")
    assert moved is not None
    assert there == await _contents(kit, tenant, "default")
    assert [(0,)] == await _rows(kit, "east", _LEFT, "boomerang")
    assert 4 == await kit.deliver(kit.installation.directory.by_code("boomerang"))


async def test_paused(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is copied: reads go on, changes hear "again in a moment", jobs and events wait."""
    tenant = await _tenant(kit, "paused")
    other = await _tenant(kit, "neighbour")
    seen: dict[str, Any] = {}

    async def look(*_: Any) -> list[Any]:
        now = kit.installation.directory.by_code("paused")
        async with kit.http(now, None) as http, kit.http(other, ["*"]) as beside:
            answer = await http.get("/v1/notes")
            seen["read"] = (answer.status_code, len(answer.json()["data"]))
            answer = await http.post("/v1/notes", json={"body": "x"})
            seen["guest"] = answer.status_code  # who may not do it hears that first
            seen["neighbour"] = (await beside.post("/v1/notes", json={"body": "x"})).status_code
        async with kit.http(now) as http:
            http.headers["Authorization"] = f"Bearer {key}"
            answer = await http.post("/v1/notes", json={"body": "x"})
            seen["write"] = (answer.status_code, answer.json()["code"], answer.json()["retryable"])
            seen["wait"] = answer.headers["retry-after"]
        with pytest.raises(TenantMoving):
            async with kit.unit_of_work(now):
                pass
        for change in (
            enable_plugins(kit.installation, "paused", {"echo": None}),
            disable_plugin(kit.installation, "paused", "echo"),
        ):
            with pytest.raises(TenantMoving):
                await change
        seen["jobs"] = await _rows(
            kit,
            "default",
            "SELECT count(*) FROM pss.job WHERE tenant = 'paused' AND leased_until < 'infinity'",
        )
        seen["events"] = await _rows(
            kit,
            "default",
            "SELECT count(*) FROM pss.outbox WHERE next_attempt_at < 'infinity'"
            " AND convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = 'paused'",
        )
        raise Conflict("Enough was seen.")

    key = await kit.api_key(tenant, ["*"])
    monkeypatch.setattr(moving, "copy_tables", look)
    with pytest.raises(Conflict, match="Enough was seen"):
        await move_tenant(kit.installation, "paused", "east")
    assert {
        "read": (200, 3),
        "guest": 401,
        "neighbour": 201,
        "write": (503, "tenant-moving", True),
        "wait": "1",
        "jobs": [(0,)],
        "events": [(0,)],
    } == seen
    # A move that fails lets the tenant go on where it was.
    now = kit.installation.directory.by_code("paused")
    assert ("default", "active") == (now.cell, now.placement)
    async with kit.unit_of_work(now) as uow:
        await store.write_note(uow, "again")
    assert 4 == await kit.deliver(now)
    monkeypatch.undo()
    moved = await move_tenant(kit.installation, "paused", "east")
    assert moved is not None


async def _late(installation: Installation, tenant: Tenant, what: str) -> None:
    async with installation.unit_of_work(tenant) as uow:
        if what == "a change":
            await store.write_note(uow, "too late")
        else:
            await store.traces(uow, "index")


@pytest.mark.parametrize("late", ["a change", "a look"])
async def test_too_late_for_the_source(kit: TestKit, late: str) -> None:
    """A process that has not heard of the move is stopped by the database, in the same words."""
    code = "late_a" if late == "a change" else "late_b"
    tenant = await _tenant(kit, code)
    config = kit.installation.config
    async with open_installation(config, kit.installation.registry) as second:
        old = second.directory.by_code(code)
        await second.directory.stop()  # it hears nothing any more
        moving_now = asyncio.create_task(move_tenant(kit.installation, code, "east"))
        await moving_now
        assert "default" == second.directory.current(old).cell
        with pytest.raises(TenantMoving):
            await _late(second, old, late)
        async with second.unit_of_work(old) as uow:  # now it has heard
            assert 3 == len(await uow.hot("SELECT 1 FROM note"))
    assert tenant.code == old.code


async def test_writers_are_waited_for(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What had begun to write before the pause is in the copy."""
    tenant = await _tenant(kit, "slow_writer")
    paused = asyncio.Event()
    given = moving.pause

    async def pause(move: Any) -> None:
        paused.set()
        await given(move)

    monkeypatch.setattr(moving, "pause", pause)
    async with kit.unit_of_work(tenant) as uow:
        note = await store.write_note(uow, "in the last moment")
        task = asyncio.create_task(move_tenant(kit.installation, "slow_writer", "east"))
        await paused.wait()
    await task
    async with kit.unit_of_work(tenant) as uow:
        assert "in the last moment" == (await store.read_note(uow, note.id)).body
        assert "east" == kit.installation.directory.by_code("slow_writer").cell


async def test_only_one_at_a_time(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second move of a tenant is refused while the first goes on; so is an abort."""
    await _tenant(kit, "contested")
    refused: list[str] = []

    async def look(_: Any) -> None:
        for again in (
            move_tenant(kit.installation, "contested", "east"),
            abort_move(kit.installation, "contested"),
        ):
            with pytest.raises(Conflict, match="is being moved by another process") as caught:
                await again
            refused.append(caught.value.code)

    monkeypatch.setattr(moving, "seal", look)
    await move_tenant(kit.installation, "contested", "east")
    assert ["move-in-progress"] * 2 == refused


async def test_aborted(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was interrupted before its end can be undone; after its end it can't."""
    tenant = await _tenant(kit, "undecided")
    before = await _contents(kit, tenant, "default")

    async def die(*_: Any) -> None:
        raise KeyboardInterrupt

    async def nothing(*_: Any) -> None:
        """As if killed: nobody tidies up."""

    for name, stand_in in (("seal", die), ("_go_on_there", nothing)):
        monkeypatch.setattr(moving, name, stand_in)
    with pytest.raises(KeyboardInterrupt):
        await move_tenant(kit.installation, "undecided", "east")
    monkeypatch.undo()
    assert "moving" == kit.installation.directory.by_code("undecided").placement
    with pytest.raises(Conflict, match="on its way to the cell 'east'"):
        await move_tenant(kit.installation, "undecided", "default")
    assert "default" == await abort_move(kit.installation, "undecided")
    assert [(0,)] == await _rows(kit, "east", _LEFT, "undecided")
    assert before == await _contents(kit, tenant, "default")
    async with kit.unit_of_work(tenant) as uow:
        await store.write_note(uow, "still here")
    with pytest.raises(Conflict, match="No move of 'undecided' has begun"):
        await abort_move(kit.installation, "undecided")


async def test_rights_are_as_before(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a failed nor a finished move gives or takes rights: the event log stays a log."""
    rights = """
SELECT c.relname::text, r.rolname::text, a.privilege_type FROM pg_class c, aclexplode(c.relacl) a
JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = 't_rightful'::regnamespace AND r.rolname = 't_rightful' ORDER BY 1, 2, 3"""
    await _tenant(kit, "rightful")
    before = await _rows(kit, "default", rights)
    assert ("event", "t_rightful", "UPDATE") not in before
    assert ("event", "t_rightful", "INSERT") in before

    async def fail(_: Any) -> None:
        raise Conflict("no")

    monkeypatch.setattr(moving, "seal", fail)
    with pytest.raises(Conflict):
        await move_tenant(kit.installation, "rightful", "east")
    assert before == await _rows(kit, "default", rights)
    monkeypatch.undo()
    await move_tenant(kit.installation, "rightful", "east")
    assert before == await _rows(kit, "east", rights)


async def test_refused(kit: TestKit) -> None:
    """What can't be moved is said before anything is touched, with the mend."""
    await _tenant(kit, "incomplete")
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "INSERT INTO pss.tenant_plugin (tenant, plugin, state, revision)"
            " VALUES ('incomplete', 'lost', 'disabled', '0001')"
        )
    with pytest.raises(Invalid, match="lost"):
        await move_tenant(kit.installation, "incomplete", "east")
    with pytest.raises(Conflict, match="No move"):
        await abort_move(kit.installation, "incomplete")
    with pytest.raises(Invalid, match="There is no cell 'west'"):
        await move_tenant(kit.installation, "incomplete", "west")
    with pytest.raises(TenantUnknown):
        await move_tenant(kit.installation, "nobody", "east")
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET plugin = 'notes2', revision = NULL WHERE plugin = 'lost'"
        )
        await owner.execute("ALTER TABLE t_incomplete.note ADD COLUMN by_hand text")
    with pytest.raises(Conflict, match="are not those that its plugins' migrations make"):
        await move_tenant(kit.installation, "incomplete", "east")
    assert [(0,)] == await _rows(kit, "east", _LEFT, "incomplete")


async def test_no_longer_wanted(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant that is to be deleted meanwhile is neither paused nor moved."""
    await _tenant(kit, "unwanted")
    given = moving.prepare

    async def prepare(move: Any) -> None:
        await given(move)
        await move.control.execute(
            "UPDATE pss.placement SET state = 'deleting', due_at = now() WHERE tenant = 'unwanted'"
        )

    monkeypatch.setattr(moving, "prepare", prepare)
    with pytest.raises(Conflict, match="was changed meanwhile"):
        await move_tenant(kit.installation, "unwanted", "east")
    assert ("default", "deleting") == await kit.installation.directory.placement_of("unwanted")
    monkeypatch.undo()
    await abort_move(kit.installation, "unwanted")
    assert [(0,)] == await _rows(kit, "east", _LEFT, "unwanted")
    assert ("default", "deleting") == await kit.installation.directory.placement_of("unwanted")


async def test_with_roles_of_plugins(kit: TestKit) -> None:
    """A tenant with strict_plugins has its plugins' roles in the target, and only there."""
    facts: dict[str, Any] = {"name": "Strict", "currency": "EUR", "time_zone": "UTC"}
    await create_tenant(kit.installation, "strict_one", strict_plugins=True, **facts)
    await enable_plugins(kit.installation, "strict_one", {"notes": None})
    tenant = kit.installation.directory.by_code("strict_one")
    async with kit.installation.unit_of_work(tenant, plugin="notes") as uow:
        await store.write_note(uow, "before")
    roles = "SELECT rolname::text FROM pg_roles WHERE rolname LIKE 't_strict_one%' ORDER BY 1"
    before = await _rows(kit, "default", roles)
    assert 1 < len(before)
    await move_tenant(kit.installation, "strict_one", "east")
    assert (before, []) == (await _rows(kit, "east", roles), await _rows(kit, "default", roles))
    async with kit.installation.unit_of_work(tenant, plugin="notes") as uow:
        await store.write_note(uow, "after")
    assert 2 == await kit.deliver(tenant)


async def test_from_the_broker_while_it_moves(
    kit: TestKit, amqp_url: str, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that arrives during the pause is put aside, and handled once afterwards."""
    installation = kit.installation
    tenant = await _tenant(kit, "brokered")
    beside = Installation(
        msgspec.structs.replace(installation.config, amqp_url=amqp_url),
        installation.registry,
        installation.cells,
    )
    beside.directory = installation.directory
    envelope = Envelope(
        id=uuid.uuid4(),
        type=NoteWritten.event_type,
        version=NoteWritten.event_version,
        tenant="brokered",
        stream="s",
        stream_version=1,
        occurred_at=datetime.now(UTC),
        correlation_id="cor",
        actor="system",
        data={"note_id": "from the broker"},
    )
    given = moving.copy_tables

    async def put_aside() -> bool:
        waiting = "SELECT count(*) FROM pss.outbox WHERE payload = $1"
        return [(2,)] == await _rows(kit, "default", waiting, msgspec.json.encode(envelope))

    async def arrive(*arguments: Any) -> Any:
        connection = await aio_pika.connect(amqp_url)
        async with connection:
            exchange = await (await connection.channel()).get_exchange("pss.events")
            message = aio_pika.Message(msgspec.json.encode(envelope))
            await exchange.publish(message, routing_key=f"brokered.{envelope.type}")
        await eventually(put_aside)  # by each of its two consumers
        return await given(*arguments)

    async def handled() -> bool:
        async with kit.unit_of_work(tenant) as uow:
            return ["from the broker"] == [
                one for one in await store.traces(uow, "copy") if one == "from the broker"
            ]

    monkeypatch.setattr(moving, "copy_tables", arrive)
    stop = asyncio.Event()
    worker = asyncio.create_task(run_worker(beside, stop))
    try:

        async def at_work() -> bool:
            async with kit.unit_of_work(tenant) as uow:
                return 3 == len(await store.traces(uow, "index"))

        await eventually(at_work, seconds=60)
        await move_tenant(installation, "brokered", "east")
        await eventually(handled, seconds=60)
    finally:
        stop.set()
        await worker


@asynccontextmanager
async def _two_databases(server: dict[str, Any]) -> AsyncIterator[Config]:
    """Two databases of one PostgreSQL server as two cells, of an owner who is no superuser."""
    admin_url = make_url(server["database_url"])
    admin = await asyncpg.connect(**connect_arguments(admin_url))
    prefix, password = f"pss_test_{secrets.token_hex(4)}_", secrets.token_hex(8)
    owner, app = f"{prefix}owner", f"{prefix}pss_app"
    names = [f"{prefix}{cell}" for cell in ("control", "east")]

    def url(name: str, login: str) -> str:
        given = admin_url.set(database=name, username=login, password=password)
        return given.render_as_string(hide_password=False)

    try:
        await admin.execute(f"CREATE ROLE \"{owner}\" LOGIN CREATEROLE PASSWORD '{password}'")
        for name in names:
            await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE template0 OWNER "{owner}"')
        maker = await asyncpg.connect(**connect_arguments(make_url(url(names[0], owner))))
        await maker.execute(f"CREATE ROLE \"{app}\" LOGIN NOINHERIT PASSWORD '{password}'")
        await maker.close()
        yield Config(
            data_dir=Path(),
            database_url=url(names[0], owner),
            app_database_url=url(names[0], app),
            cells=(
                CellConfig(
                    name="east",
                    database_url=url(names[1], owner),
                    app_database_url=url(names[1], app),
                ),
            ),
            role_prefix=prefix,
            pool_size=4,
        )
    finally:
        for name in names:
            await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        roles = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)"
        for row in await admin.fetch(roles, prefix):
            await admin.execute(f'DROP ROLE "{row["rolname"]}"')
        await admin.close()


async def test_on_a_server(server_database: dict[str, Any], registry: Registry) -> None:
    """An owner who is no superuser moves it, between databases that share their roles too."""
    async with (
        _two_databases(server_database) as config,
        open_installation(config, registry) as installation,
    ):
        kit = TestKit(installation)
        tenant = await _tenant(kit, "modest")
        before = await _contents(kit, tenant, "default")
        for target, other in (("east", "default"), ("default", "east")):
            moved = await move_tenant(installation, "modest", target)
            assert moved is not None
            assert before == await _contents(kit, tenant, target)
            left = await _contents(kit, tenant, other)
            assert {"counted": {}} == left
        now = installation.directory.by_code("modest")
        async with kit.unit_of_work(now) as uow:
            await store.write_note(uow, "still at home")
        assert 4 == await kit.deliver(now)
