"""Through PgBouncer in transaction mode everything goes on as without it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from pss_kernel import Invalid, Tenant
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.messaging._relay import relay_running
from pss_kernel.registry import Registry
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.models import note

pytestmark = [pytest.mark.xdist_group("pooler")]


@pytest.fixture
def pooled(through_pooler: Installation) -> TestKit:
    """The test kit of an installation behind PgBouncer."""
    return TestKit(through_pooler)


async def test_many_tenants_share_few_connections(pooled: TestKit) -> None:
    """Each transaction gets another of three backends, and its own tenant's rows and nobody's."""
    tenants = [await pooled.make_tenant(plugins=["notes"]) for _ in range(5)]
    backends = set()

    async def work(tenant: Tenant, number: int) -> None:
        async with pooled.unit_of_work(tenant) as uow:
            body = f"{tenant.code} {number}"
            await uow.execute(insert(note).values(note_id=body, body=body))
            (row,) = await uow.hot(
                "SELECT pg_backend_pid() AS pid FROM note WHERE note_id = $1", body
            )
            backends.add(row["pid"])
            everything = [row["body"] for row in await uow.fetch_all(select(note.c.body))]
            assert [] == [one for one in everything if not one.startswith(f"{tenant.code} ")]

    for turn in range(4):
        await asyncio.gather(
            *(work(tenant, turn * 10 + number) for tenant in tenants for number in range(10))
        )
    for tenant in tenants:
        async with pooled.unit_of_work(tenant) as uow:
            assert [(40,)] == [tuple(row) for row in await uow.hot("SELECT count(*) FROM note")]
    assert 2 <= len(backends) <= 3


async def test_the_way_of_a_request(pooled: TestKit) -> None:
    """A request with its key, its repetition, its event's handlers and a job, all through it."""
    tenant = await pooled.make_tenant(plugins=["notes", "echo"])
    async with pooled.http(tenant, ["*"]) as client:
        sent = {"json": {"body": "x"}, "headers": {"Idempotency-Key": "k"}}
        first = await client.post("/v1/notes", **sent)
        again = await client.post("/v1/notes", **sent)
        assert (201, 201, "true") == (
            first.status_code,
            again.status_code,
            again.headers["Idempotent-Replayed"],
        )
        many = await asyncio.gather(
            *(client.post("/v1/notes", json={"body": f"n{number}"}) for number in range(60))
        )
        assert {201} == {one.status_code for one in many}
        listed = (await client.get("/v1/notes", params={"limit": 100})).json()["data"]
        assert 61 == len(listed)
    await pooled.deliver(tenant)
    await pooled.run_job(tenant, "notes", "tidy")
    async with pooled.unit_of_work(tenant) as uow:
        assert first.json()["id"] in await store.traces(uow, "copy")
        assert 61 == len(await store.traces(uow, "index"))
        assert ["system:notes.tidy"] == await store.traces(uow, "tidy")


async def test_the_relay_goes_past_it(pooled: TestKit, eventually: Any) -> None:
    """The worker listens and takes its role on connections that don't go through the pooler."""
    tenant = await pooled.make_tenant(plugins=["notes"])
    async with relay_running(pooled.installation):
        async with pooled.unit_of_work(tenant) as uow:
            written = await store.write_note(uow, "relayed")

        async def handled() -> bool:
            async with pooled.unit_of_work(tenant) as uow:
                return [written.id] == await store.traces(uow, "index")

        await eventually(handled)


async def test_the_limits_hold(pooled: TestKit) -> None:
    """What a pooler does not pass on, the application's role brings with it."""
    tenant = await pooled.make_tenant(plugins=["notes"])
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    async with pooled.unit_of_work(tenant) as uow:
        shown = {name: (await uow.hot(f"SHOW {name}"))[0][0] for name in names}
    assert {"15s", "5s", "30s"} == {*shown.values()}


async def test_an_operators_own_limit_stays(pooled: TestKit, registry: Registry) -> None:
    """A limit that somebody has set for the role is not set back by the next start."""
    app = pooled.installation.database.roles.app
    async with pooled.installation.database.owner() as owner:
        await owner.execute(f"ALTER ROLE \"{app}\" SET lock_timeout = '7s'")
        async with open_installation(pooled.installation.config, registry):
            pass
        (kept,) = await owner.fetch("SELECT rolconfig FROM pg_roles WHERE rolname = $1", app)
        await owner.execute(f'ALTER ROLE "{app}" SET lock_timeout = 5000')
    assert "lock_timeout=7s" in kept["rolconfig"]


async def test_without_the_mode_it_is_named(
    pooled: TestKit, registry: Registry, server_database: dict[str, Any], pooler: str, folder: Path
) -> None:
    """Who puts a pooler before the database and doesn't say so is told what to set."""
    config = Config(data_dir=folder, **(server_database | {"app_database_url": pooler}))
    with pytest.raises(Invalid, match="PSS_POOLER=transaction"):
        async with open_installation(config, registry):
            pass
