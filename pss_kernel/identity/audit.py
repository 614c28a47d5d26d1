"""The audit trail: who did what to whom, before and after, from where.

The database numbers the entries of a tenant, gives each its time, and chains it to the one before
by a digest (SHA-256 over the digest before and the text of the entry).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.correlation import current_correlation
from pss_kernel.keys._secret import encode_secret

if TYPE_CHECKING:
    from pss_kernel.persistence._unit_of_work import UnitOfWork

__all__ = ["audit_entry", "write_audit"]

_WRITE = """
INSERT INTO audit_entry (entry)
SELECT g.entry FROM unnest($1::text[]) WITH ORDINALITY AS g (entry, place) ORDER BY g.place
"""


def audit_entry(uow: UnitOfWork, facts: Mapping[str, Any], reason: str) -> str:
    """The text of an entry, less what the database adds."""
    current = current_correlation()
    entry = {
        **facts,
        "actor": uow.actor.label,
        "session": uow.actor.session or None,
        "address": uow.actor.address or None,
        "plugin": uow.plugin,
        "request": uow.correlation.correlation_id,
        "trace": current.trace_id if current else None,
        "reason": reason or None,
    }
    return msgspec.json.encode(entry, enc_hook=encode_secret).decode()


async def write_audit(uow: UnitOfWork, entries: Sequence[str]) -> None:
    """Append entries to the trail of the tenant that is bound."""
    await uow.hot(_WRITE, list(entries))
