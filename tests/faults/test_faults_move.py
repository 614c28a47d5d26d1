"""Moving tenants between cells under load, and with the mover killed at any moment."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "installed"))

from pss_kernel.config import CellConfig, Config
from pss_kernel.installation import open_installation
from pss_kernel.messaging._worker import run_worker
from pss_kernel.registry import Registry, _load
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._contents import fingerprint, sequence_values, tables_of
from pss_kernel.tenancy._move import move_tenant
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_outside.killing import KILLS, Program, moments

pytestmark = pytest.mark.xdist_group("moves")
_OTHER = {"default": "east", "east": "default"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kit(folder: Path) -> AsyncIterator[TestKit]:
    """An installation of two embedded clusters, with two light plugins."""
    names = ("notes", "echo")
    registry = Registry(_load(EntryPoint(one, f"pss_{one}:plugin", "pss.plugins")) for one in names)
    east = CellConfig(name="east", database_url="embedded")
    config = Config(data_dir=folder / "moves", cells=(east,), pool_size=8, log_level="critical")
    async with open_installation(config, registry) as opened:
        yield TestKit(opened)


async def _tenant(kit: TestKit, code: str) -> Tenant:
    tenant = await kit.make_tenant(code=code, plugins=["echo"])
    async with kit.unit_of_work(tenant) as uow:
        for number in range(20):
            await store.write_note(uow, f"note {number}")
    return tenant


_MANY = 20


async def _contents(owner: asyncpg.Connection, code: str) -> dict[str, Any]:
    """What a cell has of a tenant, comparable with the other cell's; every move is audited."""
    async with owner.transaction():
        await owner.execute("SET LOCAL timezone = 'UTC'")
        found: dict[str, Any] = {
            table.name: await fingerprint(owner, f"t_{code}", table)
            for table in await tables_of(owner, f"t_{code}")
            if table.name != "audit_entry"
        }
        if not found:
            return {}
        waiting = "SELECT convert_from(payload, 'UTF8')::jsonb ->> 'id' AS id FROM pss.outbox"
        rows = await owner.fetch(
            f"{waiting} WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1", code
        )
        found["events"] = sorted(row["id"] for row in rows)
        found["counted"] = await sequence_values(owner, f"t_{code}")
        found["plugins"] = [
            tuple(row)
            for row in await owner.fetch(
                "SELECT plugin, state, revision FROM pss.tenant_plugin WHERE tenant = $1"
                " ORDER BY plugin",
                code,
            )
        ]
        return found


async def _serves(owner: asyncpg.Connection, code: str) -> bool:
    """Whether a cell lets the tenant's own role read its notes."""
    try:
        async with owner.transaction():
            await owner.execute(f'SET LOCAL ROLE "t_{code}"')
            await owner.fetch(f"SELECT 1 FROM t_{code}.note LIMIT 1")
    except (
        asyncpg.InsufficientPrivilegeError,
        asyncpg.InvalidParameterValueError,
        asyncpg.UndefinedTableError,
        asyncpg.InvalidSchemaNameError,
        asyncpg.UndefinedObjectError,
    ):
        return False
    return True


async def _check(ends: dict[str, Any], code: str, target: str, whole: Any) -> tuple[str, str]:
    """What must be so whenever a mover has died; where the tenant is placed, and the step."""
    row = await ends["default"].fetchrow(
        "SELECT p.cell, m.step FROM pss.placement p LEFT JOIN pss.tenant_move m"
        " ON m.code = p.tenant WHERE p.tenant = $1",
        code,
    )
    placed, step = row["cell"], row["step"] or "none"
    if step != "paused":  # in the moment before its place changes, neither cell serves it
        assert await _serves(ends[placed], code)
    if placed == target:  # whoever thinks that it still lives in the source is refused there
        assert not await _serves(ends[_OTHER[target]], code)
    else:
        assert whole == await _contents(ends[placed], code)
    return placed, step


