"""The audit trail over HTTP: looked through by filters, and whole, with its digests."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import msgspec

from pss_kernel.answers import Content, Page
from pss_kernel.errors import BadRequest
from pss_kernel.identity import plugin
from pss_kernel.identity.audit.chain import line_of
from pss_kernel.persistence import UnitOfWork

__all__ = ["AuditEntry", "export_audit_entries", "list_audit_entries"]

_PER_PAGE = 100
_PER_EXPORT = 1000
_CURSOR = re.compile(r"[0-9]{1,18}", re.ASCII)
_LIST = """
SELECT entry, encode(digest, 'hex') AS digest FROM audit_entry
WHERE ($1::bigint IS NULL OR position < $1) AND ($2::text IS NULL OR action = $2)
  AND ($3::text IS NULL OR actor = $3) AND ($4::text IS NULL OR subject = $4)
  AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
ORDER BY position DESC LIMIT $7
"""
_EXPORT = """
SELECT position, entry, digest FROM audit_entry WHERE position > $1 ORDER BY position LIMIT $2
"""
Filter = Annotated[str | None, msgspec.Meta(min_length=1, max_length=200)]


class AuditEntry(msgspec.Struct, kw_only=True):
    """Who did what to whom, from where. ``before`` and ``after`` are masked where it was secret."""

    position: int
    at: datetime
    action: str
    actor: str
    subject: str
    before: Any = None
    after: Any = None
    reason: str | None = None
    plugin: str | None = None
    session: str | None = None
    address: str | None = None
    source: str | None = None
    request: str | None = None
    digest: str = ""


@plugin.get(
    "/audit-entries",
    permission="identity:audit-read",
    summary="What was done by whom",
    read_only=True,
)
async def list_audit_entries(
    uow: UnitOfWork,
    action: Filter = None,
    actor: Filter = None,
    subject: Filter = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: str | None = None,
) -> Page[AuditEntry]:
    """List the entries of the audit trail, the latest first, a hundred on a page.

    ``since`` and ``until`` are times with their offset; ``until`` itself is left out.
    """
    for moment in (since, until):
        if moment is not None and moment.tzinfo is None:
            raise BadRequest("A time needs its offset, as in 2026-11-25T10:00:00Z.")
    rows = await uow.hot(
        _LIST,
        *(_position(cursor), action, actor, subject, since, until, _PER_PAGE),
    )
    entries = [_shown(row["entry"], row["digest"]) for row in rows]
    full = len(entries) == _PER_PAGE
    return Page(data=entries, next_cursor=str(entries[-1].position) if full else None)


@plugin.get(
    "/audit-entries/export",
    permission="identity:audit-read",
    summary="The audit trail with its digests",
    read_only=True,
    produces="application/x-ndjson",
)
async def export_audit_entries(uow: UnitOfWork, after: str | None = None) -> Content:
    """Give the entries after a position, the first first, as NDJSON, a thousand at once.

    Ask again with the last position of an answer until the answer is empty; the whole can be
    verified without us (docs/audit.md).
    """
    rows = await uow.hot(_EXPORT, _position(after) or 0, _PER_EXPORT)
    body = b"".join(line_of(row["position"], row["entry"], row["digest"]) for row in rows)
    return Content(body, "application/x-ndjson", "audit.ndjson")


def _position(text: str | None) -> int | None:
    if text is None:
        return None
    if not _CURSOR.fullmatch(text):
        raise BadRequest("The cursor is not one that this list gave.", code="invalid-cursor")
    return int(text)


def _shown(entry: str, digest: str) -> AuditEntry:
    found = msgspec.json.decode(entry, type=AuditEntry)
    found.digest = digest
    return found
