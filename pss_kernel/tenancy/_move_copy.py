"""The tenant's copy in the target cell: made, filled in one pass without files, compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import asyncpg
import msgspec

from pss_kernel.errors import Conflict, Invalid
from pss_kernel.persistence._database import Roles
from pss_kernel.persistence._migrations import revisions_of
from pss_kernel.tenancy._contents import (
    Fingerprint,
    TenantTable,
    build_tables,
    control_tables,
    copy_in,
    copy_out,
    fingerprint,
    sequence_values,
    set_sequences,
    tables_of,
)
from pss_kernel.tenancy._move_pause import granting
from pss_kernel.tenancy._move_record import Move
from pss_kernel.tenancy._provision import CREATE, JOIN
from pss_kernel.tenancy._rights import grant_identity, grant_plugins, plugin_roles
from pss_kernel.tenancy._tables import KERNEL_MIGRATIONS
from pss_kernel.tenancy._tenant import KERNEL

__all__ = ["Copied", "Report", "copy_tables", "drop_copy", "prepare"]

Report = Callable[[str, int, int], None]
"""Told what is under way, how much of it is done, and of how much."""

_LEDGER = """
SELECT plugin, revision FROM pss.tenant_plugin WHERE tenant = $1 AND revision IS NOT NULL
"""
# What the database numbers by itself is numbered anew: other tenants have those numbers there.
_NUMBERED = """
SELECT column_name::text FROM information_schema.columns
WHERE table_schema = 'pss' AND table_name = $1
  AND (is_identity = 'YES' OR column_default LIKE 'nextval(%')
"""
_DROP_ROLE = """
DO $$ BEGIN
  DROP ROLE IF EXISTS "{role}";
