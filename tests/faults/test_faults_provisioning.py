"""Making tenants, killed at any moment: the same command again ends with the same result."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

import pss_kernel.identity
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.persistence._migrations import revisions_of, tables_made
from pss_kernel.registry import Registry
from pss_kernel.tenancy._tables import KERNEL_MIGRATIONS
from pss_outside.killing import KILLS, Moment, Program, moments
from pss_outside.processes import until

pytestmark = pytest.mark.timeout(300)  # some seventy processes, on a machine that may be busy

_SEED = 20261125
_TENANTS = 2
_FILE = """\
[tenant]
code = "{code}"
name = "Of many"
currency = "EUR"
time_zone = "Europe/Oslo"
domains = ["{code}.example", "www.{code}.example"]

[plugins.notes]
most = 7

[plugins.echo]
"""
_IDENTITY = Path(pss_kernel.identity.__path__[0]) / "migrations"
_INSTALLED = Path(__file__).parents[1] / "kernel" / "installed"
_TABLES_OF = {
    "kernel": tables_made(revisions_of(KERNEL_MIGRATIONS)),
    "identity": tables_made(revisions_of(_IDENTITY)),
    "notes": tables_made(revisions_of(_INSTALLED / "pss_notes" / "migrations")),
    "echo": frozenset(),
}
_NOBODY_ELSE = """
SELECT count(*) = 0 FROM pg_stat_activity
WHERE application_name = 'pss owner' AND pid <> pg_backend_pid() AND state <> 'idle'
"""
# All that PostgreSQL knows of a tenant, as text in which nothing depends on when it was made.
_CATALOGUE = """
SELECT 'role', r.rolname, concat_ws(' ', r.rolcanlogin, r.rolinherit,
  'in', (SELECT string_agg(g.rolname, ',' ORDER BY g.rolname) FROM pg_auth_members m
         JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid),
  'of', (SELECT string_agg(g.rolname, ',' ORDER BY g.rolname) FROM pg_auth_members m
         JOIN pg_roles g ON g.oid = m.member WHERE m.roleid = r.oid))
