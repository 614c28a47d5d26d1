"""Migrating tenants in waves: wholly or not at all, watched, halted, and continued."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import structlog

from pss_api.traffic import TrafficCounter
from pss_kernel import Tenant, migration_health
from pss_kernel.config import Config
from pss_kernel.errors import Conflict, Invalid
from pss_kernel.installation import Installation, open_installation
from pss_kernel.plugin import Plugin
from pss_kernel.registry import Registry
from pss_kernel.rollout._apply import Limits, MigrationHalted, TenantMigration
from pss_kernel.rollout._dry import dry_run
from pss_kernel.rollout._health import HealthCheck
from pss_kernel.rollout._pending import Catalogue, behind
from pss_kernel.rollout._plan import grouped, plugin_statuses, run_status
from pss_kernel.rollout._record import alone
from pss_kernel.rollout._run import Options, Outcome, cohorts, run_migrations
from pss_kernel.rollout._statements import Lock
from pss_kernel.testing import TestKit
from pss_outside.versions import made_plugin, switch_off

_TABLE = 'op.execute("CREATE TABLE stock (name text PRIMARY KEY, left_over bigint)")'
_COLUMN = 'op.execute("ALTER TABLE stock ADD COLUMN unit text")'
_INDEX = """
with op.get_context().autocommit_block():
    op.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_stock_unit ON stock (unit)")
"""
_LATER = 'op.execute("ALTER TABLE stock ADD COLUMN shelf text")'
_SHOP = 'op.execute("CREATE TABLE shop (name text PRIMARY KEY)")'
_SHOP_COLUMN = 'op.execute("ALTER TABLE shop ADD COLUMN street text")'
_QUICK = HealthCheck(watch=0)


class Versions:
    """One installation seen with the plugins of one version or another."""

    def __init__(self, kit: TestKit, folder: Path) -> None:
        self.kit = kit
        self.folder = folder
        self.name = f"stock{secrets.token_hex(3)}"
        self.shop = f"{self.name}_shop"
        self.codes: list[str] = []

    def plugin(self, version: str, *revisions: str, head: str = "") -> Plugin:
        """The plugin with these revisions."""
        numbered = {f"{number:04}": one for number, one in enumerate(revisions, start=1)}
        return made_plugin(self.folder, self.name, version, numbered, head)

    def shop_plugin(self, version: str, *revisions: str) -> Plugin:
        """A second one."""
        numbered = {f"{number:04}": one for number, one in enumerate(revisions, start=1)}
        return made_plugin(self.folder, self.shop, version, numbered)

    async def using(self, *plugins: Plugin) -> Installation:
        """The installation with these plugins installed."""
        given = self.kit.installation
        beside = Installation(given.config, Registry(plugins), given.cells)
        assert [] == beside.registry.broken
        await beside.directory.refresh()
        return beside

    async def tenants(self, installation: Installation, number: int) -> list[Tenant]:
        """So many tenants that have all the plugins."""
        kit = TestKit(installation)
        made = [
            await kit.make_tenant(plugins=list(installation.registry.plugins))
            for _ in range(number)
        ]
        self.codes += [one.code for one in made]
        return made

    async def revisions(self, name: str | None = None) -> list[str | None]:
        """Where the tables of each tenant are."""
        async with self.kit.installation.database.owner() as owner:
            rows = await owner.fetch(
                "SELECT tenant, revision FROM pss.tenant_plugin WHERE plugin = $1",
                name or self.name,
            )
        found = {row["tenant"]: row["revision"] for row in rows}
        return [found[code] for code in self.codes]

    async def columns(self, table: str = "stock") -> list[list[str]]:
        """The columns that each tenant's table really has."""
        async with self.kit.installation.database.owner() as owner:
            return [
                [
                    row["attname"]
                    for row in await owner.fetch(
                        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass "
                        "AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                        f"t_{code}.{table}",
                    )
                ]
                for code in self.codes
            ]

    async def run(self, installation: Installation, **options: Any) -> Outcome:
        """``pss migrate run`` for our tenants."""
        chosen = {"tenants": tuple(self.codes), "health": _QUICK, "parallel": 2} | options
        return await run_migrations(installation, Options(**chosen), lambda *_: None)


