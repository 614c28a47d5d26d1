"""Proving a trail: every entry's digest made anew, in the database or from an export."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pss_kernel.errors import Invalid

if TYPE_CHECKING:
    import asyncpg

__all__ = [
    "Chain",
    "ExportedEntry",
    "Head",
    "Verified",
    "entries_of_file",
    "exported_lines",
    "line_of",
    "verify_file",
    "verify_trail",
]

_AT_ONCE = 2000
_ENTRIES = """
SELECT position, entry, digest,
       to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
FROM "{schema}".audit_entry ORDER BY position
"""
_NOTED = """
SELECT data ->> 'position' AS position, data ->> 'digest' AS digest FROM "{schema}".event
WHERE stream = 'audit' AND event_type = 'identity.audit-head-noted'
"""


class Head(msgspec.Struct, frozen=True):
    """The last entry of a trail at some time; written ``POSITION:DIGEST``."""

    position: int
    digest: str

    @classmethod
    def parse(cls, text: str) -> Head:
        """Raises Invalid."""
        position, _, digest = text.partition(":")
        if not (position.isascii() and position.isdigit() and len(digest) == 64):  # noqa: PLR2004 - SHA-256 in hexadecimal
            raise Invalid(
                f"{text!r} is not the head of a trail.",
                code="invalid-audit-head",
                mend="Write POSITION:DIGEST, as the log line 'audit_head' has them.",
            )
        return cls(int(position), digest.lower())


class ExportedEntry(msgspec.Struct, kw_only=True):
    """A line of an exported trail. ``entry`` is the text that the digest is made of."""

    position: int
    digest: str
    entry: str


class Verified(msgspec.Struct, kw_only=True):
    """What a look at a whole trail came to."""

    entries: int = 0
    head: Head | None = None
    broken_at: int | None = None
    """The first position at which the trail is not as it was written."""
    why: str = ""


class _Facts(msgspec.Struct):
    position: int
    at: str


class Chain:
    """Takes entries in their order, and knows the first one that does not fit.

    ``noted``: positions to digests that were seen before, for what no chain shows by itself: a
    trail that was cut at its end, or written anew as a whole.
    """

    def __init__(
        self, noted: Mapping[int, set[str]], *, start: tuple[int, bytes] = (0, b"")
    ) -> None:
        self.found = Verified()
        self._noted = noted
        self._position, self._digest = start
        self._facts = msgspec.json.Decoder(_Facts).decode

    def add(self, position: int, entry: str, digest: bytes, at: str | None = None) -> bool:
        """Look at the next entry; False where it is the first that is wrong."""
        expected = self._position + 1
        self._digest = hashlib.sha256(self._digest + entry.encode()).digest()
        if position != expected:
            return self._break(expected, f"The entry {expected} is missing.")
        if digest != self._digest:
            return self._break(position, "Its digest is not that of its text after the one before.")
        if not self._agrees(position, entry, at):
            return self._break(position, "Its number or its time is not the one in its text.")
        noted = self._noted.get(position)
        if noted and noted != {digest.hex()}:
            return self._break(position, "Another digest was noted here: it was written anew.")
        self._position = position
        self.found.entries += 1
        self.found.head = Head(position, digest.hex())
        return True

    def end(self) -> Verified:
        """After the last one."""
        missing = [one for one in self._noted if one > self._position]
        if self.found.broken_at is None and missing:
            self._break(
                self._position + 1, f"It ended at {max(missing)} before: entries were cut off."
            )
        return self.found

    def _agrees(self, position: int, entry: str, at: str | None) -> bool:
        try:
            facts = self._facts(entry)
        except msgspec.MsgspecError:
            return False
        return facts.position == position and at in {None, facts.at}

    def _break(self, position: int, why: str) -> bool:
        self.found.broken_at, self.found.why = position, why
        return False


async def verify_trail(
    owner: asyncpg.Connection, schema: str, heads: list[Head] | None = None
) -> Verified:
    """Make a tenant's chain anew, in constant memory, and compare it with the noted heads."""
    async with owner.transaction(isolation="repeatable_read", readonly=True):
        rows = await owner.fetch(_NOTED.format(schema=schema))
        noted = _noted([*(heads or []), *(Head(int(row[0]), row[1]) for row in rows)])
        chain = Chain(noted)
        async for row in owner.cursor(_ENTRIES.format(schema=schema), prefetch=_AT_ONCE):
            if not chain.add(row["position"], row["entry"], row["digest"], row["at"]):
                break
    return chain.end()


def verify_file(path: Path, heads: list[Head] | None = None) -> Verified:
    """The same for an exported trail. Raises Invalid for a line that is none."""
    chain = Chain(_noted(heads or []))
    for one in entries_of_file(path):
        if not chain.add(one.position, one.entry, bytes.fromhex(one.digest)):
            break
    return chain.end()


def entries_of_file(path: Path) -> Iterator[ExportedEntry]:
    """The lines of an exported trail. Raises Invalid."""
    decode = msgspec.json.Decoder(ExportedEntry).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                one = decode(line)
                bytes.fromhex(one.digest)
            except (msgspec.MsgspecError, ValueError) as error:
                raise Invalid(
                    f"Line {number} of {path} is no entry of an audit trail.",
                    code="unreadable-audit-trail",
                    mend="Give a file that 'pss audit export' has written.",
                ) from error
            yield one


async def exported_lines(owner: asyncpg.Connection, schema: str) -> AsyncIterator[bytes]:
    """A tenant's whole trail, a line an entry, the first first; one view of it."""
    async with owner.transaction(isolation="repeatable_read", readonly=True):
        async for row in owner.cursor(_ENTRIES.format(schema=schema), prefetch=_AT_ONCE):
            yield line_of(row["position"], row["entry"], row["digest"])


def line_of(position: int, entry: str, digest: bytes) -> bytes:
    """An entry as a line of an export."""
    one = ExportedEntry(position=position, digest=digest.hex(), entry=entry)
    return msgspec.json.encode(one) + b"\n"


def _noted(heads: list[Head]) -> dict[int, set[str]]:
    noted: dict[int, set[str]] = {}
    for head in heads:
        noted.setdefault(head.position, set()).add(head.digest)
    return noted
