"""Making tenants: the owner's connections, shared rights, and many tenants from their folders."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event

from pss_kernel import Conflict, Invalid
from pss_kernel.installation import Installation
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.persistence._migrations import upgrade_control
from pss_kernel.registry import Registry
from pss_kernel.tenancy._file import InvalidTenant
from pss_kernel.tenancy._folders import Outcome, apply_plans, find_folders, plan_folders
from pss_kernel.testing import TestKit
from pss_notes import store

_TENANT = """\
[tenant]
code = "{code}"
name = "{code}"
currency = "EUR"
time_zone = "UTC"
domains = ["{code}.example"]
{more}
[plugins.notes]
[plugins.echo]
"""
Write = Callable[..., list[str]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write so many tenants' folders; ``changed`` maps places to other texts. Gives their codes."""
    run = f"m{secrets.token_hex(3)}"

    def write(number: int, changed: dict[int, dict[str, str]] | None = None) -> list[str]:
        codes = [f"{run}x{place}" for place in range(number)]
        for place, code in enumerate(codes):
            folder = tmp_path / code
            (folder / "counters").mkdir(parents=True, exist_ok=True)
            files = {"tenant.toml": _TENANT, "counters/a.toml": "a = 1\n"}
            files |= (changed or {}).get(place, {})
            for name, text in files.items():
                (folder / name).write_text(text.format(code=code, more="", first=codes[0]))
        return codes

    return write


class TestOwnersConnections:
    """Connections of the owner are kept, and nobody notices."""

    @staticmethod
    async def _state(owner: asyncpg.Connection) -> dict[str, Any]:
        row = await owner.fetchrow(
            "SELECT current_user AS role, session_user AS login,"
            " current_setting('search_path') AS path, current_setting('lock_timeout') AS timeout,"
            " to_regclass('pg_temp.mine') AS mine,"
            " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
            "  AND pid = pg_backend_pid()) AS locks,"
            " (SELECT count(*) FROM pg_listening_channels()) AS channels,"
            " pg_current_xact_id_if_assigned() IS NULL AS fresh"
        )
        return dict(row)

    async def test_nothing_is_left(self, either: TestKit) -> None:
        """Settings, roles, temporary tables, locks and channels of one use end with it."""
        database = either.installation.database
        async with database.owner() as owner:
            before = await self._state(owner)
            pid = owner.get_server_pid()
            await owner.execute("SET search_path = public, pss; SET lock_timeout = '3s'")
            await owner.execute("CREATE TEMP TABLE mine (n int); LISTEN anything")
            await owner.execute("SELECT pg_advisory_lock(7)")
            await owner.execute(f'SET ROLE "{database.roles.relay}"')
        async with database.owner() as owner:
            assert (pid, before) == (owner.get_server_pid(), await self._state(owner))

    async def test_after_an_error_and_a_cancellation(self, either: TestKit) -> None:
        """A transaction that was left open is rolled back, whatever ended its user."""
        database = either.installation.database
        waiting = asyncio.Event()

        async def hold() -> None:
            async with database.owner() as owner:
                await owner.execute("BEGIN; SET LOCAL search_path = pss")
                await owner.execute("CREATE TABLE pss.never (n int)")
                waiting.set()
                await owner.execute("SELECT pg_sleep(60)")

        async def fail() -> None:
            async with database.owner() as owner, owner.transaction():
                await owner.execute("CREATE TABLE pss.never (n int)")
                raise ZeroDivisionError

        task = asyncio.create_task(hold())
        await waiting.wait()
        task.cancel()
        assert [asyncio.CancelledError] == [
            type(one) for one in await asyncio.gather(task, return_exceptions=True)
        ]
        with pytest.raises(ZeroDivisionError):
            await fail()
        async with database.owner() as owner:
            assert await owner.fetchval("SELECT to_regclass('pss.never') IS NULL")
            assert "" == (await self._state(owner))["path"]

    async def test_a_server_that_was_started_again(self, either: TestKit) -> None:
        """Connections that the server has ended meanwhile are replaced, not given."""
        database = either.installation.database
        async with database.owner() as one, database.owner() as other:
            pids = [one.get_server_pid(), other.get_server_pid()]
        ending = await asyncpg.connect(**database._owners._arguments)
        for pid in pids:
            await ending.execute("SELECT pg_terminate_backend($1, 5000)", pid)
        await ending.close()
        async with database.owner() as one, database.owner() as other:
            assert {1} == {await owner.fetchval("SELECT 1") for owner in (one, other)}

    async def test_closed_with_the_database(self, either: TestKit) -> None:
        """Closing closes them; a later use opens new ones."""
        database = either.installation.database
        async with database.owner() as owner:
            await owner.fetchval("SELECT 1")
        kept = database._owners._pool
        await database._owners.close()
        assert 0 == kept.get_size()
        async with database.owner() as owner:
            assert 1 == await owner.fetchval("SELECT 1")


