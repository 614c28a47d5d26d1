"""Rows of values that nobody else has, and finding these in what another tenant is told."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec

from pss_kernel.tenancy._contents import tables_of

__all__ = ["NO_SECRET", "Canaries", "Values", "seed_tables", "texts_of", "values_of"]

_KERNELS = {"event", "inbox", "idempotency", "person_key"}
_CANARY = re.compile(r"cnry[0-9a-f]{12}")
_WORD = re.compile(r"[\w-]{6,}")
NO_SECRET = re.compile(r"[\d\s:.,TZ+/-]*|.{0,5}", re.DOTALL)  # times, numbers, short codes

_COLUMNS = """
SELECT a.attname::text AS name, t.typname::text AS type, a.attnotnull AS required,
       CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4
            THEN a.atttypmod - 4 END AS longest,
       a.attidentity <> '' OR a.attgenerated <> '' OR (a.atthasdef AND t.typcategory <> 'S')
         AS filled,
       (SELECT jsonb_build_array(r.relname, b.attname) FROM pg_constraint f
        JOIN pg_class r ON r.oid = f.confrelid
        JOIN pg_attribute b ON b.attrelid = f.confrelid
          AND b.attnum = f.confkey[array_position(f.conkey, a.attnum)]
        WHERE f.contype = 'f' AND f.conrelid = a.attrelid AND a.attnum = ANY(f.conkey)
        LIMIT 1) AS refers,
       (SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k
        WHERE k.contype = 'c' AND k.conrelid = a.attrelid AND k.conkey = ARRAY[a.attnum]) AS checks
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_IN_THE_WAY = """
SELECT conname::text AS name FROM pg_constraint
WHERE conrelid = $1::regclass AND contype = ANY($2::"char"[])
"""
_LITERAL = re.compile(r"'((?:[^']|'')*)'::(?:text|character varying|bpchar)")
_PLAIN = {
    "int2": "1", "int4": "1", "int8": "1", "numeric": "1", "float4": "1", "float8": "1",
    "bool": "false", "timestamptz": "now() + interval '1 day'", "timestamp": "now()",
    "date": "current_date + 1", "time": "'12:00'", "timetz": "'12:00Z'",
    "interval": "interval '1 hour'", "inet": "'127.0.0.1'", "cidr": "'127.0.0.0/8'",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Values:
    """A tenant's texts, with where they stand; and its ids by the names under which they go."""

    texts: dict[str, str]
    known: dict[str, str]


@dataclass(slots=True)
class Canaries:
    """What one tenant has and the other hasn't: must never be seen by the other."""

    origins: dict[str, str]
    _words: set[str] = field(init=False)
    _phrases: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self._words = {one for one in self.origins if _WORD.fullmatch(one)}
        self._phrases = [one for one in self.origins if one not in self._words]

    def within(self, text: str, sent: Iterable[str] = ()) -> set[str]:
        """Where those stand that the text holds, without what was sent by the asker."""
        found = self._words.intersection(_WORD.findall(text))
        found |= {one for one in _CANARY.findall(text) if one in self.origins}
        found |= {one for one in self._phrases if one in text}
        if found:
            allowed = "\n".join(sent)
            words = set(_WORD.findall(allowed))
            found = {
                one
                for one in found
                # "order ord_1" is no secret to who has asked for ord_1.
                if one not in allowed and not words.intersection(_WORD.findall(one))
            }
        return {self.origins[one] for one in found}


async def seed_tables(owner: asyncpg.Connection, schema: str) -> dict[str, str]:
    """Put a row of canaries into each empty table; answers those that took none, and why.

    Constraints that refuse it are dropped: the schema is thrown away afterwards. Columns that
    refer to each other, or are called alike and end in ``_id``, get the same value, so that a
    plugin finds the rows that belong together.
    """
    refused: dict[str, str] = {}
    shared: dict[str, str] = {}
    for table in await tables_of(owner, schema):
        place = f'"{schema}"."{table.name}"'
        if table.name in _KERNELS or await owner.fetchval(f"SELECT EXISTS (SELECT FROM {place})"):  # noqa: S608 - from the catalogue, quoted
            continue
        await owner.execute(f"ALTER TABLE {place} DISABLE TRIGGER USER")
        columns = [one for one in await owner.fetch(_COLUMNS, place) if not one["filled"]]
        values = [_value(table.name, one, shared) for one in columns]
        for kinds in ("f", "cx"):
            try:
                await _insert(owner, place, columns, values)
                break
            except asyncpg.InvalidTextRepresentationError as error:
                refused[table.name] = str(error)  # a text that is read as JSON
                values = [_as_json(one) for one in values]
            except asyncpg.IntegrityConstraintViolationError as error:
                refused[table.name] = str(error)
                await _drop_constraints(owner, place, list(kinds))
            except asyncpg.PostgresError as error:
                refused[table.name] = str(error)
                break
        else:
            try:
                await _insert(owner, place, columns, values)
            except asyncpg.PostgresError as error:
                refused[table.name] = str(error)
                continue
        if await owner.fetchval(f"SELECT EXISTS (SELECT FROM {place})"):  # noqa: S608
            refused.pop(table.name, None)
    return refused


async def _insert(
    owner: asyncpg.Connection, place: str, columns: list[asyncpg.Record], values: list[str]
) -> None:
    if not columns:
        await owner.execute(f"INSERT INTO {place} DEFAULT VALUES")
        return
    names = ", ".join(f'"{one["name"]}"' for one in columns)
    await owner.execute(f"INSERT INTO {place} ({names}) VALUES ({', '.join(values)})")  # noqa: S608


async def _drop_constraints(owner: asyncpg.Connection, place: str, kinds: list[str]) -> None:
    for row in await owner.fetch(_IN_THE_WAY, place, [one.encode() for one in kinds]):
        await owner.execute(f'ALTER TABLE {place} DROP CONSTRAINT "{row["name"]}" CASCADE')


def _value(table: str, column: asyncpg.Record, shared: dict[str, str]) -> str:
    """An SQL expression for a column: a canary where it can hold one."""
    name, kind = column["name"], column["type"]
    if kind in _PLAIN:
        return _PLAIN[kind]
    key = _key(*(msgspec.json.decode(column["refers"]) if column["refers"] else (table, name)))
    if kind == "uuid":
        return f"'{shared.setdefault(key, _uuid())}'"
    canary = shared.setdefault(key, f"cnry{secrets.token_hex(6)}")
    if kind in {"text", "varchar", "bpchar", "name", "citext"}:
        literals = _LITERAL.findall(column["checks"] or "")
        return f"'{literals[0] if literals else canary[: column['longest']]}'"
    forms = {
        "json": f'\'{{"canary": "{canary}"}}\'',
        "jsonb": f'\'{{"canary": "{canary}"}}\'',
        "_text": f"ARRAY['{canary}']",
        "bytea": f"convert_to('{canary}', 'UTF8')",
    }
    return forms.get(kind, "'{}'" if kind.startswith("_") else "NULL")


def _as_json(literal: str) -> str:
    """The same canary in a text that is JSON."""
    found = re.fullmatch(r"'(cnry\w+)'", literal)
    return f'\'{{"canary": "{found[1]}"}}\'' if found else literal


def _key(table: str, name: str) -> str:
    """What has the same key has the same value: ids that are called alike."""
    called = f"{table.removesuffix('s')}_id" if name == "id" else name
    return called if called.endswith("_id") else f"{table}.{name}"


def _uuid() -> str:
    digits = secrets.token_hex(16)
    return "-".join(digits[a:b] for a, b in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)))


