"""Where a database's log stood after a write, so that the writer's next read can see it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

__all__ = ["Freshness", "Position", "read_position"]

_TOKEN = re.compile(r"([a-z][a-z0-9]{0,30})\.([0-9]{1,10})\.([0-9a-f]{1,16})", re.ASCII)
_MOST_GIVEN = 8
# The end of what is inserted, not of what is flushed: right under any ``synchronous_commit``.
_POSITION = """
SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint AS lsn,
       left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) AS timeline
"""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the write-ahead log of one cell, on one timeline; opaque to clients."""

    cell: str
    timeline: int
    lsn: int

    def __str__(self) -> str:
        return f"{self.cell}.{self.timeline}.{self.lsn:x}"

    @classmethod
    def unknown(cls, cell: str) -> Position:
        """Of no timeline: who brings it reads from the primary, and is told a better one."""
        return cls(cell, 0, 0)

    @classmethod
    def parse(cls, text: str, cell: str) -> Position:
        """What a client brought; anything that is not a position is an unknown one."""
        found = _TOKEN.fullmatch(text.strip())
        if found is None:
            return cls.unknown(cell)
        return cls(found[1], int(found[2]), int(found[3], 16))


class Freshness:
    """What one caller's reads must have seen, and where its own writes ended.

    ``may_repeat``: what only reads may begin again where the replica goes away under it.
    ``primary_only``: nothing but the primary will do, because something is decided here.
    ``wants_position``: each commit is followed by a look at the log's end, for the caller to
    bring along next time. ``client``: under what the process remembers the last write of a
    caller that may bring nothing.
    """

    __slots__ = ("client", "given", "may_repeat", "primary_only", "wants_position", "written")

    def __init__(
        self,
        given: Iterable[Position] = (),
        *,
        client: tuple[str, str] | None = None,
        primary_only: bool = False,
        wants_position: bool = False,
    ) -> None:
        self.given = tuple(given)
        self.client = client
        self.may_repeat = not primary_only
        self.primary_only = primary_only
        self.wants_position = wants_position
        self.written: Position | None = None

    @classmethod
    def of_request(
        cls, brought: Iterable[str], cell: str, *, client: tuple[str, str] | None, safe: bool
    ) -> Freshness:
        """For a request. ``safe``: by its method it changes nothing (RFC 9110, section 9.2.1)."""
        tokens = [token for text in brought for token in text.split(",", _MOST_GIVEN)]
        given = {Position.parse(token, cell) for token in tokens[:_MOST_GIVEN] if token.strip()}
        return cls(given, client=client, primary_only=not safe, wants_position=not safe)


async def read_position(driver: asyncpg.Connection, cell: str) -> Position:
    """The end of the primary's log: everything committed before this moment is at or before it."""
    row = await driver.fetchrow(_POSITION)
    return Position(cell, int(row["timeline"], 16), row["lsn"])