class TestSharedRights:
    """What every tenant's role may do is granted once, however many there are."""

    _ENTRIES = (
        "SELECT relname::text, cardinality(relacl) AS entries FROM pg_class "
        "WHERE relnamespace = 'pss'::regnamespace AND relacl IS NOT NULL "
        "UNION ALL SELECT nspname, cardinality(nspacl) FROM pg_namespace WHERE nspname = 'pss'"
    )

    async def test_no_table_grows(self, either: TestKit) -> None:
        """A further tenant adds nothing to the rights of any table: such a row has a limit."""
        await either.make_tenant()
        async with either.installation.database.owner() as owner:
            before = await owner.fetch(self._ENTRIES)
            await either.make_tenant(plugins=["echo"])
            assert before == await owner.fetch(self._ENTRIES)

    async def test_tenants_of_earlier_versions(self, either: TestKit) -> None:
        """One whose role is not a member yet is made one when a process starts."""
        tenant = await either.make_tenant(plugins=["notes"])
        database = either.installation.database
        async with database.owner() as owner:
            await owner.execute(f'REVOKE "{database.roles.tenants}" FROM "{tenant.role}"')
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await self._write(either, tenant)
        await upgrade_control(database)
        await self._write(either, tenant)

    async def test_a_connection_that_does_not_know_yet(self, kit: TestKit) -> None:
        """A connection that has an old list of roles is replaced by one that knows the new one."""
        tenant = await kit.make_tenant(plugins=["notes"])
        database = kit.installation.database
        server = EmbeddedPostgres(kit.installation.config.data_dir)
        grant = f'GRANT "{tenant.role}" TO "{database.roles.app}"'
        replaced = []

        def give(*_: Any) -> None:
            url = database.owner_url.render_as_string()
            command = [str(server.program("psql")), "--quiet", f"--command={grant}", url]
            replaced.append(subprocess.run(command, check=True))

        async with database.owner() as owner:
            await owner.execute(f'REVOKE "{tenant.role}" FROM "{database.roles.app}"')
        pool = database.engine.sync_engine.pool
        event.listen(pool, "invalidate", give)
        try:
            await self._write(kit, tenant)
        finally:
            event.remove(pool, "invalidate", give)
        assert 1 == len(replaced)

    @staticmethod
    async def _write(kit: TestKit, tenant: Any) -> None:
        async with kit.unit_of_work(tenant) as uow:
            await store.write_note(uow, "with an event")


