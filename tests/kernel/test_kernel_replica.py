"""Reading from a streaming replica: what may, what must not, and what happens when it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
import structlog
from sqlalchemy import insert
from sqlalchemy.engine import make_url

from pss_api import create_app
from pss_kernel import Permission, Plugin, UnitOfWork, Work
from pss_kernel.config import CellConfig, Config
from pss_kernel.errors import Conflict, Invalid, ReadOnlyUnit
from pss_kernel.installation import Installation, open_installation
from pss_kernel.persistence import ReplicaLost
from pss_kernel.persistence import _replica as replica_module
from pss_kernel.persistence._database import connect_arguments
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.persistence._position import Freshness, Position, read_position
from pss_kernel.persistence._replica import Replica
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit
from pss_notes import store
from pss_notes.contracts import NoteErased
from pss_notes.models import note

pytestmark = pytest.mark.xdist_group("replica")
_SERVED_BY = "SELECT pg_is_in_recovery()"


def servers(installation: Installation) -> tuple[EmbeddedPostgres, EmbeddedPostgres]:
    """The primary and its replica."""
    primary = EmbeddedPostgres(installation.config.data_dir)
    return primary, EmbeddedPostgres(installation.config.data_dir, replica_of=primary)


def replica_of(installation: Installation) -> Replica:
    """What the process knows of the replica."""
    found = installation.database.replica
    assert found is not None
    return found


@asynccontextmanager
async def superuser(server: EmbeddedPostgres) -> AsyncIterator[asyncpg.Connection]:
    """For what an operator does."""
    connection = await asyncpg.connect(**connect_arguments(make_url(server.url)), timeout=5)
    try:
        yield connection
    finally:
        await connection.close()


async def on_replica(installation: Installation, tenant: Tenant) -> bool:
    """Whether a stranger's read is answered by the replica."""
    async with installation.unit_of_work(tenant, read_only=True) as uow:
        ((found,),) = await uow.hot(_SERVED_BY)
    return bool(found)


@asynccontextmanager
async def paused(
    installation: Installation, tenant: Tenant, eventually: Any
) -> AsyncIterator[None]:
    """Replay stands still inside, at a moment at which the replica is used."""
    await eventually(lambda: on_replica(installation, tenant))
    async with superuser(servers(installation)[1]) as operator:
        await operator.execute("SELECT pg_wal_replay_pause()")

        async def stands() -> bool:
            return await operator.fetchval("SELECT pg_get_wal_replay_pause_state()") == "paused"

        try:
            await eventually(stands)
            yield
        finally:
            await operator.execute("SELECT pg_wal_replay_resume()")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kit(folder: Path, registry: Registry) -> AsyncIterator[TestKit]:
    """An embedded database with a replica that may stand still for as long as a test likes."""
    config = Config(
        data_dir=folder / "replicated", replica_url="embedded", replica_max_lag=3600, pool_size=6
    )
    async with open_installation(config, registry) as opened:
        yield TestKit(opened)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(kit: TestKit) -> Tenant:
    """A tenant with notes."""
    return await kit.make_tenant(plugins=["notes"])


def client(kit: TestKit, **headers: str) -> httpx.AsyncClient:
    """A client that sends what it is given, and keeps cookies as browsers do."""
    application: Any = create_app(kit.installation)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://test.invalid", headers=headers
    )


async def keyed(kit: TestKit, tenant: Tenant) -> dict[str, str]:
    """The headers of a key's holder."""
    key = await kit.api_key(tenant, ["*"])
    return {"PSS-Tenant": tenant.code, "Authorization": f"Bearer {key}"}


async def shelf(http: httpx.AsyncClient, **headers: str) -> tuple[bool, list[str]]:
    """What a read-only route shows, and whether the replica answered."""
    answer = await http.get("/v1/shelf", headers=headers)
    assert 200 == answer.status_code, answer.text
    return answer.json()["replica"], answer.json()["bodies"]


async def test_own_writes_are_read(kit: TestKit, eventually: Any) -> None:
    """While replay stands still, who wrote reads from the primary, a stranger from the replica."""
    tenant = await kit.make_tenant(plugins=["notes"])
    writer, other = await keyed(kit, tenant), await keyed(kit, tenant)
    async with client(kit, **writer) as http, client(kit, **other) as stranger:
        async with paused(kit.installation, tenant, eventually):
            written = await http.post("/v1/notes", json={"body": "mine"})
            position = written.headers["PSS-Position"]
            assert (False, ["mine"]) == await shelf(http)
            assert (True, []) == await shelf(stranger)
            assert (False, ["mine"]) == await shelf(stranger, **{"PSS-Position": position})

        async def followed() -> bool:
            return await shelf(http) == (True, ["mine"])

        await eventually(followed)
        assert (True, ["mine"]) == await shelf(stranger, **{"PSS-Position": position})


