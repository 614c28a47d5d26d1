"""``pss migrate run`` killed at any moment: no tenant is left between two versions."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from pss_kernel.config import Config
from pss_kernel.installation import open_installation
from pss_kernel.persistence import Database
from pss_kernel.registry import Registry
from pss_kernel.testing import TestKit
from pss_outside.killing import KILLS, Program, moments
from pss_outside.versions import made_plugin

pytestmark = [pytest.mark.xdist_group("faults-migrations"), pytest.mark.timeout(600)]

_TENANTS = 6
_STOCK = 'op.execute("CREATE TABLE stock (name text PRIMARY KEY, amount bigint)")'
_STOCK_2 = """
op.execute("ALTER TABLE stock ADD COLUMN unit text")
op.execute("UPDATE stock SET unit = 'kg' WHERE unit IS NULL")
op.execute("ALTER TABLE stock ADD COLUMN shelf text")
"""
_STOCK_3 = """
with op.get_context().autocommit_block():
    op.execute("CREATE INDEX CONCURRENTLY ix_stock_unit ON stock (unit)")
"""
_SHOP = 'op.execute("CREATE TABLE shop (name text PRIMARY KEY)")'
_SHOP_2 = 'op.execute("ALTER TABLE shop ADD COLUMN street text")'

# What the ledger says and what is there: the only ones in which a tenant may be found.
_UNTOUCHED = ("0001", "0001", 2, 1)
_MIGRATED = ("0002", "0002", 4, 2)
_WITH_INDEX = ("0003", "0002", 4, 2)
_LOOK = """
SELECT (SELECT revision FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = 'stock') AS stock,
       (SELECT revision FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = 'shop') AS shop,
       count(*) FILTER (WHERE c.relname = 'stock') AS stock_columns,
       count(*) FILTER (WHERE c.relname = 'shop') AS shop_columns
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
WHERE c.relnamespace = $2::text::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
"""
_INDEX = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
_BACK = """
SET search_path = "{schema}";
DROP INDEX IF EXISTS ix_stock_unit;
ALTER TABLE stock DROP COLUMN unit, DROP COLUMN shelf;
ALTER TABLE shop DROP COLUMN street;
UPDATE pss.tenant_plugin SET revision = '0001', version = '1'
  WHERE tenant = '{code}' AND plugin IN ('stock', 'shop');
RESET search_path;
"""


@dataclass
class _Scene:
    database: Database
    program: Program
    codes: list[str]

    async def found(self) -> Counter[tuple[object, ...]]:
        """Say in which states the tenants are; each index is valid where the ledger has it."""
        states: Counter[tuple[object, ...]] = Counter()
        async with self.database.owner() as owner:
            for code in self.codes:
                state = tuple(await owner.fetchrow(_LOOK, code, f"t_{code}"))
                states[state] += 1
                assert await self._index_is_right(owner, code, state), state
                rows = await owner.fetchval(f"SELECT count(*) FROM t_{code}.stock")
                assert 100 == rows
        return states

    @staticmethod
    async def _index_is_right(
        owner: asyncpg.Connection, code: str, state: tuple[object, ...]
    ) -> bool:
        valid = await owner.fetchval(_INDEX, f"t_{code}.ix_stock_unit")
        return {_UNTOUCHED: valid is None, _WITH_INDEX: valid is True}.get(state, True)

    async def back(self) -> None:
        """All of them to version 1 again."""
        async with self.database.owner() as owner:
            for code in self.codes:
                await owner.execute(_BACK.format(schema=f"t_{code}", code=code))


@pytest_asyncio.fixture(loop_scope="session")
async def scene(folder: Path, tmp_path: Path) -> AsyncIterator[_Scene]:
    """Tenants with the tables of version 1, and the program that brings them to version 2."""
    sys.path.append(str(tmp_path))
    old = [
        made_plugin(tmp_path, "stock", "1", {"0001": _STOCK}),
        made_plugin(tmp_path, "shop", "1", {"0001": _SHOP}),
    ]
    stock = made_plugin(
        tmp_path, "stock", "2", {"0001": _STOCK, "0002": _STOCK_2, "0003": _STOCK_3}
    )
    shop = made_plugin(tmp_path, "shop", "2", {"0001": _SHOP, "0002": _SHOP_2})
    config = Config(data_dir=folder / "migrations", log_level="critical", pool_size=4)
    try:
        async with open_installation(config, Registry(old)) as opened:
            kit = TestKit(opened)
            tenants = [await kit.make_tenant(plugins=["stock", "shop"]) for _ in range(_TENANTS)]
            async with opened.database.owner() as owner:
                for one in tenants:
                    await owner.execute(
                        f"INSERT INTO {one.schema}.stock SELECT n, n FROM generate_series(1, 100) n"
                    )
            program = Program(
                Path(__file__).with_name("migrating.py"),
                *(str(config.data_dir), str(tmp_path)),
                *("stock", stock.package, "shop", shop.package),
            )
            yield _Scene(opened.database, program, [one.code for one in tenants])
    finally:
        sys.path.remove(str(tmp_path))


async def test_killed_at_any_moment(scene: _Scene) -> None:
    """After each kill every tenant is whole, and the same command again finishes."""
    whole = await asyncio.to_thread(scene.program.run)
    assert 0 == whole.code, whole.lines[-20:]
    assert {_WITH_INDEX: _TENANTS} == await scene.found()
    await scene.back()
    assert {_UNTOUCHED: _TENANTS} == await scene.found()
    kills, seen = 0, Counter[tuple[object, ...]]()
    for moment in moments(seed=11, lines=len(whole.lines), number=4 * KILLS):
        ended = await asyncio.to_thread(scene.program.run, moment)
        kills += ended.killed
        states = await scene.found()
        seen += states
        assert {_UNTOUCHED, _MIGRATED, _WITH_INDEX} >= states.keys()
        if not ended.killed:
            assert (0, {_WITH_INDEX: _TENANTS}) == (ended.code, states), ended.lines[-20:]
        if states[_WITH_INDEX] == _TENANTS:
            await scene.back()
        if kills == KILLS:
            break
    assert KILLS == kills
    # It was killed among them, not only before and after.
    assert min(seen[_UNTOUCHED], seen[_MIGRATED], seen[_WITH_INDEX]) > 0
    last = await asyncio.to_thread(scene.program.run)
    assert 0 == last.code, last.lines[-20:]
    assert {_WITH_INDEX: _TENANTS} == await scene.found()