class TestManyTenants:
    """Folders of many tenants are applied as one."""

    @staticmethod
    async def _apply(
        installation: Installation, folder: Path, told: list[tuple[int, int]] | None = None
    ) -> list[Outcome]:
        plans = await plan_folders(installation, find_folders([folder]), parallel=3)
        done = [] if told is None else told
        return await apply_plans(
            installation, plans, parallel=3, done=lambda *one: done.append(one)
        )

    @staticmethod
    async def _leave(installation: Installation, code: str, state: str) -> None:
        """As a command that was killed at that moment does."""
        async with installation.database.owner() as owner:
            await owner.execute(
                "UPDATE pss.tenant_plugin SET state = $2 WHERE tenant = $1 AND plugin = 'echo'",
                *(code, state),
            )
        await installation.directory.refresh()

    async def test_applied_and_again(self, either: TestKit, write: Write, tmp_path: Path) -> None:
        """All are made, progress counts them, and a second time there is nothing to do."""
        codes = write(5)
        told: list[tuple[int, int]] = []
        outcomes = await self._apply(either.installation, tmp_path, told)
        assert {("applied", 4)} == {(one.state, len(one.changes)) for one in outcomes}
        assert [(number, 5) for number in range(6)] == told
        for code in codes:
            tenant = either.installation.directory.by_code(code)
            assert {"kernel", "identity", "notes", "echo"} == tenant.enabled
            async with either.unit_of_work(tenant) as uow:
                assert 1 == await store.left_in(uow, "a")
        again = await self._apply(either.installation, tmp_path, told)
        assert {("unchanged", 0)} == {(one.state, len(one.changes)) for one in again}
        assert 6 == len(told)

    async def test_one_that_fails(self, kit: TestKit, write: Write, tmp_path: Path) -> None:
        """It is named with the reason, the others are made; once mended, the same finishes it."""
        codes = write(4, {1: {"counters/a.toml": "a = 1\na = 2\n"}})
        states = {one.tenant: one for one in await self._apply(kit.installation, tmp_path)}
        assert ["applied", "failed", "applied", "applied"] == [states[one].state for one in codes]
        assert "overwrite" in str(states[codes[1]].error)
        write(4)
        again = await self._apply(kit.installation, tmp_path)
        assert [(codes[1], "load counters of notes: 1 files of counters loaded")] == [
            (one.tenant, str(change)) for one in again for change in one.changes
        ]

    async def test_every_error_of_every_folder(
        self, kit: TestKit, write: Write, tmp_path: Path
    ) -> None:
        """With an error in any file nothing is applied, and all are told at once."""
        codes = write(
            5,
            {
                1: {"tenant.toml": _TENANT.replace('"UTC"', '"Nowhere"')},
                2: {"counters/a.toml": "a = x\n"},
                3: {"tenant.toml": _TENANT.replace('["{code}', '["{first}')},
                4: {"tenant.toml": _TENANT.replace("[plugins.notes]", "")},
            },
        )
        with pytest.raises(InvalidTenant) as refused:
            await self._apply(kit.installation, tmp_path)
        told = {one.path.relative_to(tmp_path).parts[0]: one for one in refused.value.findings}
        said = {
            codes[1]: "'Nowhere' is not a time zone",
            codes[2]: "Not a number.",
            codes[3]: f"The domain '{codes[0]}.example' is that of",
            codes[4]: "requires the plugin 'notes'",
        }
        assert said.keys() == told.keys()
        assert [] == [code for code, text in said.items() if text not in told[code].message]
        assert not set(codes) & {one.code for one in kit.installation.directory}

    async def test_the_only_error(self, kit: TestKit, write: Write, tmp_path: Path) -> None:
        """One problem alone is told as it is, with its own code."""
        codes = write(2)
        await self._apply(kit.installation, tmp_path)
        write(2, {1: {"tenant.toml": _TENANT.replace("EUR", "USD")}})
        with pytest.raises(Conflict) as refused:
            await self._apply(kit.installation, tmp_path)
        assert ("currency-fixed", True) == (refused.value.code, codes[1] in refused.value.detail)
        write(2, {1: {"tenant.toml": _TENANT.replace("{more}", 'cell = "west"')}})
        with pytest.raises(Invalid) as refused:
            await self._apply(kit.installation, tmp_path)
        assert "unknown-cell" == refused.value.code

    @pytest.mark.parametrize("state", ["enabling", "disabling"])
    async def test_what_was_left_half_way(
        self, kit: TestKit, write: Write, tmp_path: Path, state: str
    ) -> None:
        """A plugin that a killed command left half-way is brought to where the file has it."""
        (code,) = write(1)
        await self._apply(kit.installation, tmp_path)
        await self._leave(kit.installation, code, state)
        (outcome,) = await self._apply(kit.installation, tmp_path)
        assert ["enable plugin echo"] == [str(one) for one in outcome.changes]
        await self._leave(kit.installation, code, state)
        write(1, {0: {"tenant.toml": _TENANT.replace("[plugins.echo]", "")}})
        (outcome,) = await self._apply(kit.installation, tmp_path)
        assert ["disable plugin echo"] == [str(one) for one in outcome.changes]
        assert "disabled" == kit.installation.directory.by_code(code).plugins["echo"].state

    async def test_few_connections(self, kit: TestKit, write: Write, tmp_path: Path) -> None:
        """So many tenants at once take so many connections of the owner's, and no more."""
        write(9)
        database = kit.installation.database
        await database._owners.close()
        await self._apply(kit.installation, tmp_path)
        assert database._owners._pool.get_size() <= 3

    def test_folders(self, write: Write, tmp_path: Path) -> None:
        """A folder is a tenant's or holds those of tenants; each counts once."""
        codes = write(3)
        (tmp_path / "empty").mkdir()
        one = tmp_path / codes[1]
        assert [one] == find_folders([one, tmp_path / "empty" / ".." / codes[1]])
        assert [one, tmp_path / codes[0], tmp_path / codes[2]] == find_folders([one, tmp_path])
        assert [tmp_path / "empty"] == find_folders([tmp_path / "empty"])


async def test_made_at_the_same_time(either: TestKit, registry: Registry) -> None:
    """Tenants are made side by side, without waiting for or failing because of each other."""
    made = await asyncio.gather(*(either.make_tenant(plugins=["echo"]) for _ in range(8)))
    assert 8 == len({tenant.code for tenant in made})
    assert {frozenset({"kernel", "identity", "notes", "echo"})} == {
        tenant.enabled for tenant in made
    }