async def test_a_browser_brings_its_cookie(kit: TestKit, eventually: Any) -> None:
    """A guest's browser need do nothing: the position is in a cookie that scripts can't read."""
    tenant = await kit.make_tenant(plugins=["notes"])
    writer = await keyed(kit, tenant)
    async with (
        client(kit, **{"PSS-Tenant": tenant.code}) as browser,
        paused(kit.installation, tenant, eventually),
    ):
        written = await browser.post("/v1/notes", json={"body": "mine"}, headers=writer)
        said = written.headers["Set-Cookie"]
        assert all(part in said for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age="))
        assert written.headers["PSS-Position"] == browser.cookies["pss_position"]
        assert (False, ["mine"]) == await shelf(browser)
        browser.cookies.clear()
        assert (True, []) == await shelf(browser)


async def test_a_key_is_remembered(kit: TestKit, eventually: Any) -> None:
    """The process remembers a key's last write, for a client that brings neither."""
    tenant = await kit.make_tenant(plugins=["notes"])
    headers = await keyed(kit, tenant)
    async with paused(kit.installation, tenant, eventually):
        async with client(kit, **headers) as http:
            await http.post("/v1/notes", json={"body": "mine"})
        async with client(kit, **headers) as another:  # without the first one's cookies
            assert (False, ["mine"]) == await shelf(another)


async def test_what_is_forgotten_counts_for_all(
    kit: TestKit, tenant: Tenant, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where more keys write than are remembered, the pushed-out write binds every reader."""
    monkeypatch.setattr(replica_module, "_MOST_REMEMBERED", 1)
    first, second = await keyed(kit, tenant), await keyed(kit, tenant)
    async with (
        paused(kit.installation, tenant, eventually),
        client(kit, **first) as one,
        client(kit, **second) as two,
    ):
        await one.post("/v1/notes", json={"body": "first"})
        assert await on_replica(kit.installation, tenant)
        await two.post("/v1/notes", json={"body": "second"})
        assert not await on_replica(kit.installation, tenant)


@pytest.mark.parametrize(
    "brought",
    ["nonsense", "default.1.ffffffffffffffff", "default.9.1", "east.1.1", "default.0.0", "x" * 9000,
     "default.1.-1", ",".join(["default.1.1"] * 7 + ["default.1.ffffffffff"])],
)  # fmt: skip
async def test_forged_positions(
    kit: TestKit, tenant: Tenant, eventually: Any, brought: str
) -> None:
    """A position that is none, or of elsewhere, or of the future, only means the primary."""
    await eventually(lambda: on_replica(kit.installation, tenant))
    async with client(kit, **{"PSS-Tenant": tenant.code}) as http:
        assert False is (await shelf(http, **{"PSS-Position": brought}))[0]
        http.cookies.clear()  # with what replaces it
        assert True is (await shelf(http, **{"PSS-Position": "default.1.1"}))[0]


async def test_a_foreign_position_is_replaced(
    kit: TestKit, tenant: Tenant, eventually: Any
) -> None:
    """A position of another cell or timeline is answered with one that means something here."""
    await eventually(lambda: on_replica(kit.installation, tenant))
    async with client(kit, **{"PSS-Tenant": tenant.code}) as http:
        answer = await http.get("/v1/shelf", headers={"PSS-Position": "east.1.16b3748"})
        position = answer.headers["PSS-Position"]
        assert position.startswith("default.1.")

        async def followed() -> bool:
            return (await shelf(http, **{"PSS-Position": position}))[0]

        await eventually(followed)


async def test_positions_only_after_writes(kit: TestKit, tenant: Tenant) -> None:
    """Reads carry no position; a refused request whose first part was committed does."""
    async with client(kit, **await keyed(kit, tenant)) as http:
        assert "PSS-Position" not in (await http.get("/v1/notes")).headers
        assert "PSS-Position" not in (await http.post("/v1/notes", json={})).headers
        assert "PSS-Position" in (await http.post("/v1/dictations", json={"body": "x"})).headers


async def test_half_done_tells_its_position(
    kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
) -> None:
    """An error after a commit carries the position of what was committed."""

    async def fail(_: Any) -> None:
        raise Conflict("not today")

    scripts["dictating"] = fail
    async with client(kit, **await keyed(kit, tenant)) as http:
        answer = await http.post("/v1/dictations", json={"body": "x"})
        assert (409, True) == (answer.status_code, "PSS-Position" in answer.headers)


async def test_a_repeated_answer_tells_a_position(kit: TestKit, tenant: Tenant) -> None:
    """Who asks again because the first answer was lost can read what it did."""
    async with client(kit, **await keyed(kit, tenant)) as http:
        sent = {"json": {"body": "once"}, "headers": {"Idempotency-Key": "once"}}
        positions = [
            (await http.post("/v1/notes", **sent)).headers["PSS-Position"] for _ in range(2)
        ]
        first, second = (Position.parse(one, "default") for one in positions)
        assert 1 == first.timeline
        assert first.lsn <= second.lsn


async def _write(uow: UnitOfWork) -> None:
    await uow.execute(insert(note).values(note_id="n", body="b"))


async def _hot(uow: UnitOfWork) -> None:
    await uow.hot("INSERT INTO note (note_id, body) VALUES ('n', 'b')")


async def _emit(uow: UnitOfWork) -> None:
    uow.emit(NoteErased(note_id="n"), stream="n")


async def _take(uow: UnitOfWork) -> None:
    store.take_one(uow, "n")


async def _copy(uow: UnitOfWork) -> None:
    await uow.copy_in("note", ["note_id", "body"], [("n", "b")])


async def _lock(uow: UnitOfWork) -> None:
    await uow.hot("SELECT 1 FROM note FOR UPDATE")


@pytest.mark.parametrize("writing", [_write, _hot, _emit, _take, _copy, _lock])
@pytest.mark.parametrize("where", ["primary", "replica"])
async def test_nothing_is_written(
    kit: TestKit, tenant: Tenant, eventually: Any, writing: Any, where: str
) -> None:
    """A read-only unit refuses to write, by its own methods and by the database, anywhere."""
    await eventually(lambda: on_replica(kit.installation, tenant))
    work = kit.installation.work(tenant, freshness=Freshness(primary_only=where == "primary"))
    places = []

    async def attempt() -> None:
        async with work.begin(read_only=True) as uow:
            places.extend(await uow.hot(_SERVED_BY))
            await writing(uow)

    with pytest.raises(ReadOnlyUnit):
        await attempt()
    assert [where == "replica"] == [row[0] for row in places]
    async with kit.unit_of_work(tenant) as uow:
        assert [] == await uow.hot("SELECT FROM note WHERE note_id = 'n'")


async def test_a_route_that_writes_is_our_mistake(
    kit: TestKit, tenant: Tenant, scripts: dict[str, Any], eventually: Any
) -> None:
    """A read-only route that writes answers 500 and changes nothing."""
    scripts["reading"] = _hot
    await eventually(lambda: on_replica(kit.installation, tenant))
    async with client(kit, **{"PSS-Tenant": tenant.code}) as http:
        answer = await http.get("/v1/shelf")
        assert (500, "read-only-unit") == (answer.status_code, answer.json()["code"])


async def test_what_decides_reads_from_the_primary(
    kit: TestKit, tenant: Tenant, scripts: dict[str, Any], eventually: Any
) -> None:
    """Within a request that may change something, a read-only unit is on the primary."""
    await eventually(lambda: on_replica(kit.installation, tenant))
    seen = []

    async def look(work: Work) -> None:
        async with work.begin(read_only=True) as uow:
            seen.extend(await uow.hot(_SERVED_BY))

    scripts["dictating"] = look
    async with client(kit, **await keyed(kit, tenant)) as http:
        assert 201 == (await http.post("/v1/dictations", json={"body": "x"})).status_code
    assert [(False,)] == [tuple(row) for row in seen]


async def test_a_claim_waits_for_the_first_write(
    kit: TestKit, tenant: Tenant, scripts: dict[str, Any]
) -> None:
    """A read-only unit before the first write of a POST leaves its Idempotency-Key to that."""

    async def look(work: Work) -> None:
        async with work.begin(read_only=True) as uow:
            await uow.hot("SELECT 1")

    scripts["dictating"] = look
    headers = {**await keyed(kit, tenant), "Idempotency-Key": "dictated"}
    async with client(kit, **headers) as http:
        answers = [await http.post("/v1/dictations", json={"body": "x"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert "true" == answers[1].headers["Idempotent-Replayed"]


async def test_after_a_write_of_the_same_work(
    kit: TestKit, tenant: Tenant, eventually: Any
) -> None:
    """A job's read-only unit may be on the replica until the job has written something."""
    await eventually(lambda: on_replica(kit.installation, tenant))
    work = kit.installation.work(tenant)
    places = []
    for writes in (False, True):
        async with work.begin(read_only=True) as uow:
            places.extend(await uow.hot(_SERVED_BY))
        if not writes:
            async with work.begin() as uow:
                await store.leave_trace(uow, "job", "wrote")
    assert [True, False] == [row[0] for row in places]


async def test_new_tenants_and_tables_first(kit: TestKit, tenant: Tenant, eventually: Any) -> None:
    """While the replica has not seen that a plugin was enabled, nobody reads there."""
    async with paused(kit.installation, tenant, eventually):
        fresh = await kit.make_tenant(plugins=["notes"])
        assert not await on_replica(kit.installation, fresh)
        assert not await on_replica(kit.installation, tenant)
    await eventually(lambda: on_replica(kit.installation, fresh))


async def test_the_transaction_checks_again(kit: TestKit, tenant: Tenant, eventually: Any) -> None:
    """A replica that is further behind than the process believes is found out in time."""
    installation = kit.installation
    async with paused(installation, tenant, eventually):
        async with kit.unit_of_work(tenant) as uow:
            await store.leave_trace(uow, "check", "newer")
        async with installation.database.owner() as owner:
            newer = await read_position(owner, "default")
        replica = replica_of(installation)
        assert replica._seen is not None
        # As behind a balancer: another replica, a better one, was looked at a moment ago.
        replica._seen = replica._seen._replace(replayed=newer.lsn)
        work = installation.work(tenant, freshness=Freshness([newer]))
        async with work.begin(read_only=True) as uow:
            assert [(False,)] == [tuple(row) for row in await uow.hot(_SERVED_BY)]
            assert ["newer"] == await store.traces(uow, "check")


@asynccontextmanager
async def throwaway(
    folder: Path, registry: Registry, **configured: Any
) -> AsyncIterator[tuple[TestKit, Tenant]]:
    """An installation whose replica may be lost."""
    config = Config(data_dir=folder, replica_url="embedded", pool_size=4, **configured)
    async with open_installation(config, registry) as opened:
        kit = TestKit(opened)
        yield kit, await kit.make_tenant(plugins=["notes"])


@pytest.mark.parametrize("how", ["fast", "immediate"])
async def test_the_replica_stops(
    folder: Path, registry: Registry, eventually: Any, scripts: dict[str, Any], how: str
) -> None:
    """Reads go on at the primary, those under way included, and none fails; said once."""
    async with throwaway(folder / f"stopped-{how}", registry) as (kit, tenant):
        installation = kit.installation
        await eventually(lambda: on_replica(installation, tenant))
        replica = servers(installation)[1]
        under_way, stopped = asyncio.Event(), asyncio.Event()

        async def wait(uow: UnitOfWork) -> None:
            under_way.set()
            await stopped.wait()
            await uow.hot("SELECT 1")  # on a connection that has ended

        scripts["reading"] = wait
        async with client(kit, **{"PSS-Tenant": tenant.code}) as http:
            with structlog.testing.capture_logs() as lines:
                reading = asyncio.create_task(shelf(http))
                await under_way.wait()
                await asyncio.to_thread(replica.stop, how)
                stopped.set()
                assert (False, []) == await reading
                scripts.clear()
                for _ in range(20):
                    assert (False, []) == await shelf(http)
            assert 1 == [line["event"] for line in lines].count("replica_not_used")

            await asyncio.to_thread(replica._start)
            await eventually(lambda: on_replica(installation, tenant))


async def test_lost_in_code_that_can_not_be_repeated(
    folder: Path, registry: Registry, eventually: Any
) -> None:
    """A unit that the kernel can't begin again raises ReplicaLost, which may be retried."""
    async with throwaway(folder / "lost", registry) as (kit, tenant):
        await eventually(lambda: on_replica(kit.installation, tenant))

        async def attempt() -> None:
            async with kit.installation.unit_of_work(tenant, read_only=True) as uow:
                await asyncio.to_thread(servers(kit.installation)[1].stop, "immediate")
                await uow.hot("SELECT 1")

        with pytest.raises(ReplicaLost) as caught:
            await attempt()
        assert caught.value.retryable
        assert not await on_replica(kit.installation, tenant)


async def test_a_promoted_replica(folder: Path, registry: Registry, eventually: Any) -> None:
    """One that has become a primary of its own, on another timeline, is not read from."""
    async with throwaway(folder / "promoted", registry) as (kit, tenant):
        installation = kit.installation
        await eventually(lambda: on_replica(installation, tenant))
        with structlog.testing.capture_logs() as lines:
            async with superuser(servers(installation)[1]) as operator:
                assert await operator.fetchval("SELECT pg_promote()")
            # At once, whatever the process still believes of it: the transaction finds out.
            assert not await on_replica(installation, tenant)
            await eventually(lambda: replica_of(installation)._seen is None)
        assert not await on_replica(installation, tenant)
        (said,) = [line for line in lines if line["event"] == "replica_not_used"]
        assert "not a replica" in said["reason"]


async def test_too_far_behind(folder: Path, registry: Registry, eventually: Any) -> None:
    """One that stands still for longer than PSS_REPLICA_MAX_LAG is not used until it follows."""
    async with throwaway(folder / "slow", registry, replica_max_lag=1.0) as (kit, tenant):
        installation = kit.installation

        async def unused() -> bool:
            async with kit.unit_of_work(tenant) as uow:
                await store.leave_trace(uow, "clock", "tick")
            return not await on_replica(installation, tenant)

        with structlog.testing.capture_logs() as lines:
            async with paused(installation, tenant, eventually):
                await eventually(unused)
                await eventually(lambda: any(one["event"] == "replica_not_used" for one in lines))
            await eventually(lambda: on_replica(installation, tenant))
        assert 1 == [one["event"] for one in lines].count("replica_not_used")


async def test_another_cluster(
    folder: Path, registry: Registry, kit: TestKit, eventually: Any
) -> None:
    """A URL that leads to another database cluster is not read from, and said to be wrong."""
    elsewhere = servers(kit.installation)[0].url_of("pss_app")
    config = Config(data_dir=folder / "misled", replica_url=elsewhere, pool_size=4)
    with structlog.testing.capture_logs() as lines:
        async with open_installation(config, registry) as opened:
            tenant = await TestKit(opened).make_tenant(plugins=["notes"])
            await eventually(lambda: any(one["event"] == "replica_not_used" for one in lines))
            assert not await on_replica(opened, tenant)
    assert ["it is no copy of this database"] == [
        one["reason"] for one in lines if one["event"] == "replica_not_used"
    ]


async def test_without_a_replica(either: TestKit) -> None:
    """A read-only unit runs on the primary, READ ONLY; no answer carries a position."""
    tenant = await either.make_tenant(plugins=["notes"])
    async with either.http(tenant, ["*"]) as http:
        written = await http.post("/v1/notes", json={"body": "x"})
        assert 201 == written.status_code
        assert not {"PSS-Position", "Set-Cookie"} & set(written.headers)
        shown = await http.get("/v1/shelf", headers={"PSS-Position": "default.1.ffffff"})
        assert {"bodies": ["x"], "replica": False} == shown.json()

    async def attempt() -> None:
        async with either.installation.unit_of_work(tenant, read_only=True) as uow:
            await _hot(uow)

    with pytest.raises(ReadOnlyUnit):
        await attempt()


async def test_an_embedded_replica_of_a_server(
    server_database: dict[str, Any], registry: Registry, folder: Path
) -> None:
    """Refused: only the embedded database can be copied by us."""
    config = Config(data_dir=folder, replica_url="embedded", **server_database)
    with pytest.raises(Invalid, match="belongs to an embedded database"):
        async with open_installation(config, registry):
            pass


def test_only_a_get_may_be_read_only() -> None:
    """A route that changes something can't be marked; nor one that opens its own units."""
    told = Plugin(
        "told", version="1", permissions=[Permission("told:x", "x", level="user")], package="told"
    )

    @told.route("POST", "/told", permission="told:x", read_only=True)
    async def change(uow: UnitOfWork) -> None:
        """Change something."""

    worked = Plugin(
        "worked", version="1", permissions=[Permission("worked:x", "x", level="user")], package="w"
    )

    @worked.get("/worked", permission="worked:x", read_only=True)
    async def look(work: Work) -> None:
        """Look around."""

    broken = {one.name: one.reason for one in Registry([told, worked]).broken}
    assert "only a GET may be" in broken["told"]
    assert "takes 'work'" in broken["worked"]


def test_replicas_from_the_environment() -> None:
    """Each cell has a replica of its own."""
    config = Config.from_environment(
        {
            "PSS_REPLICA_URL": "postgresql://pss_app@copy/pss",
            "PSS_REPLICA_MAX_LAG": "2.5",
            "PSS_CELLS": "east",
            "PSS_CELL_EAST_DATABASE_URL": "embedded",
            "PSS_CELL_EAST_REPLICA_URL": "embedded",
        }
    )
    assert ("postgresql://pss_app@copy/pss", 2.5) == (config.replica_url, config.replica_max_lag)
    east = CellConfig(name="east", database_url="embedded", replica_url="embedded")
    assert (east,) == config.cells
