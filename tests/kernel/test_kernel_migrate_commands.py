"""``pss migrate``: what people and machines are told."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel.cli import main
from pss_kernel.cli._context import installed_plugins
from pss_kernel.installation import Installation
from pss_kernel.plugin import Plugin
from pss_kernel.registry import Registry
from pss_kernel.testing import TestKit
from pss_outside.versions import made_plugin, switch_off

_TABLE = 'op.execute("CREATE TABLE stock (name text PRIMARY KEY)")'
_COLUMN = 'op.execute("ALTER TABLE stock ADD COLUMN unit text")'
_INDEX = """
with op.get_context().autocommit_block():
    op.execute("CREATE INDEX CONCURRENTLY ix_stock_unit ON stock (unit)")
"""
_WRONG = 'op.execute("ALTER TABLE stock DROP COLUMN name")'


class Commands:
    """``pss`` in this process, with one plugin installed in a version of our choice."""

    def __init__(
        self,
        installation: Installation,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.name = f"stock{secrets.token_hex(3)}"
        self._installation = installation
        self._folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.setenv("PSS_DATA_DIR", str(installation.config.data_dir))

    def install(self, version: str, *revisions: str) -> Plugin:
        """Install the plugin with these revisions, in the place of any other."""
        numbered = {f"{number:04}": one for number, one in enumerate(revisions, start=1)}
        plugin = made_plugin(self._folder, self.name, version, numbered)
        self._monkeypatch.setattr(Registry, "discover", lambda **_: Registry([plugin]))
        installed_plugins.cache_clear()
        return plugin

    async def tenants(self, number: int, *revisions: str) -> list[str]:
        """Make tenants whose tables have these revisions."""
        registry = Registry([self.install("1", *revisions)])
        given = self._installation
        beside = Installation(given.config, registry, given.cells)
        await beside.directory.refresh()
        kit = TestKit(beside)
        return sorted([(await kit.make_tenant(plugins=[self.name])).code for _ in range(number)])

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Run ``pss migrate`` with these; its exit code and what it says."""
        self._monkeypatch.setattr(sys, "argv", ["pss", "migrate", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Give the document that it prints."""
        ended, out, err = self(*arguments, "--json")
        assert code == ended, err
        return json.loads(out)


@pytest_asyncio.fixture(loop_scope="session")
async def migrate(
    installation: Installation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> AsyncIterator[Commands]:
    """With a plugin that no other test has, and no tenant misses afterwards."""
    sys.path.append(str(tmp_path))
    made = Commands(installation, tmp_path, monkeypatch, capsys)
    yield made
    sys.path.remove(str(tmp_path))
    installed_plugins.cache_clear()
    await switch_off(installation, made.name)


@pytest_asyncio.fixture(loop_scope="session")
async def tenants(migrate: Commands) -> list[str]:
    """Seven with the first revision only."""
    return await migrate.tenants(7, _TABLE)


def test_from_plan_to_status(migrate: Commands, tenants: list[str]) -> None:
    """Plan, dry run, run and status of seven tenants, for people and for machines."""
    migrate.install("2", _TABLE, _COLUMN, _INDEX)
    only = ["--plugin", migrate.name]
    code, out, _ = migrate("plan", *only)
    assert 0 == code
    assert f"{migrate.name} 2: 0001 to 0003, 7 tenants: {', '.join(tenants[:5])} and 2 more" in out
    assert "ACCESS EXCLUSIVE on stock (blocks reads and writes)" in out
    assert "0003 (not in a transaction; after the others)" in out
    (group,) = migrate.json("plan", *only, "--tenant", tenants[0])["pending"]
    assert ([tenants[0]], "0003") == (group["tenants"], group["to"])
    assert [{"table": "stock", "mode": "SHARE UPDATE EXCLUSIVE"}] == (
        group["steps"][1]["statements"][0]["locks"]
    )
    code, out, err = migrate("run", "--dry-run", *only, "--tenant", tenants[1])
    assert (0, "Everything was rolled back.\n") == (code, err)
    assert "not run" in out
    assert 2 == len(migrate.json("run", "--dry-run", *only)["observed"])  # of one canary
    outcome = migrate.json("run", *only, "--watch", "0", "--canary", tenants[3])
    assert ("done", 7, 0) == (outcome["state"], outcome["migrated"], outcome["waiting"])
    found = migrate.json("status")
    (plugin,) = [one for one in found["plugins"] if one["plugin"] == migrate.name]
    assert (7, 0, 0) == (plugin["migrated"], plugin["pending"], plugin["ahead"])
    assert ("done", 7) == (found["run"]["state"], found["run"]["migrated"])
    code, out, _ = migrate("status")
    assert (0, True) == (code, "is done" in out)
    for command in (["plan", *only], ["run", *only], ["run", "--dry-run", *only]):
        assert (0, "Nothing is pending.\n") == migrate(*command)[:2]


async def test_each_tenant_says_who_migrated_it(
    migrate: Commands, tenants: list[str], installation: Installation
) -> None:
    """The trail of each has the revisions before and after, once for a run; not for a dry one."""
    migrate.install("2", _TABLE, _COLUMN)
    for more in (["--dry-run"], ["--watch", "0"]):
        arguments = ["run", "--plugin", migrate.name, "--tenant", tenants[0], *more]
        assert 0 == (await asyncio.to_thread(migrate, *arguments))[0]
    async with installation.database.owner() as owner:
        entries = await owner.fetch(
            f"SELECT entry FROM t_{tenants[0]}.audit_entry "
            "WHERE action = 'plugin.migrated' AND subject = $1 ORDER BY position",
            migrate.name,
        )
    first, second = (json.loads(row["entry"]) for row in entries)
    assert ({"revision": None}, {"revision": "0001"}) == (first["before"], first["after"])
    assert ({"revision": "0001"}, {"revision": "0002"}) == (second["before"], second["after"])
    assert ("pss migrate run", True) == (second["source"], second["actor"].startswith("cli:"))


def test_a_halted_run_says_so(migrate: Commands, tenants: list[str]) -> None:
    """Exit code 1, what was wrong, and that every tenant is whole."""
    migrate.install("2", _TABLE, 'op.execute("SELECT 1 / 0")')
    arguments = ["--plugin", migrate.name, "--watch", "0", "--tenant", tenants[0]]
    code, out, err = migrate("run", *arguments)
    assert (1, True) == (code, "is halted: 0 tenants migrated" in out)
    assert "division by zero (22012)" in err
    assert "wholly migrated or untouched" in err
    code, _, err = migrate("run", "--dry-run", *arguments)
    assert (1, True) == (code, "It would fail" in err)
    code, out, _ = migrate("status")
    assert "'pss migrate run' continues it." in out


def test_the_linter_ends_with_one(migrate: Commands) -> None:
    """What is refused is printed, with its rule and what to do."""
    migrate.install("2", _TABLE, _WRONG)
    code, out, _ = migrate("lint", migrate.name)
    assert 1 == code
    assert f"{migrate.name} 0002 drop-still-read: ALTER TABLE stock DROP COLUMN name\n" in out
    assert out.endswith("2 revisions looked at, 1 refused, 0 allowed.\n")
    assert 1 == migrate.json("lint", code=1)["refused"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan", "--plugin", "nobody"], "The plugin 'nobody' is not installed."),
        (["plan", "--tenant", "ghost"], "There is no tenant 'ghost'."),
        (["run", "--tenant", "ghost"], "There is no tenant 'ghost'."),
        (["run", "--canary", "ghost"], "There is no tenant 'ghost'."),
        (["run", "--dry-run", "--tenant", "ghost"], "There is no tenant 'ghost'."),
        (["lint", "nobody"], "The plugin 'nobody' is not installed."),
    ],
)
def test_mistakes(migrate: Commands, arguments: list[str], said: str) -> None:
    """A mistake is told in a sentence, with exit code 2."""
    migrate.install("1", _TABLE)
    code, _, err = migrate(*arguments)
    assert (2, True) == (code, said in err), err
