"""What a tenant has in its cell: the tables of its schema and its rows of the control schema.

For all that takes a tenant as a whole: exporting, importing, moving, deleting, and the proofs that
everything arrived or nothing remained. The functions are given an owner's connection and leave
transactions to their callers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from pss_kernel.errors import Conflict
from pss_kernel.persistence._migrations import knows, replay, revisions_of

__all__ = [
    "Fingerprint",
    "TenantTable",
    "build_tables",
    "control_tables",
    "copy_in",
    "copy_out",
    "fingerprint",
    "plain_forms",
    "sequence_values",
    "set_sequences",
    "tables_of",
]

_BINARY = "binary"

# In an order in which rows can be loaded: what is referred to comes first.
_TABLES = """
WITH RECURSIVE own AS (
  SELECT c.oid, c.relname FROM pg_class c
  WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
), needs AS (
  SELECT DISTINCT f.conrelid AS child, f.confrelid AS parent FROM pg_constraint f
  WHERE f.contype = 'f' AND f.connamespace = $1::regnamespace AND f.conrelid <> f.confrelid
), level AS (
  SELECT oid, 0 AS depth FROM own
  UNION
  SELECT n.child, l.depth + 1 FROM level l JOIN needs n ON n.parent = l.oid
  WHERE l.depth < 100
)
SELECT o.relname AS name,
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
        WHERE a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND a.attgenerated = '') AS columns
FROM own o ORDER BY (SELECT max(depth) FROM level l WHERE l.oid = o.oid), o.relname
"""
_CONTROL = """
SELECT table_name::text AS name, column_name::text AS key FROM information_schema.columns
WHERE table_schema = 'pss'
  AND table_name NOT IN ('placement', 'tenant_domain', 'migration_tenant', 'tenant_traffic',
    'outgoing')
  AND (column_name = 'tenant' OR (table_name = 'tenant' AND column_name = 'code'))
ORDER BY table_name <> 'tenant', table_name
"""
_SEQUENCES = """
SELECT t.relname::text AS table, a.attname::text AS column,
       pg_get_serial_sequence(format('%I.%I', $1::text, t.relname), a.attname) AS sequence
FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attidentity <> ''
WHERE t.relnamespace = $1::regnamespace ORDER BY 1, 2
"""
_PLAIN = """
SELECT set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true),
       set_config('IntervalStyle', 'postgres', true), set_config('bytea_output', 'hex', true),
       set_config('extra_float_digits', '1', true)
"""


@dataclass(frozen=True, slots=True)
class TenantTable:
    """A table and its columns, those left out that the database computes itself."""

    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """How many rows a table has, and a number that differs where the rows do.

    The number depends neither on the rows' order nor on where they are stored.
    """

    rows: int
    digest: int


async def tables_of(owner: asyncpg.Connection, schema: str) -> list[TenantTable]:
    """The tables of a schema, those that others refer to first; none where it isn't there."""
    if not await owner.fetchval("SELECT to_regnamespace(quote_ident($1)) IS NOT NULL", schema):
        return []
    rows = await owner.fetch(_TABLES, schema)
    return [TenantTable(row["name"], tuple(row["columns"] or ())) for row in rows]


async def control_tables(owner: asyncpg.Connection) -> dict[str, str]:
    """The tables of the control schema with rows of single tenants, and the column that says whose.

    The tenant's own row comes first. Placement and domains are the control cell's and not here.
    """
    return {row["name"]: row["key"] for row in await owner.fetch(_CONTROL)}


async def copy_out(
    owner: asyncpg.Connection,
    schema: str,
    table: TenantTable,
    write: Callable[[bytes], Awaitable[None]],
    *,
    form: str = _BINARY,
) -> None:
    """Give a table's rows to ``write`` piece by piece, in PostgreSQL's COPY format."""
    await owner.copy_from_table(
        table.name, schema_name=schema, columns=table.columns, output=write, format=form
    )


async def copy_in(
    owner: asyncpg.Connection,
    schema: str,
    table: TenantTable,
    pieces: AsyncIterator[bytes],
    *,
    form: str = _BINARY,
) -> None:
    """Load rows that ``copy_out`` gave, with the plugins' own triggers asleep.

    They did their work when the rows were first written, and may refuse a row that is not new.
    """
    place = f'"{schema}"."{table.name}"'
    await owner.execute(f"ALTER TABLE {place} DISABLE TRIGGER USER")
    await owner.copy_to_table(
        table.name, schema_name=schema, columns=table.columns, source=pieces, format=form
    )
    await owner.execute(f"ALTER TABLE {place} ENABLE TRIGGER USER")


async def plain_forms(owner: asyncpg.Connection) -> None:
    """Write values the same way in every database, to the end of the transaction.

    Times in UTC, dates as ISO 8601, bytes as hexadecimal digits, every digit of a float.
    """
    await owner.execute(_PLAIN)


async def sequence_values(owner: asyncpg.Connection, schema: str) -> dict[str, int]:
    """What the identity columns have counted to: ``table.column`` to the last value given."""
    found = {}
    for row in await owner.fetch(_SEQUENCES, schema):
        value = await owner.fetchrow(f"SELECT last_value, is_called FROM {row['sequence']}")  # noqa: S608 - named by PostgreSQL, quoted
        if value["is_called"]:
            found[f"{row['table']}.{row['column']}"] = value["last_value"]
    return found


async def set_sequences(owner: asyncpg.Connection, schema: str, values: Mapping[str, int]) -> None:
    """Let the identity columns go on after these values."""
    for row in await owner.fetch(_SEQUENCES, schema):
        value = values.get(f"{row['table']}.{row['column']}")
        if value is not None:
            await owner.execute("SELECT setval($1::text::regclass, $2)", row["sequence"], value)


async def fingerprint(owner: asyncpg.Connection, schema: str, table: TenantTable) -> Fingerprint:
    """For comparing a table with its copy, in another database too.

    Call it in a transaction: how values are written is fixed for its rest.
    """
    await plain_forms(owner)
    columns = ", ".join(f'"{name}"' for name in table.columns)
    row = await owner.fetchrow(
        "SELECT count(*) AS rows, "  # noqa: S608 - names from the catalogue, quoted
        "coalesce(sum(hashtextextended(r::text, 0)::numeric), 0)::text AS digest "
        f'FROM (SELECT {columns} FROM "{schema}"."{table.name}") AS r'
    )
    return Fingerprint(row["rows"], int(row["digest"]))


async def build_tables(
    owner: asyncpg.Connection, schema: str, revisions: Mapping[Path, str | None]
) -> None:
    """Make a schema's empty tables as they were at these revisions, by folder of migrations.

    In the order given. The schema, its role and the tenant's row are there already. Raises
    Conflict where the installed code doesn't know a revision.
    """
    await owner.execute(f'SET LOCAL search_path = "{schema}"')
    for folder, revision in revisions.items():
        if revision is None:
            continue
        if not knows(folder, revision):
            raise Conflict(
                f"The tables in {schema!r} are at the revision {revision!r} of "
                f"{folder.parent.name}, which is not installed here.",
                code="unknown-revision",
                mend="Install the version that made them, or a newer one.",
            )
        every = revisions_of(folder)
        names = [one.revision for one in every]
        await replay(owner, every[: names.index(revision) + 1])
    await owner.execute("SET LOCAL search_path = ''")
