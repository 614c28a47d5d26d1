"""How long an added column takes for a thousand tenants.

The limit: that ALTER TABLE for each schema, in a loop on one connection, each committed by itself.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import asyncpg
from figure import Figure, show

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from pss_kernel import Plugin
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.observability import configure_logging
from pss_kernel.registry import Registry
from pss_kernel.rollout._health import HealthCheck
from pss_kernel.rollout._run import Options, run_migrations
from pss_outside.versions import made_plugin

TENANTS = int(os.environ.get("PSS_BENCH_TENANTS", "1000"))
_TABLE = 'op.execute("CREATE TABLE stock (name text PRIMARY KEY)")'
_COLUMN = 'op.execute("ALTER TABLE stock ADD COLUMN {name} text")'
_AT_ONCE = 50  # schemas made in one transaction; each table takes locks until its end
# A tenant with one small plugin, made without what this does not measure: role and kernel tables.
_MAKE = """
INSERT INTO pss.placement (tenant, cell) VALUES ('{code}', 'default');
INSERT INTO pss.tenant (code, name, schema_name, role, currency, time_zone, locales)
  VALUES ('{code}', '{code}', 't_{code}', 't_{code}', 'EUR', 'UTC', ARRAY['en']);
INSERT INTO pss.tenant_plugin (tenant, plugin, state, version, revision)
  VALUES ('{code}', 'stock', 'enabled', '1', '0001');
CREATE SCHEMA t_{code};
CREATE TABLE t_{code}.stock (name text PRIMARY KEY);
"""


def figures() -> list[Figure]:
    """Measure on a database of its own, thrown away afterwards."""
    with tempfile.TemporaryDirectory(prefix="pss-bench-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        sys.path.append(folder)
        try:
            return asyncio.run(_measure(Path(folder)))
        finally:
            sys.path.remove(folder)


async def _measure(folder: Path) -> list[Figure]:
    config = Config(data_dir=folder, log_level="warning")
    configure_logging(config)
    codes = [f"m{number:05}" for number in range(TENANTS)]
    revisions = {"0001": _TABLE}
    async with open_installation(config, Registry([])) as opened:
        async with opened.database.owner() as owner:
            for start in range(0, TENANTS, _AT_ONCE):
                batch = codes[start : start + _AT_ONCE]
                await owner.execute("".join(_MAKE.format(code=code) for code in batch))
            raw = await _raw(owner, codes)
        found = []
        for version, (name, parallel) in enumerate((("unit", 1), ("shelf", 4)), start=2):
            revisions[f"{version:04}"] = _COLUMN.format(name=name)
            plugin = made_plugin(folder, "stock", str(version), revisions)
            seconds = await _migrate(opened, plugin, parallel)
            what = "1 connection" if parallel == 1 else f"{parallel} connections"
            found.append(
                Figure(
                    f"{TENANTS} tenants, a column, {what}", seconds, "s", raw, "ALTER TABLE loop"
                )
            )
        return found


async def _raw(owner: asyncpg.Connection, codes: list[str]) -> float:
    started = time.monotonic()
    for code in codes:
        await owner.execute(f"ALTER TABLE t_{code}.stock ADD COLUMN raw text")
    return time.monotonic() - started


async def _migrate(opened: Installation, plugin: Plugin, parallel: int) -> float:
    """``pss migrate run`` without its watch, from looking what is pending to the last tenant."""
    beside = Installation(opened.config, Registry([plugin]), opened.cells)
    await beside.directory.refresh()
    options = Options(parallel=parallel, health=HealthCheck(watch=0))
    started = time.monotonic()
    outcome = await run_migrations(beside, options, lambda *_: None)
    seconds = time.monotonic() - started
    if (outcome.state, outcome.migrated) != ("done", TENANTS):
        raise RuntimeError(f"It is {outcome.state} with {outcome.migrated}: {outcome.reason}")
    return seconds


if __name__ == "__main__":
    show(figures())
