"""Making tenants with every installed plugin, beside the same DDL as one raw SQL script.

The limit: role, schema, tables and grants of one tenant in one script and one transaction on one
connection. ``PSS_BENCH_TENANTS=10,100`` measures at these numbers of tenants instead; the
installation grows from one to the next.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import asyncpg
from figure import Figure, show

from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.observability import configure_logging
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.persistence._migrations import revisions_of
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Directory
from pss_kernel.tenancy._cell import _TENANTS
from pss_kernel.tenancy._file import TenantDefinition
from pss_kernel.tenancy._folders import apply_plans
from pss_kernel.tenancy._plan import Plan, make_plan
from pss_kernel.tenancy._provision import CREATE, JOIN
from pss_kernel.tenancy._tables import KERNEL_MIGRATIONS

SIZES = [int(one) for one in os.environ.get("PSS_BENCH_TENANTS", "10,100,1000").split(",")]
PARALLEL = 4
SAMPLES = 7
CHANGES = 25
RAW = "the same DDL as one raw script"


def figures() -> list[Figure]:
    """Measure on an embedded database of its own, thrown away at the end."""
    with tempfile.TemporaryDirectory(prefix="pss-bench-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        return asyncio.run(_measure(Path(name)))


async def _measure(folder: Path) -> list[Figure]:
    config = Config(data_dir=folder / "var", log_level="warning")
    configure_logging(config)
    async with open_installation(config, Registry.discover()) as installation:
        found: list[Figure] = []
        for size in sorted(SIZES):
            found += await _grown_to(installation, folder, size)
        found += await _following(installation)
        await installation.close()
        # It is thrown away: so without the checkpoint that flushes hundreds of thousands of files.
        server = EmbeddedPostgres(config.data_dir)
        server._run("pg_ctl", "stop", "--mode=immediate", "--wait", "--silent")
        return found


async def _grown_to(installation: Installation, folder: Path, size: int) -> list[Figure]:
    """Apply as many as are missing, as ``pss tenant apply`` does; then some one by one."""
    missing = size - len(list(installation.directory))
    sys.stderr.write(f"Making {max(missing, 0)} tenants, so that there are {size}\n")
    before = time.perf_counter()
    plans = [
        await make_plan(installation, _definition(installation, folder, f"n{size}x{number}"))
        for number in range(missing)
    ]
    outcomes = await apply_plans(installation, plans, parallel=PARALLEL)
    seconds = time.perf_counter() - before
    if failed := [one.error for one in outcomes if one.state != "applied"]:
        sys.exit(f"This measured nothing: {failed[0]}")
    ours, raw = [], []
    for number in range(SAMPLES):  # in turns: what else the machine does then slows both
        definition = _definition(installation, folder, f"s{size}x{number}")
        ours.append(await _one(installation, definition))
        raw.append(await _raw(installation, f"r{size}x{number}"))
    limit = median(raw) * 1000
    one_by_one = Figure(f"tenant_ms_at_{size}", median(ours) * 1000, "ms", limit, RAW)
    if missing <= 0:
        return [one_by_one]
    each = seconds * 1000 / missing
    return [one_by_one, Figure(f"tenant_ms_{PARALLEL}_at_once_to_{size}", each, "ms", limit, RAW)]


def _definition(installation: Installation, folder: Path, code: str) -> TenantDefinition:
    """With all plugins and no files of theirs."""
    return TenantDefinition(
        folder=folder / "none",
        code=code,
        name=code,
        currency="EUR",
        time_zone="UTC",
        locales=["en"],
        domains=[],
        cell="default",
        strict_plugins=False,
        brand={},
        plugins={name: {} for name in installation.registry.plugins},
    )


async def _one(installation: Installation, definition: TenantDefinition) -> float:
    before = time.perf_counter()
    plan: Plan = await make_plan(installation, definition)
    await apply_plans(installation, [plan], parallel=1)
    return time.perf_counter() - before


async def _raw(installation: Installation, code: str) -> float:
    """The script of one tenant, whose row is there already (a migration looks for it)."""
    registry, roles = installation.registry, installation.database.roles
    folders = [KERNEL_MIGRATIONS, *(registry.migrations_of(name) for name in registry.plugins)]
    names = {"role": roles.tenant(code), "schema": f"t_{code}", "app": roles.app}
    script = "\n".join(
        [
            CREATE.format(**names),
            f'SET LOCAL search_path = "t_{code}";',
            *(one.sql for folder in folders for one in revisions_of(folder)),
            f"{JOIN.format(**names, tenants=roles.tenants)};",
        ]
    )
    async with installation.database.owner() as owner:
        await owner.execute(
            "INSERT INTO pss.tenant (code, name, schema_name, role, currency, time_zone, locales) "
            "VALUES ($1, $1, $2, $3, 'EUR', 'UTC', '{}')",
            code,
            names["schema"],
            names["role"],
        )
        before = time.perf_counter()
        async with owner.transaction():
            await owner.execute(script)
        return time.perf_counter() - before


async def _following(installation: Installation) -> list[Figure]:
    """What a process pays to see a change, beside reading that tenant with raw SQL."""
    tenants = list(installation.directory)
    await installation.directory.stop()  # it would see the change before we measure it
    seeing, reading = [], []
    async with installation.database.owner() as owner:
        for number in range(CHANGES):
            code = tenants[number % len(tenants)].code
            await _change(owner, code)
            before = time.perf_counter()
            if not await installation.directory.refresh():
                sys.exit("The directory saw no change, so this measured nothing.")
            seeing.append(time.perf_counter() - before)
            before = time.perf_counter()
            await owner.fetch(f"{_TENANTS} WHERE t.code = $1", code)
            reading.append(time.perf_counter() - before)
    idle = []
    for _ in range(CHANGES):
        before = time.perf_counter()
        await installation.directory.refresh()
        idle.append(time.perf_counter() - before)
    first = Directory(installation.cells, installation.config.base_domain)
    before = time.perf_counter()
    await first.refresh()
    everything = time.perf_counter() - before
    size = len(tenants)
    raw = "reading that tenant with raw SQL"
    return [
        Figure(f"see_a_change_ms_of_{size}", median(seeing) * 1000, "ms",
               median(reading) * 1000, raw),
        Figure(f"see_no_change_ms_of_{size}", median(idle) * 1000, "ms"),
        Figure(f"first_reading_ms_of_{size}", everything * 1000, "ms"),
    ]  # fmt: skip


async def _change(owner: asyncpg.Connection, code: str) -> None:
    await owner.execute("UPDATE pss.tenant_plugin SET changed_at = now() WHERE tenant = $1", code)


if __name__ == "__main__":
    show(figures())