def _migration(installation: Installation, owner: Any, tenant: Tenant) -> TenantMigration:
    """One tenant's, by itself."""
    roles = installation.database.roles
    catalogue = Catalogue(installation.registry)
    return TenantMigration(owner, tenant, roles, catalogue, Limits(), asyncio.Lock())


@pytest_asyncio.fixture(loop_scope="session")
async def versions(either: TestKit, tmp_path: Path) -> AsyncIterator[Versions]:
    """A plugin that no other test has, in any version; no tenant misses it afterwards."""
    sys.path.append(str(tmp_path))
    made = Versions(either, tmp_path)
    yield made
    sys.path.remove(str(tmp_path))
    await switch_off(either.installation, made.name, made.shop)


async def test_everything_is_brought_up(versions: Versions) -> None:
    """Every tenant gets every pending revision, with the ledger beside it; again does nothing."""
    old = await versions.using(versions.plugin("1", _TABLE), versions.shop_plugin("1", _SHOP))
    await versions.tenants(old, 6)
    new = await versions.using(
        versions.plugin("2", _TABLE, _COLUMN, _INDEX, _LATER),
        versions.shop_plugin("2", _SHOP, _SHOP_COLUMN),
    )
    outcome = await versions.run(new)
    assert ("done", 6, 0) == (outcome.state, outcome.migrated, outcome.waiting)
    assert ["0004"] * 6 == await versions.revisions()
    assert [["name", "left_over", "unit", "shelf"]] * 6 == await versions.columns()
    assert [["name", "street"]] * 6 == await versions.columns("shop")
    assert "nothing" == (await versions.run(new)).state


async def test_a_failure_leaves_a_tenant_whole(versions: Versions) -> None:
    """The tenant whose second plugin fails keeps the old tables of the first one too."""
    old = await versions.using(versions.plugin("1", _TABLE), versions.shop_plugin("1", _SHOP))
    tenants = await versions.tenants(old, 4)
    bad = max(tenants, key=lambda one: one.code)
    async with versions.kit.installation.database.owner() as owner:
        await owner.execute(f"ALTER TABLE {bad.schema}.shop ADD COLUMN street text")
    new = await versions.using(
        versions.plugin("2", _TABLE, _COLUMN), versions.shop_plugin("2", _SHOP, _SHOP_COLUMN)
    )
    outcome = await versions.run(new, parallel=1)
    assert ("halted", 3, 1) == (outcome.state, outcome.migrated, outcome.waiting)
    assert outcome.reason is not None
    assert f"{bad.code}: {versions.shop} 0002" in outcome.reason
    behind_now = dict(zip(versions.codes, await versions.columns(), strict=True))
    assert ["name", "left_over"] == behind_now.pop(bad.code)
    assert [["name", "left_over", "unit"]] * 3 == list(behind_now.values())
    status = await run_status(new)
    assert status is not None
    assert ("halted", [bad.code], 3) == (status.state, list(status.failed), status.migrated)
    async with versions.kit.installation.database.owner() as owner:
        await owner.execute(f"ALTER TABLE {bad.schema}.shop DROP COLUMN street")
    again = await versions.run(new)
    assert ("done", 1, True) == (again.state, again.migrated, again.continued)
    assert ["0002"] * 4 == await versions.revisions()