FROM pg_roles r WHERE r.rolname = $1::text
UNION ALL
SELECT 'schema', n.nspname, n.nspacl::text FROM pg_namespace n WHERE n.nspname = $1::text
UNION ALL
SELECT 'default rights', d.defaclobjtype::text, d.defaclacl::text FROM pg_default_acl d
WHERE d.defaclnamespace = to_regnamespace($1::text)
UNION ALL
SELECT 'relation', c.relname, concat_ws(' ', c.relkind, c.relacl) FROM pg_class c
WHERE c.relnamespace = to_regnamespace($1::text)
UNION ALL
SELECT 'column', c.relname || '.' || a.attname,
       concat_ws(' ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                 pg_get_expr(d.adbin, d.adrelid))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = to_regnamespace($1::text)
UNION ALL
SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = to_regnamespace($1::text)
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = $1::text
"""
_CONTROL = """
SELECT 'tenant', t.code, (to_jsonb(t) - 'created_at' - 'changed_at')::text
FROM pss.tenant t WHERE t.code = $1
UNION ALL
SELECT 'plugin', p.plugin, (to_jsonb(p) - 'since' - 'changed_at')::text
FROM pss.tenant_plugin p WHERE p.tenant = $1
UNION ALL
SELECT 'file', f.name, (to_jsonb(f) - 'loaded_at')::text FROM pss.tenant_file f
WHERE f.tenant = $1
UNION ALL
SELECT 'placement', p.cell, p.state FROM pss.placement p WHERE p.tenant = $1
UNION ALL
SELECT 'domain', d.host, '' FROM pss.tenant_domain d WHERE d.tenant = $1
"""


@dataclass
class Fleet:
    """An installation whose server the tests hold, and folders of tenants to be made in it."""

    installation: Installation
    folder: Path

    def program(self, name: str) -> tuple[Program, list[str]]:
        """Write a folder of tenants; gives the command that applies them, and their codes."""
        codes = [f"{name}t{number}" for number in range(_TENANTS)]
        for code in codes:
            counters = self.folder / name / code / "counters"
            counters.mkdir(parents=True)
            (counters.parent / "tenant.toml").write_text(_FILE.format(code=code))
            (counters / "a.toml").write_text("a = 1\n")
        return self._program("apply", name), codes

    def _program(self, command: str, name: str) -> Program:
        data_dir = str(self.installation.config.data_dir)
        return Program(
            Path(__file__).with_name("applying.py"),
            *("tenant", command, str(self.folder / name), "--data-dir", data_dir),
            *("--parallel", "2"),
        )

    @contextlib.asynccontextmanager
    async def owner(self) -> AsyncIterator[asyncpg.Connection]:
        """Look into the database once what killed processes had begun there has ended."""
        async with self.installation.database.owner() as owner:
            await until(lambda: owner.fetchval(_NOBODY_ELSE))
            yield owner

    async def seen(self, code: str) -> list[tuple[str, ...]]:
        """All that there is of a tenant, with its code left out."""
        async with self.owner() as owner:
            rows = await owner.fetch(_CATALOGUE, f"t_{code}") + await owner.fetch(_CONTROL, code)
            if any(row[0] == "relation" and row[1] == "counter" for row in rows):
                counters = f'SELECT name, remaining::text FROM "t_{code}".counter'
                rows += [("counter", *row) for row in await owner.fetch(counters)]
        return sorted(
            tuple("" if part is None else str(part).replace(code, "CODE") for part in row)
            for row in rows
        )

    async def broken(self, code: str) -> str:
        """What is half of a tenant: a plugin's tables without its ledger row, or the reverse."""
        async with self.owner() as owner:
            there = await owner.fetch(
                "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace($1) "
                "AND relkind = 'r'",
                f"t_{code}",
            )
            ledger = await owner.fetch(
                "SELECT plugin, state, revision FROM pss.tenant_plugin WHERE tenant = $1", code
            )
            role = await owner.fetchval("SELECT to_regrole($1) IS NOT NULL", f"t_{code}")
        tables = {row["relname"] for row in there}
        whole = {row["plugin"] for row in ledger if row["state"] == "enabled"}
        begun = {row["plugin"] for row in ledger} - whole
        expected = {table for plugin in whole for table in _TABLES_OF[plugin]}
        told = f"{code}: tables {tables}, whole {whole}, begun {begun}"
        fine = tables == expected and role == ("kernel" in whole) and "kernel" not in begun
        fine = fine and {row["state"] for row in ledger} <= {"enabled", "enabling"}
        return "" if fine else told


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def fleet() -> AsyncIterator[Fleet]:
    """A server of its own, held here, so that no killed process takes it along."""
    with tempfile.TemporaryDirectory(prefix="pss-killed-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        config = Config(data_dir=Path(name) / "var", log_level="critical", pool_size=4)
        async with open_installation(config, Registry([])) as installation:
            yield Fleet(installation, Path(name) / "tenants")


async def _ended(program: Program, moment: Moment | None = None) -> Any:
    return await asyncio.to_thread(program.run, moment)


async def test_killed_at_any_moment(fleet: Fleet) -> None:
    """After all kills: no half tenant at any time, and in the end what a calm run makes."""
    program, codes = fleet.program("calm")
    calm = await _ended(program)
    assert 0 == calm.code, calm.lines
    statements = sum(line.startswith("sql ") for line in calm.lines)
    assert 20 * _TENANTS < statements
    expected = await fleet.seen(codes[0])
    assert {"role", "schema", "relation", "index", "plugin", "domain", "file", "counter"} <= {
        row[0] for row in expected
    }

    kills, rounds = 0, 0
    # In the first part of what a whole run does; what was killed before goes on where it was.
    waiting = moments(_SEED, len(calm.lines) * 2 // 3, number=10 * KILLS)
    while kills < KILLS:
        program, codes = fleet.program(f"round{rounds}")
        rounds += 1
        while (ended := await _ended(program, next(waiting))).killed:
            kills += 1
            assert [""] * _TENANTS == [await fleet.broken(code) for code in codes]
        assert 0 == ended.code, ended.lines
        for code in codes:
            assert expected == await fleet.seen(code)
    assert "Nothing to change." in (await _ended(program)).lines
