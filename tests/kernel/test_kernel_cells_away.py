"""A cell is away, at the start or later: its tenants hear "try again", the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_kernel.config import CellConfig, Config
from pss_kernel.errors import Invalid, TenantUnknown, Unavailable
from pss_kernel.installation import Installation, open_installation
from pss_kernel.messaging._worker import run_worker
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.registry import Registry
from pss_kernel.tenancy._cells import statuses
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._move import move_tenant
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit
from pss_notes import store

pytestmark = pytest.mark.xdist_group("cells")


class _East:
    """The second cluster, as somebody else runs it: stopped and started by the test."""

    def __init__(self, folder: Path) -> None:
        self._server = EmbeddedPostgres(folder)
        self.url = self._server.url

    async def start(self) -> None:
        if self._server.held:
            await asyncio.to_thread(self._server._start)
        else:
            await asyncio.to_thread(self._server.acquire)

    async def stop(self) -> None:
        arguments = ("pg_ctl", "stop", "--mode=fast", "--wait", "--silent")
        await asyncio.to_thread(self._server._run, *arguments)

    def close(self) -> None:
        self._server.release()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def control(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """The control cell's server, running from the first test to the last."""
    server = EmbeddedPostgres(folder / "control")
    await asyncio.to_thread(server.acquire)
    yield server
    await asyncio.to_thread(server.release)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def east(folder: Path, control: EmbeddedPostgres, registry: Registry) -> AsyncIterator[_East]:
    """The second cell, with a tenant in each; running before and after each test."""
    server = _East(folder / "the-east")
    await server.start()
    async with _opened(control, server, registry) as installation:
        for code, cell in (("west_side", "default"), ("east_side", "east")):
            facts: dict[str, Any] = {"name": code, "currency": "EUR", "time_zone": "UTC"}
            domains = [f"{code.replace('_', '-')}.example"]
            await create_tenant(installation, code, cell=cell, domains=domains, **facts)
            await enable_plugins(installation, code, {"echo": None})
    yield server
    await asyncio.to_thread(server.close)


@asynccontextmanager
async def _opened(
    control: EmbeddedPostgres, east: _East, registry: Registry, *, strict: bool = False
) -> AsyncIterator[Installation]:
    cell = CellConfig(name="east", database_url=east.url)
    config = Config(data_dir=Path(), database_url=control.url, cells=(cell,), pool_size=4)
    async with open_installation(config, registry, strict=strict) as installation:
        yield installation


async def _asked(http: httpx.AsyncClient, code: str) -> tuple[int, str, bool]:
    answer = await http.get("/v1/notes", headers={"PSS-Tenant": code})
    body = answer.json()
    return (answer.status_code, body.get("code", ""), body.get("retryable", False))


_AWAY = (503, "database-unavailable", True)
_FINE = (200, "", False)


@asynccontextmanager
async def _client(installation: Installation) -> AsyncIterator[httpx.AsyncClient]:
    application: Any = create_app(installation)  # described in types of another library
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://test.invalid") as http:
        yield http


async def test_away_at_the_start(
    control: EmbeddedPostgres, east: _East, registry: Registry, eventually: Any
) -> None:
    """A process that never knew its tenants knows that they exist, and serves them once it can."""
    await east.stop()
    stop = asyncio.Event()
    try:
        async with _opened(control, east, registry) as installation, _client(installation) as http:
            worker = asyncio.create_task(run_worker(installation, stop))
            try:
                assert _FINE == await _asked(http, "west_side")
                assert _AWAY == await _asked(http, "east_side")
                by_host = await http.get("/v1/notes", headers={"Host": "east-side.example"})
                assert 503 == by_host.status_code
                assert (404, "tenant-unknown", False) == await _asked(http, "nowhere")
                assert {"east_side": "east"} == dict(installation.directory.away)
                (here, there), _ = await statuses(installation)
                assert (True, False) == (here.reachable, there.reachable)
                assert (1, 1) == (here.tenants, there.tenants)
                kit = TestKit(installation)
                west = installation.directory.by_code("west_side")
                async with kit.unit_of_work(west) as uow:
                    note = await store.write_note(uow, "handled meanwhile")

                async def handled() -> bool:
                    async with kit.unit_of_work(west) as uow:
                        return note.id in await store.traces(uow, "copy")

                await eventually(handled)
                with pytest.raises(Unavailable, match="can't be reached"):
                    await move_tenant(installation, "east_side", "default")
                await east.start()

                async def served() -> bool:
                    return _FINE == await _asked(http, "east_side")

                await eventually(served, seconds=30)
                tenant = installation.directory.by_code("east_side")
                async with kit.unit_of_work(tenant) as uow:
                    note = await store.write_note(uow, "handled afterwards")

                async def handled_there() -> bool:
                    async with kit.unit_of_work(tenant) as uow:
                        return note.id in await store.traces(uow, "copy")

                await eventually(handled_there, seconds=60)

                async def registered() -> bool:
                    jobs = "SELECT count(*) FROM pss.job WHERE tenant = 'east_side'"
                    async with installation.cells["east"].owner() as owner:
                        return bool(await owner.fetchval(jobs))

                await eventually(registered)
            finally:
                stop.set()
                await worker
    finally:
        await _started(east)