async def test_canaries_go_first_and_can_halt_it(versions: Versions, tmp_path: Path) -> None:
    """A check that fails after the canaries leaves all others untouched; then it continues."""
    old = await versions.using(versions.plugin("1", _TABLE))
    tenants = await versions.tenants(old, 5)
    new = await versions.using(versions.plugin("2", _TABLE, _COLUMN))
    given, verdict = tmp_path / "given", tmp_path / "verdict"
    verdict.write_text("echo 'sales have stopped'; exit 3")
    with pytest.raises(Invalid, match="Nothing is pending for the canaries ghost"):
        await versions.run(new, canaries=(tenants[2].code, "ghost"))
    script = tmp_path / "check.sh"
    script.write_text(f"cat >> {given}\n. {verdict}\n")
    options = {
        "canaries": (tenants[2].code,),
        "health": replace(_QUICK, check=f"/bin/sh {script}"),
    }
    outcome = await versions.run(new, **options)
    assert ("halted", 1, 4) == (outcome.state, outcome.migrated, outcome.waiting)
    assert "The check ended with 3: sales have stopped" == outcome.reason
    assert f"{tenants[2].code}\n" == given.read_text()
    assert ["0001", "0001", "0002", "0001", "0001"] == await versions.revisions()
    with pytest.raises(Conflict, match="--anew"):
        await versions.run(new, **(options | {"canaries": (tenants[0].code,)}))
    verdict.write_text("exit 0")
    again = await versions.run(new, **options)
    assert ("done", 4, True) == (again.state, again.migrated, again.continued)


async def test_failing_requests_halt_it(versions: Versions) -> None:
    """Requests of the canaries that fail after their migration halt the run."""
    old = await versions.using(versions.plugin("1", _TABLE))
    first, *_ = await versions.tenants(old, 3)
    new = await versions.using(versions.plugin("2", _TABLE, _COLUMN))
    counter = TrafficCounter(new)
    for _ in range(30):  # before the migration: they don't count
        counter.note(first, 500, 0.004)
    await counter.flush()

    async def failing() -> None:
        while True:
            for status in (200, 200, 503):
                counter.note(first, status, 0.004)
            await counter.flush()
            await asyncio.sleep(0.05)  # between two seconds' counts

    async def served() -> None:
        while True:
            counter.note(first, 200, 0.004)
            await counter.flush()
            await asyncio.sleep(0.05)  # the same

    task = asyncio.create_task(failing())
    options = {"canaries": (first.code,), "health": HealthCheck(watch=20)}
    outcome = await versions.run(new, **options)
    task.cancel()
    assert ("halted", 1) == (outcome.state, outcome.migrated)
    assert outcome.reason is not None
    assert "requests failed (33" in outcome.reason
    async with versions.kit.installation.database.owner() as owner:
        await owner.execute("DELETE FROM pss.tenant_traffic WHERE tenant = $1", first.code)
    task = asyncio.create_task(served())
    again = await versions.run(new, **(options | {"health": HealthCheck(watch=2)}))
    task.cancel()
    assert ("done", 2) == (again.state, again.migrated)


async def test_a_plugin_can_object(versions: Versions) -> None:
    """What a plugin finds in ``migration_health`` halts the run, and so does its failure."""
    old = await versions.using(versions.plugin("1", _TABLE))
    await versions.tenants(old, 2)
    plugin = versions.plugin("2", _TABLE, _COLUMN)
    said: list[Any] = [ZeroDivisionError(), "Nothing is left over.", None]

    @plugin.hook(migration_health)
    async def look(uow: Any, findings: list[str]) -> list[str]:
        await uow.hot("SELECT unit FROM stock")
        found = said.pop(0)
        if isinstance(found, Exception):
            raise found
        return [*findings, found] if found else findings

    new = await versions.using(plugin)
    reasons = [(await versions.run(new)).reason for _ in range(3)]
    assert "failed in 'migration_health'" in str(reasons[0])
    assert str(reasons[1]).endswith("Nothing is left over.")
    assert reasons[2] is None
    assert ["0002"] * 2 == await versions.revisions()


