"""The database goes away and comes back: requests hear "try again", then succeed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from pss_api import create_app
from pss_kernel.config import Config
from pss_kernel.errors import Invalid, Unavailable
from pss_kernel.installation import Installation, open_installation
from pss_kernel.messaging._worker import run_worker
from pss_kernel.persistence._database import connect_arguments
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.registry import Registry
from pss_kernel.testing import TestKit
from pss_notes import store


@pytest.fixture(scope="module")
def spacious() -> Iterator[Path]:
    """A folder with spaces and letters of other alphabets in its name."""
    with tempfile.TemporaryDirectory(prefix="pss kernel ö ") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        yield Path(name) / "the data"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def alone(spacious: Path, registry: Registry) -> AsyncIterator[Installation]:
    """An installation on a server of its own, which others do not mind losing."""
    config = Config(data_dir=spacious, pool_size=4)
    async with open_installation(config, registry) as opened:
        yield opened


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(**connect_arguments(make_url(url)), timeout=5)
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


@pytest.mark.parametrize("how", ["--mode=fast", "--mode=immediate"])
async def test_away_and_back(alone: Installation, eventually: Any, how: str) -> None:
    """503 and retryable while it is away; afterwards requests, events and jobs go on."""
    kit = TestKit(alone)
    server = EmbeddedPostgres(alone.config.data_dir)
    tenant = await kit.make_tenant(plugins=["echo"])
    transport = httpx.ASGITransport(create_app(alone))
    headers = {
        "PSS-Tenant": tenant.code,
        "Authorization": f"Bearer {await kit.api_key(tenant, ['*'])}",
    }
    seen: list[tuple[int, str | None]] = []
    stop = asyncio.Event()

    async def ask(client: httpx.AsyncClient) -> None:
        while not stop.is_set():
            answer = await client.post("/v1/notes", json={"body": "x"})
            body = answer.json()
            seen.append((answer.status_code, body.get("code")))
            assert body.get("retryable", True)
            await asyncio.sleep(0.005)  # a refused connection does not yield by itself

    async with httpx.AsyncClient(
        transport=transport, base_url="http://test.invalid", headers=headers
    ) as client:
        worker = asyncio.create_task(run_worker(alone, stop))
        asking = [asyncio.create_task(ask(client)) for _ in range(3)]
        try:
            await eventually(lambda: (201, None) in seen)
            await asyncio.to_thread(server._run, "pg_ctl", "stop", how, "--wait", "--silent")
            seen.clear()
            await eventually(lambda: len(seen) > 10)
            assert {(503, "database-unavailable")} == set(seen)
            assert 200 == (await client.get("/health")).status_code
            assert 503 == (await client.get("/ready")).status_code
            assert 200 == (await client.get("/v1/tenant")).status_code  # needs no database
            await asyncio.to_thread(server._start)
            await eventually(lambda: (201, None) in seen)
            seen.clear()
            await eventually(lambda: len(seen) > 10)
            assert {(201, None)} == set(seen)
            assert 200 == (await client.get("/ready")).status_code

            async with kit.unit_of_work(tenant) as uow:
                note = await store.write_note(uow, "after")

            async def arrived() -> bool:
                async with kit.unit_of_work(tenant) as uow:
                    return note.id in await store.traces(uow, "copy")

            await eventually(arrived, seconds=30)
        finally:
            stop.set()
            await asyncio.gather(*asking, worker)
    await eventually(lambda: alone.database.engine.pool.checkedout() == 0)


async def test_a_second_process_shares_the_server(alone: Installation) -> None:
    """Two processes use one server; a killed one leaves it running for the other."""
    script = Path(__file__).with_name("hanging_worker.py")
    other = subprocess.Popen(  # noqa: ASYNC220 - starting it takes no time
        [sys.executable, str(script), str(alone.config.data_dir), "", "nothing"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with closing(other.stdout) as said:
            assert "open\n" == await asyncio.wait_for(asyncio.to_thread(said.readline), 30)
    finally:
        other.kill()
        other.wait()
    tenant = await TestKit(alone).make_tenant(plugins=["notes"])
    async with alone.unit_of_work(tenant) as uow:
        await uow.hot("SELECT 1")


async def test_whoever_leaves_last_stops_it(alone: Installation, spacious: Path) -> None:
    """A server in use is not stopped; one that nobody holds any more is."""
    second = EmbeddedPostgres(spacious)
    second.acquire()
    second.release()
    second.release()  # letting go twice is letting go
    assert await _answers(second.url)
    own = EmbeddedPostgres(spacious.parent / "another one")
    own.acquire()
    assert await _answers(own.url)
    own.release()
    assert not await _answers(own.url)


def test_a_start_that_was_killed_half_way(spacious: Path) -> None:
    """A folder that was left half initialised is made anew."""
    home = spacious.parent / "half"
    unfinished = home / "postgres.new"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(home)
    server.acquire()
    server.release()
    assert (home / "postgres" / "PG_VERSION").exists()
    assert not unfinished.exists()


def test_a_server_that_can_not_start(spacious: Path) -> None:
    """What PostgreSQL says is told, with where to look."""
    home = spacious.parent / "broken"
    (home / "postgres").mkdir(parents=True)
    (home / "postgres" / "PG_VERSION").write_text("9\n")
    (home / "postgres" / "postgresql.conf").write_text("")
    with pytest.raises(Unavailable, match="could not run 'pg_ctl start'"):
        EmbeddedPostgres(home).acquire()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "can't be reached"),
        ("mysql://root@localhost/x", "must be PostgreSQL"),
        ("not a url", "can't be read"),
    ],
)
async def test_a_database_that_is_not_there(
    folder: Path, registry: Registry, url: str, said: str
) -> None:
    """One sentence that says which one, and how to mend it; no password in it."""
    url = url.replace("nobody@", "nobody:s3cret@")
    with pytest.raises(Invalid, match=said) as caught:
        async with open_installation(Config(data_dir=folder, database_url=url), registry):
            pass
    assert "s3cret" not in caught.value.sentence