async def _started(east: _East) -> None:
    """Running, whatever a test came to."""
    if not await asyncio.to_thread(east._server._running):
        await east.start()


async def test_away_for_a_while(
    control: EmbeddedPostgres, east: _East, registry: Registry, eventually: Any
) -> None:
    """A cell that goes and comes back takes nobody along, and is served again by itself."""
    async with _opened(control, east, registry) as installation, _client(installation) as http:
        assert [_FINE, _FINE] == [await _asked(http, one) for one in ("west_side", "east_side")]
        await east.stop()
        try:
            assert _AWAY == await _asked(http, "east_side")
            await eventually(lambda: {"east"} == installation.directory.unreachable)
            assert _AWAY == await _asked(http, "east_side")
            assert 200 == (await http.get("/ready")).status_code
            # What changes elsewhere is seen meanwhile.
            await enable_plugins(installation, "west_side", {"notes": {"greeting": "hey"}})
            assert _FINE == await _asked(http, "west_side")
        finally:
            await _started(east)
        await eventually(lambda: not installation.directory.unreachable)
        assert _FINE == await _asked(http, "east_side")


async def test_brought_up_to_date_when_it_is_back(
    folder: Path, control: EmbeddedPostgres, east: _East, registry: Registry, eventually: Any
) -> None:
    """A new cluster that was away at the start gets the control schema when it appears."""
    new = _East(folder / "the-new")
    try:
        async with _opened(control, new, registry) as installation:
            assert {"east"} == installation.directory.unreachable
            await new.start()
            await eventually(lambda: not installation.directory.unreachable, seconds=60)
            async with installation.cells["east"].owner() as owner:
                assert 0 == await owner.fetchval("SELECT count(*) FROM pss.tenant")
            # Placed there, but not to be found there: no such tenant.
            with pytest.raises(TenantUnknown):
                installation.directory.by_code("east_side")
    finally:
        await asyncio.to_thread(new.close)


async def test_strict(control: EmbeddedPostgres, east: _East, registry: Registry) -> None:
    """With --strict, nothing starts without one of its cells; the variable to mend is named."""
    await east.stop()
    try:
        with pytest.raises(Invalid, match="PSS_CELL_EAST_DATABASE_URL"):
            async with _opened(control, east, registry, strict=True):
                pass
    finally:
        await _started(east)
    async with _opened(control, east, registry, strict=True) as installation:
        assert not installation.directory.unreachable


async def test_an_embedded_cell_that_can_not_start(
    folder: Path, registry: Registry, eventually: Any
) -> None:
    """It is tried again until it starts; the others are served meanwhile."""
    home = folder / "half-broken"
    postgres = home / "cells" / "east" / "postgres"
    postgres.mkdir(parents=True)
    (postgres / "PG_VERSION").write_text("9\n")
    (postgres / "postgresql.conf").write_text("")
    cell = CellConfig(name="east", database_url="embedded")
    async with open_installation(Config(data_dir=home, cells=(cell,)), registry) as installation:
        assert {"east"} == installation.directory.unreachable
        await TestKit(installation).make_tenant(plugins=["notes"])
        postgres.rename(home / "put aside")
        await eventually(lambda: not installation.directory.unreachable, seconds=60)