async def test_an_invalid_index_is_made_again(versions: Versions) -> None:
    """What a kill left of an index is dropped; one that was finished is left; doubles are told."""
    old = await versions.using(versions.plugin("1", _TABLE, _COLUMN))
    (tenant,) = await versions.tenants(old, 1)
    new = await versions.using(versions.plugin("2", _TABLE, _COLUMN, _INDEX))
    async with versions.kit.installation.database.owner() as owner:
        await owner.execute(f"SET search_path = {tenant.schema}")
        await owner.execute("INSERT INTO stock VALUES ('a', 1, 'x'), ('b', 1, 'x')")
        outcome = await versions.run(new)
        assert "halted" == outcome.state
        assert "could not create unique index" in str(outcome.reason)
        assert "Key" not in str(outcome.reason)  # no values of people in what is kept
        look = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_stock_unit')"
        assert await owner.fetchval(look) is None  # it would cost every write
        with pytest.raises(Exception, match="could not create unique index"):
            await owner.execute("CREATE UNIQUE INDEX CONCURRENTLY ix_stock_unit ON stock (unit)")
        assert await owner.fetchval(look) is False
        await owner.execute("DELETE FROM stock WHERE name = 'b'")
        assert "done" == (await versions.run(new)).state
        assert await owner.fetchval(look) is True
        await owner.execute(
            "UPDATE pss.tenant_plugin SET revision = '0002' WHERE tenant = $1 AND plugin = $2",
            tenant.code,
            versions.name,
        )
        assert "done" == (await versions.run(new)).state
    assert ["0003"] == await versions.revisions()


async def test_it_waits_for_locks_briefly(versions: Versions) -> None:
    """A long transaction delays the migration, which gets out of the way of requests meanwhile."""
    old = await versions.using(versions.plugin("1", _TABLE))
    (tenant,) = await versions.tenants(old, 1)
    new = await versions.using(versions.plugin("2", _TABLE, _COLUMN))
    tried = asyncio.Event()
    async with new.unit_of_work(tenant) as uow:
        await uow.hot("SELECT name FROM stock")
        running = asyncio.create_task(versions.run(new, limits=Limits(lock_timeout=20)))
        async with versions.kit.installation.database.owner() as owner:
            while not tried.is_set():
                waits = await owner.fetchval(
                    "SELECT count(*) FROM pg_locks WHERE NOT granted "
                    "AND relation = $1::text::regclass",
                    f"{tenant.schema}.stock",
                )
                if waits:
                    tried.set()
        async with new.unit_of_work(tenant) as other:  # not behind it for long
            await other.hot("SELECT name FROM stock")
        assert not running.done()
    assert "done" == (await running).state


async def test_a_dry_run_changes_nothing(versions: Versions) -> None:
    """It says what each statement took, and all is rolled back."""
    old = await versions.using(versions.plugin("1", _TABLE))
    (tenant,) = await versions.tenants(old, 1)
    rewrite = 'op.execute("ALTER TABLE stock ALTER COLUMN left_over TYPE numeric")'
    new = await versions.using(versions.plugin("2", _TABLE, _COLUMN, rewrite, _INDEX))
    async with versions.kit.installation.database.owner() as owner:
        seen = await dry_run(_migration(new, owner, tenant))
    # The second holds what the first took, and one more for the primary key's index.
    exclusive, share = (Lock("stock", "ACCESS EXCLUSIVE"),), (Lock("stock", "SHARE"),)
    assert [("0002", exclusive, ()), ("0003", share, ("stock",)), ("0004", (), ())] == [
        (one.revision, one.locks, one.rewritten) for one in seen
    ]
    assert [False, False, True] == [one.milliseconds is None for one in seen]
    assert (["0001"], [["name", "left_over"]]) == (
        await versions.revisions(),
        await versions.columns(),
    )


async def test_strict_plugins_get_their_new_tables(versions: Versions) -> None:
    """At a strict tenant, a plugin's own role may work on the table that a migration makes."""
    old = await versions.using(versions.plugin("1", _TABLE))
    (tenant,) = await versions.tenants(old, 1)
    async with versions.kit.installation.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant SET strict_plugins = true WHERE code = $1", tenant.code
        )
    sale = 'op.execute("CREATE TABLE sale (stock text)")'
    new = await versions.using(versions.plugin("2", _TABLE, sale))
    assert "done" == (await versions.run(new)).state
    async with versions.kit.installation.database.owner() as owner:
        role = new.database.roles.plugin(tenant.code, versions.name)
        assert await owner.fetchval(
            "SELECT has_table_privilege($1, $2, 'INSERT')", role, f"{tenant.schema}.sale"
        )
        await owner.execute(f'DROP OWNED BY "{role}"')
        await owner.execute(f'DROP ROLE "{role}"')