EXCEPTION WHEN dependent_objects_still_exist THEN NULL;  -- of another database of this server
END $$;
"""
_PIECES = 32  # that wait between the two clusters at the most; each has some kilobytes


class Copied(msgspec.Struct, frozen=True):
    """One table of the tenant, as it arrived."""

    name: str
    rows: int
    seconds: float


async def prepare(move: Move) -> None:
    """Make the empty tables in the target, as the source has them; nothing where it has.

    Raises Invalid for a plugin of the tenant whose code isn't here, Conflict where its
    migrations make other tables than the source has.
    """
    revisions = await _revisions(move)
    tables = await tables_of(move.here, move.schema)
    if not await _built(move, tables):
        async with move.there.transaction():
            await move.there.execute(f'DROP SCHEMA IF EXISTS "{move.schema}" CASCADE')
            roles = move.target.roles
            await move.there.execute(
                CREATE.format(role=move.role, app=roles.app, schema=move.schema)
            )
            await _copy_control_rows(move)
            await build_tables(move.there, move.schema, revisions)
            await _empty(move)  # of what the migrations put there by themselves
            await grant_plugins(move.there, move.installation.registry, roles, move.code)
            await grant_identity(move.there, move.installation.registry, roles, move.code)
            await move.there.execute(JOIN.format(tenants=roles.tenants, role=move.role))
        if not await _built(move, tables):
            raise Conflict(
                f"The tables of {move.code!r} are not those that its plugins' migrations make.",
                code="tables-differ",
                mend="Remove what was added by hand, or add what is missing.",
            )


async def _revisions(move: Move) -> dict[Path, str | None]:
    """How far the tables of each plugin are, disabled and failed ones too, in building order."""
    ledger = {row["plugin"]: row["revision"] for row in await move.here.fetch(_LEDGER, move.code)}
    registry = move.installation.registry
    missing = sorted(ledger.keys() - registry.plugins.keys() - {KERNEL})
    if missing:
        raise Invalid(
            f"The tenant {move.code!r} has tables of plugins that can't be used here: "
            f"{', '.join(missing)}.",
            code="unknown-plugin",
            mend="Install them, and see 'pss plugin list' for what is wrong with one.",
        )
    folders = {KERNEL: KERNEL_MIGRATIONS} | {
        name: registry.migrations_of(name) for name in registry.plugins if name in ledger
    }
    return {
        folder: ledger[name]
        for name, folder in folders.items()
        if name in ledger and revisions_of(folder)
    }


async def _built(move: Move, tables: list[TenantTable]) -> bool:
    """Whether the target has the same tables with the same columns, at the same revisions."""
    there = await tables_of(move.there, move.schema)
    if {one.name: set(one.columns) for one in there} != {
        one.name: set(one.columns) for one in tables
    }:
        return False
    ledgers = [
        {tuple(row) for row in await owner.fetch(_LEDGER, move.code)}
        for owner in (move.here, move.there)
    ]
    return ledgers[0] == ledgers[1]


async def copy_tables(
    move: Move, report: Report, each: Callable[[], Awaitable[None]]
) -> list[Copied]:
    """Bring everything over and compare it; ``each`` is called after each table.

    What an earlier run brought over already is compared, not copied again.
    """
    tables = await tables_of(move.here, move.schema)
    known = await _known(move, tables)
    done = []
    for place, table in enumerate(tables):
        report(f"copying {move.code}", place, len(tables))
        begun = time.perf_counter()
        found = known.get(table.name) or await _copy_table(move, table)
        done.append(Copied(table.name, found.rows, round(time.perf_counter() - begun, 3)))
        await each()
    await set_sequences(move.there, move.schema, await sequence_values(move.here, move.schema))
    async with move.there.transaction():
        await _copy_control_rows(move)
    await move.there.execute(granting(move.schema, move.grants))  # as they were before the pause
    report(f"copying {move.code}", len(tables), len(tables))
    return done


async def _known(move: Move, tables: list[TenantTable]) -> dict[str, Fingerprint]:
    """The tables that arrived in an earlier run. Where one is not as it is now: none, all anew."""
    arrived = {}
    for table in tables:
        query = f'SELECT EXISTS (SELECT FROM "{move.schema}"."{table.name}")'  # noqa: S608 - quoted
        if await move.there.fetchval(query):
            here, there = await _both(move, table)
            if here != there:
                async with move.there.transaction():
                    await _empty(move)
                return {}
            arrived[table.name] = here
    return arrived


async def _empty(move: Move) -> None:
    """Empty the target's tables, with the plugins' triggers asleep: some refuse it."""
    places = [f'"{move.schema}"."{one.name}"' for one in await tables_of(move.there, move.schema)]
    any_row = " OR ".join(f"EXISTS (SELECT FROM {place})" for place in places)
    if not places or not await move.there.fetchval(f"SELECT {any_row}"):
        return
    for place in places:
        await move.there.execute(f"ALTER TABLE {place} DISABLE TRIGGER USER")
    await move.there.execute(f"TRUNCATE {', '.join(places)}")
    for place in places:
        await move.there.execute(f"ALTER TABLE {place} ENABLE TRIGGER USER")


async def _copy_table(move: Move, table: TenantTable) -> Fingerprint:
    async with move.there.transaction():
        await _stream(
            lambda write: copy_out(move.here, move.schema, table, write),
            lambda pieces: copy_in(move.there, move.schema, table, pieces),
        )
    here, there = await _both(move, table)
    if here != there:
        raise Conflict(
            f"The copy of {table.name!r} differs: of {here.rows} rows, {there.rows} arrived.",
            code="copy-differs",
            mend="The tenant goes on where it was. Run the same command again.",
        )
    return here


async def _both(move: Move, table: TenantTable) -> tuple[Fingerprint, Fingerprint]:
    return await asyncio.gather(
        _fingerprint(move.here, move.schema, table), _fingerprint(move.there, move.schema, table)
    )


async def _fingerprint(owner: asyncpg.Connection, schema: str, table: TenantTable) -> Fingerprint:
    async with owner.transaction():
        return await fingerprint(owner, schema, table)


async def _stream(
    read: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]],
    load: Callable[[AsyncIterator[bytes]], Awaitable[None]],
) -> None:
    """What one end gives goes to the other as it comes; a slow one is waited for."""
    waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_PIECES)

    async def pieces() -> AsyncIterator[bytes]:
        while (piece := await waiting.get()) is not None:
            yield piece

    async def reading() -> None:
        await read(waiting.put)
        await waiting.put(None)

    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(reading())
            both.create_task(_awaited(load(pieces())))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def _copy_control_rows(move: Move) -> None:
    """The tenant's rows of the control schema, in place of those that are there.

    Its jobs are held until it is served from there.
    """
    keys = await control_tables(move.here)
    tables = [one for one in await tables_of(move.here, "pss") if one.name in keys]
    await _delete_control_rows(move.there, move.code)
    for table in tables:
        numbered = {row["column_name"] for row in await move.here.fetch(_NUMBERED, table.name)}
        kept = [one for one in table.columns if one not in numbered]
        columns = ", ".join(f'"{one}"' for one in kept)
        order = ", ".join(f'"{one}"' for one in sorted(numbered)) or "1"
        query = (
            f'SELECT {columns} FROM pss."{table.name}" '  # noqa: S608 - of the catalogue, quoted
            f'WHERE "{keys[table.name]}" = $1 ORDER BY {order}'
        )

        async def read(write: Callable[[bytes], Awaitable[None]], query: str = query) -> None:
            await move.here.copy_from_query(query, move.code, output=write, format="binary")

        async def load(
            pieces: AsyncIterator[bytes], name: str = table.name, kept: list[str] = kept
        ) -> None:
            await move.there.copy_to_table(
                name, schema_name="pss", columns=kept, source=pieces, format="binary"
            )

        await _stream(read, load)
    await move.there.execute(
        "UPDATE pss.job SET leased_until = 'infinity' WHERE tenant = $1", move.code
    )


async def _delete_control_rows(owner: asyncpg.Connection, code: str) -> None:
    tables = await control_tables(owner)
    for name, key in reversed(list(tables.items())):
        await owner.execute(f'DELETE FROM pss."{name}" WHERE "{key}" = $1', code)  # noqa: S608 - of the catalogue, quoted


async def drop_copy(
    owner: asyncpg.Connection, code: str, roles: Roles, *, keep_tables: bool = False
) -> None:
    """Take the tenant out of a cell that it does not live in: schema, rows and roles."""
    async with owner.transaction():
        if not keep_tables:
            await owner.execute(f'DROP SCHEMA IF EXISTS "t_{code}" CASCADE')
        await _delete_control_rows(owner, code)
    if not keep_tables:
        for role in (roles.tenant(code), *await plugin_roles(owner, roles, code)):
            await owner.execute(_DROP_ROLE.format(role=role))
