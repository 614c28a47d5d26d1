"""The format of an export: its manifest, and how each type's values are written.

Described for people in ``docs/leaving.md``; what changes here changes there, and the number.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "MANIFEST",
    "SUMS",
    "Column",
    "Manifest",
    "PluginFacts",
    "TableFile",
    "TenantFacts",
    "columns_of",
    "copy_line",
    "selected",
]

FORMAT = "pss-tenant-export"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"

_NUMBERS = {"bool", "int2", "int4", "int8", "oid"}
_COLUMNS = """
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       NOT a.attnotnull AS nullable, a.attidentity <> '' AS identity,
       t.typcategory = 'A' AS is_array,
       coalesce(e.typname, t.typname)::text AS element
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE a.attrelid = format('%I.%I', $1::text, $2::text)::regclass
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""
# COPY's text format: what would end a field or a line, and the backslash itself.
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A column of a table's file."""

    name: str
    type: str
    """PostgreSQL's name of the type."""
    written_as: str
    """``json`` (a JSON number or boolean), ``text`` (a string), ``array`` (a JSON array of
    these), ``utf8`` (a string: the bytes of a bytea are UTF-8)."""
    nullable: bool
    identity: bool = False
    """Whether the database counts it."""
    protection: str | None = None
    """``personal``, ``secret`` or ``encrypted``; None where nobody said so."""


class TableFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rows, one JSON object in each line."""

    name: str
    file: str
    rows: int
    bytes: int
    sha256: str
    columns: list[Column]
    key: list[str] = []
    """The columns of the primary key; rows are in its order."""
    plugin: str | None = None
    """Whose table it is; None for rows of the control schema."""
    fingerprint: str | None = None
    """For comparing the table with a copy in another PostgreSQL."""


class PluginFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin of the tenant: what it was, and which of its migrations its tables have seen."""

    name: str
    state: str
    version: str | None
    revision: str | None


class TenantFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant itself."""

    code: str
    name: str
    schema: str
    role: str
    currency: str
    time_zone: str
    locales: list[str]
    brand: dict[str, Any]
    cell: str
    domains: list[str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds. Written last; without it, it is none."""

    format: str
    format_version: int
    exported_at: datetime
    kernel_version: str
    control_revision: str
    postgresql: str
    tenant: TenantFacts
    plugins: list[PluginFacts]
    """In the order in which their tables can be made; the kernel's own first."""
    tables: list[TableFile]
    """Of the tenant's schema, in an order in which rows can be loaded."""
    control: list[TableFile]
    """The tenant's rows of the control schema, its waiting and its dead events."""
    identity_counters: dict[str, int]
    """``table.column`` to the last number given."""
    protected: list[str]
    """What in here is personal or secret, in words."""


async def columns_of(
    owner: asyncpg.Connection,
    schema: str,
    table: str,
    *,
    utf8: Iterable[str] = (),
    protection: dict[str, str] | None = None,
) -> list[Column]:
    """A table's columns as they are written; those left out that the database computes."""
    protection = protection or {}
    return [
        Column(
            name=row["name"],
            type=row["type"],
            written_as="utf8" if row["name"] in utf8 else _written_as(row),
            nullable=row["nullable"],
            identity=row["identity"],
            protection=protection.get(row["name"]),
        )
        for row in await owner.fetch(_COLUMNS, schema, table)
    ]


def _written_as(row: asyncpg.Record) -> str:
    if row["is_array"]:
        return "array"
    return "json" if row["element"] in _NUMBERS else "text"


def selected(columns: Iterable[Column]) -> str:
    """The list of a SELECT whose rows become JSON in the format's forms.

    Text is PostgreSQL's own for the type, which loses nothing: a numeric keeps its digits, a
    JSON document its numbers and its null that is not NULL.
    """
    return ", ".join(_expression(one) for one in columns)


def _expression(column: Column) -> str:
    quoted = '"' + column.name.replace('"', '""') + '"'
    if column.written_as == "json":
        return quoted
    if column.written_as == "utf8":
        return f"convert_from({quoted}, 'UTF8') AS {quoted}"
    if column.written_as == "array":
        numbers = column.type.removesuffix("[]") in {"boolean", "smallint", "integer", "bigint"}
        return quoted if numbers else f"{quoted}::text[] AS {quoted}"
    return f"{quoted}::text AS {quoted}"


def copy_line(row: dict[str, Any], columns: Iterable[Column]) -> bytes:
    """A row of a file as a line of COPY's text format."""
    return ("\t".join(_field(row.get(one.name), one) for one in columns) + "\n").encode()


def _field(value: Any, column: Column) -> str:
    if value is None:
        return "\\N"
    if column.written_as == "utf8":
        return "\\\\x" + str(value).encode().hex()
    if isinstance(value, list):
        return _array(value).translate(_ESCAPES)
    return _plain(value).translate(_ESCAPES)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def _array(values: list[Any]) -> str:
    """An array as PostgreSQL writes it: each element between quotes, but NULL."""
    return "{" + ",".join(_element(one) for one in values) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return _array(value)
    escaped = _plain(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