async def test_the_plan_is_grouped(versions: Versions) -> None:
    """Tenants that lack the same stand together, with the locks of each statement."""
    old = await versions.using(versions.plugin("1", _TABLE))
    await versions.tenants(old, 3)
    middle = await versions.using(versions.plugin("2", _TABLE, _COLUMN))
    late = (await versions.tenants(middle, 1))[0]
    new = await versions.using(versions.plugin("3", _TABLE, _COLUMN, _INDEX))
    catalogue = Catalogue(new.registry, [versions.name])
    groups = grouped(behind(new, catalogue), catalogue)
    assert [("0001", "0003", sorted(versions.codes[:3])), ("0002", "0003", [late.code])] == [
        (one.at, one.to, one.tenants) for one in groups
    ]
    column, index = groups[0].steps
    assert (True, False) == (column.in_transaction, index.in_transaction)
    assert (Lock("stock", "ACCESS EXCLUSIVE"),) == column.statements[0].locks
    assert (Lock("stock", "SHARE UPDATE EXCLUSIVE"),) == index.statements[0].locks
    (status,) = plugin_statuses(new, catalogue)
    assert (0, 4, 0) == (status.migrated, status.pending, status.ahead)
    await old.directory.refresh()
    (status,) = plugin_statuses(old, Catalogue(old.registry, [versions.name]))
    assert (3, 0, 1) == (status.migrated, status.pending, status.ahead)