async def values_of(owner: asyncpg.Connection, schema: str) -> Values:
    """All texts in the tables of a schema; times, numbers and short codes are left out."""
    texts: dict[str, str] = {}
    known: dict[str, str] = {}
    for table in await tables_of(owner, schema):
        place = f'"{schema}"."{table.name}"'
        rows = await owner.fetch(f"SELECT to_jsonb(t)::text AS row FROM {place} t")  # noqa: S608 - from the catalogue, quoted
        for row in rows:
            for name, value in msgspec.json.decode(row["row"]).items():
                for text in texts_of(value):
                    texts.setdefault(text, f"{table.name}.{name}")
                if isinstance(value, str) and table.name not in _KERNELS:
                    for called in _called(table.name, name):
                        known.setdefault(called, value)
    return Values(texts, known)


def texts_of(value: Any) -> Iterator[str]:
    """The texts in a value that JSON can hold, the names of its objects left out."""
    if isinstance(value, str):
        if not NO_SECRET.fullmatch(value):
            yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)


def _called(table: str, column: str) -> Iterator[str]:
    """The names under which a value may be asked for."""
    yield column
    yield f"{table.removesuffix('s')}_{column}"
    if column.startswith(f"{table.removesuffix('s')}_"):
        yield column.removeprefix(f"{table.removesuffix('s')}_")
