"""What one request does in the database: recorded, counted, and written as a pgbench script."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg
from sqlalchemy import event

from pss_kernel.installation import Installation

__all__ = ["Statement", "pgbench_script", "recorded"]

Statement = tuple[str, Sequence[Any]]

# Ids that a request makes itself; in a script they must differ from run to run.
_MADE = re.compile(r"\b(?:ord|pax|seg|srv|ofr)_[0-9a-hjkmnp-tv-z]{26}\b")
_PARAMETER = re.compile(r"\$(\d+)")
_STRING = re.compile(r"'((?:[^']|'')*)'")
_LOCATOR = re.compile(r"[A-Z2-9]{6}")


@contextmanager
def recorded(installation: Installation) -> Iterator[list[Statement]]:
    """Every statement that the application's connections send meanwhile: each is a round trip."""
    statements: list[Statement] = []

    def note(query: asyncpg.connection.LoggedQuery) -> None:
        statements.append((query.query, query.args))

    pool = installation.database.engine.sync_engine.pool
    watched: list[asyncpg.Connection] = []

    def watch(connection: Any, *_: object) -> None:
        driver = connection.driver_connection
        if driver not in watched:
            driver.add_query_logger(note)
            watched.append(driver)

    event.listen(pool, "checkout", watch)
    try:
        yield statements
    finally:
        event.remove(pool, "checkout", watch)
        for driver in watched:
            driver.remove_query_logger(note)


def pgbench_script(statements: Sequence[Statement], *, legs: tuple[int, int] | None) -> str:
    """The same statements with the same values; ``legs`` spreads them over a range of legs."""
    lines = ["\\set n random(1, 9000000000000000)"]
    if legs is not None:
        lines.append(f"\\set leg random({legs[0]}, {legs[1]})")
    for query, arguments in statements:
        text = _with_values(query, arguments)
        if legs is not None and "seat_hold" in query:
            text = re.sub(r"ARRAY\[\d+\]", "ARRAY[:leg]", text, count=1)
        if legs is not None and "UPDATE leg_cabin" in query:
            text = re.sub(r"leg_id = \d+", "leg_id = :leg", text)
        without_comments = _STRING.sub(_without_colons, re.sub(r"--[^\n]*", "", text))
        lines += [f"{one.strip()};" for one in without_comments.split(";") if one.strip()]
    return "\n".join(" ".join(line.split()) for line in lines) + "\n"


def _without_colons(string: re.Match[str]) -> str:
    """Pgbench takes every ``:name`` for a variable, also inside a string."""
    return "E'" + string[1].replace("\\", "\\\\").replace(":", "\\x3a") + "'"


def _with_values(query: str, arguments: Sequence[Any]) -> str:
    def value(match: re.Match[str]) -> str:
        place = int(match[1])
        return _literal(arguments[place - 1], query, place)

    return _PARAMETER.sub(value, query)


def _literal(value: Any, query: str, place: int) -> str:
    """A value as SQL; what the request made anew is made anew here too."""
    match value:
        case None:
            text = "NULL"
        case bool() | int() | float():
            text = str(value).lower()
        case uuid.UUID():
            text = "gen_random_uuid()"
        case bytes():
            text = f"'\\x{value.hex()}'::bytea"
        case dt.timedelta():
            text = f"interval '{value.total_seconds()} seconds'"
        case dt.datetime():
            text = f"'{value.isoformat()}'::timestamptz"
        case dt.date():
            text = f"'{value.isoformat()}'::date"
        case list() | tuple():
            text = f"ARRAY[{', '.join(_literal(one, query, place) for one in value)}]"
        case _:
            text = _text(str(value), query, place)
    return text


def _text(value: str, query: str, place: int) -> str:
    fresh_key = (
        ("INSERT INTO offer_request" in query and place == 1)
        or ("idempotency" in query and place == 2)
        or (_LOCATOR.fullmatch(value) and "candidate" in query and place == 2)
    )
    if fresh_key:
        return "upper(substr(md5(random()::text), 1, 6) || :n::text)"
    parts = []
    end = 0
    for match in _MADE.finditer(value):
        parts += [_quoted(value[end : match.start()] + match[0][:4]), ":n::text"]
        parts.append(_quoted(match[0][24:]))
        end = match.end()
    parts.append(_quoted(value[end:]))
    return parts[0] if len(parts) == 1 else f"({' || '.join(parts)})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