async def test_a_database_that_refuses(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that can't be had halts the run like a migration that fails."""
    old = await versions.using(versions.plugin("1", _TABLE))
    await versions.tenants(old, 2)
    new = await versions.using(versions.plugin("2", _TABLE, _COLUMN))

    async def refused(*_: Any) -> None:
        raise asyncpg.TooManyConnectionsError("sorry, too many clients already")

    with monkeypatch.context() as patched:
        patched.setattr("pss_kernel.rollout._wave.Owners.of", refused)
        outcome = await versions.run(new)
    assert ("halted", 0, 2) == (outcome.state, outcome.migrated, outcome.waiting)
    assert "too many clients already" in str(outcome.reason)
    assert ("done", 2) == ((again := await versions.run(new)).state, again.migrated)


async def test_one_that_moves_is_left_out(versions: Versions) -> None:
    """A tenant that is being moved or deleted is not touched; later it is migrated."""
    old = await versions.using(versions.plugin("1", _TABLE))
    moving, _ = await versions.tenants(old, 2)
    new = await versions.using(versions.plugin("2", _TABLE, _COLUMN))
    go_to = "UPDATE pss.placement SET state = $2 WHERE tenant = $1"
    async with versions.kit.installation.database.owner() as owner:
        await owner.execute(go_to, moving.code, "moving")
        assert ("done", 1) == ((first := await versions.run(new)).state, first.migrated)
        assert ["0001", "0002"] == await versions.revisions()
        await owner.execute(go_to, moving.code, "active")
    again = await versions.run(new)
    assert ("done", 1, False) == (again.state, again.migrated, again.continued)


async def test_a_version_without_a_revision(versions: Versions) -> None:
    """A version that changes no table is written down all the same; nothing is pending."""
    old = await versions.using(versions.plugin("1", _TABLE))
    (tenant,) = await versions.tenants(old, 1)
    new = await versions.using(versions.plugin("1.1", _TABLE))
    assert "nothing" == (await versions.run(new)).state
    await new.directory.refresh()
    assert "1.1" == new.directory.by_code(tenant.code).plugins[versions.name].version


async def test_one_run_at_a_time(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second one is refused while the first is at work."""
    monkeypatch.setattr("pss_kernel.rollout._record._PATIENCE_SECONDS", 0)
    async with alone(versions.kit.installation.database):
        with pytest.raises(Conflict, match="at work"):
            await versions.run(versions.kit.installation)


async def test_a_run_for_something_else_begins_anew(versions: Versions) -> None:
    """A newer version is a run of its own; the one that was halted is superseded."""
    old = await versions.using(versions.plugin("1", _TABLE))
    await versions.tenants(old, 2)
    bad = await versions.using(versions.plugin("2", _TABLE, 'op.execute("SELECT 1 / 0")'))
    halted = await versions.run(bad)
    assert ("halted", 2) == (halted.state, halted.waiting)
    mended = await versions.using(versions.plugin("2.1", _TABLE, _COLUMN))
    outcome = await versions.run(mended)
    assert ("done", False) == (outcome.state, outcome.continued)
    async with versions.kit.installation.database.owner() as owner:
        state = await owner.fetchval(
            "SELECT state FROM pss.migration_run WHERE run_id = $1", halted.run_id
        )
    assert "superseded" == state


@pytest.mark.parametrize(
    ("codes", "canaries", "sizes"),
    [(0, 0, []), (1, 1, [1]), (1000, 10, [10, 40, 160, 640, 150]), (7, 1, [1, 4, 2])],
)
def test_waves_grow(codes: int, canaries: int, sizes: list[int]) -> None:
    """Canaries first, then each wave four times the one before; nobody twice or never."""
    names = [f"c{number:04}" for number in range(codes)]
    waves = cohorts(names, names[::-1][:canaries])
    assert sizes == [len(one) for one in waves]
    assert names == sorted(code for wave in waves for code in wave)


async def test_older_code_leaves_tables_that_are_ahead(versions: Versions) -> None:
    """A process of the version before migrates nothing backwards."""
    old = await versions.using(versions.plugin("1", _TABLE))
    new = await versions.using(versions.plugin("2", _TABLE, _COLUMN))
    await versions.tenants(new, 2)
    await old.directory.refresh()
    assert "nothing" == (await versions.run(old)).state
    assert ["0002"] * 2 == await versions.revisions()


@pytest.mark.parametrize("migrates", [True, False])
async def test_a_start_migrates_as_it_is_told(versions: Versions, migrates: bool) -> None:
    """``PSS_MIGRATE_ON_START`` decides; without, one line says what waits, and all is served."""
    old = await versions.using(versions.plugin("1", _TABLE))
    (tenant,) = await versions.tenants(old, 1)
    registry = Registry([versions.plugin("2", _TABLE, _COLUMN, _INDEX)])
    given = versions.kit.installation.config
    values = {name: getattr(given, name) for name in Config.__struct_fields__}
    config = Config(**(values | {"migrate_on_start": migrates}))
    with structlog.testing.capture_logs() as lines:
        async with open_installation(config, registry) as opened:
            known = opened.directory.by_code(tenant.code)
            assert versions.name in known.enabled
    assert ["0003" if migrates else "0001"] == await versions.revisions()
    told = [one for one in lines if one["event"] == "migrations_pending"]
    assert ([] if migrates else [[versions.name]]) == [one["plugins"] for one in told]


def test_where_a_start_migrates() -> None:
    """By default with the embedded database only."""
    config = Config(data_dir=Path())
    server = Config(data_dir=Path(), database_url="postgresql://x/y")
    assert (True, False) == (config.migrates_on_start, server.migrates_on_start)


async def test_a_failure_names_the_revision(versions: Versions) -> None:
    """A single tenant's error says which revision it was and what the database said."""
    old = await versions.using(versions.plugin("1", _TABLE))
    (tenant,) = await versions.tenants(old, 1)
    new = await versions.using(versions.plugin("2", _TABLE, 'op.execute("SELECT nothing")'))
    async with versions.kit.installation.database.owner() as owner:
        migration = _migration(new, owner, tenant)
        with pytest.raises(MigrationHalted, match=rf"{versions.name} 0002: .*nothing.*42703"):
            await migration.run()
        with pytest.raises(MigrationHalted, match=rf"{versions.name} 0002: .*nothing.*42703"):
            await dry_run(migration)
