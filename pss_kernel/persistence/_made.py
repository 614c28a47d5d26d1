"""What migrations make: read from their rendered SQL, so that it is known without a database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Made", "objects_made"]


class Made(NamedTuple):
    """Something with a name of its own in a tenant's schema."""

    kind: str
    """TABLE, VIEW, MATERIALIZED VIEW, SEQUENCE, TYPE, DOMAIN, FUNCTION or PROCEDURE."""
    name: str


# What is between quotes says nothing about names, and neither do comments. A quoted name does.
_HIDDEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?\*/)|(?P<quote>\$\w*\$).*?(?P=quote)|'(?:[^']|'')*'|[eE]'(?:[^'\\]|\\.|'')*'""",
    re.DOTALL | re.ASCII,
)
_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)'
_KIND = r"(?P<kind>TABLE|MATERIALIZED\s+VIEW|VIEW|SEQUENCE|TYPE|DOMAIN|FUNCTION|PROCEDURE)"
_CREATE = re.compile(
    rf"CREATE\s+(?:OR\s+REPLACE\s+)?(?P<temporary>TEMP\s+|TEMPORARY\s+)?(?:UNLOGGED\s+)?{_KIND}\s+"
    rf"(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>{_NAME})(?P<more>\s*\.)?",
    re.IGNORECASE,
)
_DROP = re.compile(
    rf"DROP\s+{_KIND}\s+(?:IF\s+EXISTS\s+)?(?P<names>{_NAME}.*?)(?:\s+(?:CASCADE|RESTRICT))?\s*$",
    re.IGNORECASE | re.DOTALL,
)
_RENAME = re.compile(
    rf"ALTER\s+{_KIND}\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<name>{_NAME})(?:\s*\([^)]*\))?"
    rf"\s+RENAME\s+TO\s+(?P<new>{_NAME})\s*$",
    re.IGNORECASE,
)
_IN_BRACKETS = re.compile(r"\([^()]*\)")


def objects_made(scripts: Iterable[str]) -> frozenset[Made]:
    """What is there after these scripts have run one after the other.

    What a script makes by computing a statement's text (``EXECUTE format(…)``) is not seen; nor
    is what it makes in another schema or for its own session.
    """
    there: set[Made] = set()
    for statement in (one for script in scripts for one in _statements(script)):
        if found := _CREATE.match(statement):
            if not (found["temporary"] or found["more"]):
                there.add(Made(_kind(found["kind"]), _name(found["name"])))
        elif found := _RENAME.match(statement):
            old = Made(_kind(found["kind"]), _name(found["name"]))
            if old in there:
                there.remove(old)
                there.add(Made(old.kind, _name(found["new"])))
        elif found := _DROP.match(statement):
            kind = _kind(found["kind"])
            for name in re.findall(_NAME, _IN_BRACKETS.sub("", found["names"])):
                there.discard(Made(kind, _name(name)))
    return frozenset(there)


def _statements(script: str) -> Iterator[str]:
    bare = _HIDDEN.sub(lambda found: " " if found["comment"] else " '' ", script)
    return (one.strip() for one in bare.split(";"))


def _kind(written: str) -> str:
    return " ".join(written.upper().split())


def _name(written: str) -> str:
    """As the catalogue has it: folded to lower case unless it was quoted."""
    return written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()
