"""Adding to a tenant's audit trail: within its unit of work, or as the owner of its tables."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.correlation import current_correlation
from pss_kernel.keys._secret import encode_secret
from pss_kernel.tenancy._origin import origin

if TYPE_CHECKING:
    import asyncpg

    from pss_kernel.persistence._unit_of_work import UnitOfWork

__all__ = ["audit_as_owner", "audit_entry", "differences", "write_audit"]

_WRITE = """
INSERT INTO audit_entry (entry)
SELECT g.entry FROM unnest($1::text[]) WITH ORDINALITY AS g (entry, place) ORDER BY g.place
"""
_THERE = "SELECT to_regclass(format('%I.audit_entry', $1::text)) IS NOT NULL"
_WRITE_AS_OWNER = 'INSERT INTO "{schema}".audit_entry (entry) VALUES ($1)'


def audit_entry(uow: UnitOfWork, facts: Mapping[str, Any], reason: str) -> str:
    """The text of an entry, less what the database adds."""
    typed = origin.get()
    current = current_correlation()
    commanded = bool(typed.actor) and uow.actor.kind == "system" and not uow.actor.id
    entry = {
        **facts,
        "actor": typed.actor if commanded else uow.actor.label,
        "session": uow.actor.session or None,
        "address": socket.gethostname() if commanded else uow.actor.address or None,
        "source": typed.source if commanded else None,
        "plugin": uow.plugin,
        "request": uow.correlation.correlation_id,
        "trace": current.trace_id if current else None,
        "reason": reason or None,
    }
    return _text(entry)


async def write_audit(uow: UnitOfWork, entries: Sequence[str]) -> None:
    """Append entries to the trail of the tenant that is bound."""
    await uow.hot(_WRITE, list(entries))


async def audit_as_owner(
    owner: asyncpg.Connection,
    code: str,
    action: str,
    subject: str,
    *,
    before: Any = None,
    after: Any = None,
    reason: str = "",
) -> None:
    """Append an entry in the owner's transaction: the actor is whoever gave the command.

    The place in the chain is held until the transaction ends, so call it near its end. ``before``
    and ``after`` as for ``UnitOfWork.audit``. Does nothing where the tenant has no trail (yet).
    """
    schema = f"t_{code}"
    if not await owner.fetchval(_THERE, schema):
        return
    who = origin.get()
    entry = {
        "action": action,
        "subject": subject,
        "before": before,
        "after": after,
        "actor": who.actor or "system",
        "session": None,
        "address": socket.gethostname(),
        "source": who.source or None,
        "plugin": "kernel",
        "request": None,
        "trace": None,
        "reason": reason or None,
    }
    await owner.execute(_WRITE_AS_OWNER.format(schema=schema), _text(entry))


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of both is not the same, for ``before`` and ``after`` of an entry."""
    keys = [key for key in before.keys() | after.keys() if before.get(key) != after.get(key)]
    return (
        {key: before[key] for key in sorted(keys) if key in before},
        {key: after[key] for key in sorted(keys) if key in after},
    )


def _text(entry: Mapping[str, Any]) -> str:
    return msgspec.json.encode(entry, enc_hook=encode_secret).decode()
