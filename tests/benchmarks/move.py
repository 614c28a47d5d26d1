"""A tenant's move to another cell, and how long it is paused, beside ``COPY … | COPY`` of its rows.

Two embedded clusters on one machine. The limit: the same tables with the same indexes, piped in
PostgreSQL's binary format from one connection to another, and nothing compared. ``PSS_BENCH_ROWS``
(100000) is the number of rows.
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

from pss_kernel.config import CellConfig, Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.observability import configure_logging
from pss_kernel.registry import Registry
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._move import Moved, move_tenant
from pss_kernel.tenancy._move_copy import _stream
from pss_kernel.tenancy._provision import create_tenant

ROWS = int(os.environ.get("PSS_BENCH_ROWS", "100000"))
MOVES = 4
RAW = "COPY | COPY of the same rows"
_CODE = "mover"
# Six of ten rows are events of some 300 bytes, the others what their consumers remember.
_EVENTS = """
INSERT INTO event (event_id, event_type, event_version, stream, stream_version, correlation_id,
                   actor, data)
SELECT gen_random_uuid(), 'reservation.order-changed', 1, 'ord_' || n / 4, n % 4, 'req_' || n,
       'guest', jsonb_build_object('order_id', 'ord_' || n / 4, 'text', repeat(md5(n::text), 6))
FROM generate_series(0, $1::int - 1) AS n
"""
_INBOX = """
INSERT INTO inbox (consumer, event_id) SELECT 'ticketing.issue', gen_random_uuid()
FROM generate_series(1, $1::int)
"""
_TABLES = ("event", "inbox")


def figures() -> list[Figure]:
    """Measure on two embedded databases of its own, thrown away at the end."""
    with tempfile.TemporaryDirectory(prefix="pss-bench-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        return asyncio.run(_measure(Path(name)))


async def _measure(folder: Path) -> list[Figure]:
    east = CellConfig(name="east", database_url="embedded")
    config = Config(data_dir=folder / "var", cells=(east,), log_level="warning")
    configure_logging(config)
    async with open_installation(config, Registry.discover()) as installation:
        await _fill(installation)
        moved, raw = [], []
        for number in range(MOVES):  # in turns: what else the machine does then slows both
            there = ("east", "default")[number % 2]
            raw.append(await _raw(installation, there))
            moved.append(await _move(installation, there))
    limit = median(raw)
    pauses = [one.pause_seconds or 0.0 for one in moved]
    return [
        Figure(f"move_s_of_{ROWS}_rows", median(one.seconds for one in moved), "s", limit, RAW),
        Figure(f"move_pause_s_of_{ROWS}_rows", median(pauses), "s", limit, RAW),
    ]


async def _fill(installation: Installation) -> None:
    """A tenant with every plugin, and its rows."""
    await create_tenant(installation, _CODE, name="Mover", currency="EUR", time_zone="UTC")
    await enable_plugins(installation, _CODE, dict.fromkeys(installation.registry.plugins))
    async with installation.database.owner() as owner:
        await owner.execute(f"SET search_path = t_{_CODE}")
        await owner.execute(_EVENTS, ROWS * 6 // 10)
        await owner.execute(_INBOX, ROWS - ROWS * 6 // 10)
        await owner.execute("ANALYZE event, inbox")


async def _move(installation: Installation, there: str) -> Moved:
    moved = await move_tenant(installation, _CODE, there)
    if moved is None or moved.rows < ROWS:
        sys.exit(f"This measured nothing: {moved}")
    return moved


async def _raw(installation: Installation, there: str) -> float:
    """Pipe the tables into empty ones like them; seconds, without making those."""
    here = "default" if there == "east" else "east"
    async with (
        installation.cells[here].owner() as source,
        installation.cells[there].owner() as target,
    ):
        await target.execute("DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw")
        for name in _TABLES:
            await target.execute(await _like(source, name))
        before = time.perf_counter()
        for name in _TABLES:
            await _pipe(source, target, name)
        spent = time.perf_counter() - before
        await target.execute("DROP SCHEMA raw CASCADE")
        return spent


async def _pipe(source: asyncpg.Connection, target: asyncpg.Connection, name: str) -> None:
    await _stream(
        lambda write: source.copy_from_table(
            name, schema_name=f"t_{_CODE}", output=write, format="binary"
        ),
        lambda pieces: target.copy_to_table(
            name, schema_name="raw", source=pieces, format="binary"
        ),
    )


async def _like(source: asyncpg.Connection, name: str) -> str:
    """The statements that make a table with the same columns and indexes in the schema ``raw``."""
    columns = await source.fetch(
        "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS kind FROM pg_attribute"
        " WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        f"t_{_CODE}.{name}",
    )
    indexes = await source.fetch(
        "SELECT replace(pg_get_indexdef(indexrelid), $2, 'raw') AS made FROM pg_index"
        " WHERE indrelid = $1::text::regclass",
        f"t_{_CODE}.{name}",
        f"t_{_CODE}",
    )
    listed = ", ".join(f"{one['name']} {one['kind']} NOT NULL" for one in columns)
    nullable = listed.replace("causation_id text NOT NULL", "causation_id text")
    return ";\n".join([f"CREATE TABLE raw.{name} ({nullable})", *(one["made"] for one in indexes)])


if __name__ == "__main__":
    show(figures())