@pytest.mark.timeout(300)
async def test_killed_at_any_moment(kit: TestKit) -> None:
    """Movers die, also those that went on for a dead one; the same command ends each move.

    The data is the same then, in one cell, and nothing is left in the other.
    """
    code = "nine_lives"
    await _tenant(kit, code)
    script = Path(__file__).with_name("moving.py")
    folder = str(kit.installation.config.data_dir)
    cells = kit.installation.cells
    steps: set[tuple[bool, str]] = set()
    async with cells["default"].owner() as default, cells["east"].owner() as east:
        ends = {"default": default, "east": east}
        whole = await _contents(default, code)
        assert 20 == len(whole["events"])
        undisturbed = await asyncio.to_thread(Program(script, folder, code, "east").run)
        assert 0 == undisturbed.code, undisturbed.lines[-3:]
        target, killed = "default", 0
        for number, moment in enumerate(moments(7, len(undisturbed.lines), KILLS)):
            program = Program(script, folder, code, target)
            ended = await asyncio.to_thread(program.run, moment)
            assert ended.code in {0, -9}, (moment, ended.lines[-3:])
            killed += ended.killed
            placed, step = await _check(ends, code, target, whole)
            steps.add((placed == target, step))
            if number % 3 < 2 and not (placed == target and step == "none"):
                continue  # the next one dies as well, having gone on for this one
            again = await asyncio.to_thread(program.run)
            assert 0 == again.code, (moment, again.lines[-3:])
            assert whole == await _contents(ends[target], code)
            assert {} == await _contents(ends[_OTHER[target]], code)
            target = _OTHER[target]
    assert killed > KILLS * 0.8
    assert {(False, "preparing"), (False, "paused")} <= steps
    if KILLS > _MANY:  # its last step is a short one
        assert (True, "moved") in steps


class _Client:
    """Writes notes and reads them, one request after the other, and keeps every answer."""

    def __init__(self, http: httpx.AsyncClient, name: str) -> None:
        self._http = http
        self._name = name
        self.written: dict[str, str] = {}
        self.answers: Counter[tuple[str, int, str]] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await self._write(f"{self._name} {number}")
            await self._ask("GET", "/v1/notes")
            await asyncio.sleep(0.01)  # so many clients leave the two cores some time

    async def _write(self, body: str) -> None:
        """Until it is accepted, with the same key each time, as a client should."""
        key = {"Idempotency-Key": body.replace(" ", "-")}
        while True:
            answer = await self._ask("POST", "/v1/notes", json={"body": body}, headers=key)
            if answer.status_code == 201:
                self.written[answer.json()["id"]] = body
                return
            await asyncio.sleep(0.05)  # the answer said to try again

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await self._http.request(method, path, **more)
        code = "" if answer.is_success else answer.json()["code"]
        self.answers[method, answer.status_code, code] += 1
        return answer


@pytest.mark.timeout(300)
async def test_under_load(kit: TestKit, eventually: Any) -> None:
    """One of four tenants moves there and back while a worker and clients are at all of them.

    The others notice nothing. Its own clients hear 503 "tenant-moving" at the most, each write
    that was acknowledged is there once, and each event was handled once.
    """
    tenants = [await _tenant(kit, f"load_{number}") for number in range(4)]
    moved, installation = tenants[0], kit.installation
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        clients: dict[str, list[_Client]] = {}
        for tenant in tenants:
            http = await stack.enter_async_context(kit.http(tenant, ["*"]))
            clients[tenant.code] = [_Client(http, f"client {number}") for number in range(2)]
        worker = asyncio.create_task(run_worker(installation, stop))
        at_work = [
            asyncio.create_task(client.run(stop))
            for several in clients.values()
            for client in several
        ]
        try:
            for cell in ("east", "default", "east"):
                before = [len(client.written) for client in clients[moved.code]]
                answer = await move_tenant(installation, moved.code, cell)
                assert answer is not None
                await eventually(
                    lambda before=before: all(
                        len(client.written) > count
                        for client, count in zip(clients[moved.code], before, strict=True)
                    )
                )
        finally:
            stop.set()
            await asyncio.gather(*at_work, worker)
    answers = {
        tenant.code: sum((one.answers for one in clients[tenant.code]), Counter())
        for tenant in tenants
    }
    fine = {("GET", 200, ""), ("POST", 201, "")}
    assert [fine] * 3 == [answers[tenant.code].keys() for tenant in tenants[1:]]
    waits = {("POST", 503, "tenant-moving"), ("GET", 503, "tenant-moving")}
    assert answers[moved.code].keys() <= fine | waits
    assert answers[moved.code]["POST", 503, "tenant-moving"] > 0
    for tenant in tenants:
        await kit.deliver(tenant)  # what the worker had not come to
        wanted = {id_: body for one in clients[tenant.code] for id_, body in one.written.items()}
        async with kit.unit_of_work(tenant) as uow:
            rows = await uow.hot("SELECT note_id, body FROM note WHERE body LIKE 'client %'")
            assert wanted == {row["note_id"]: row["body"] for row in rows}
            assert len(wanted) == len(set(wanted.values()))  # no key was used twice
            noted = [row["note_id"] for row in await uow.hot("SELECT note_id FROM note")]
            for consumer in ("index", "copy"):
                assert sorted(noted) == sorted(await store.traces(uow, consumer))
