"""Noting where the trail ends, in places that whoever rewrites it does not have in hand."""

from __future__ import annotations

import msgspec
import structlog

from pss_kernel.identity import plugin
from pss_kernel.identity.audit.events import AuditHeadNoted
from pss_kernel.persistence import UnitOfWork
from pss_kernel.tenancy._tenant import KERNEL

__all__ = ["note_audit_head"]

_log = structlog.get_logger("pss.security")
_STREAM = "audit"
_HEAD = """
SELECT position, encode(digest, 'hex') AS digest FROM audit_entry ORDER BY position DESC LIMIT 1
"""
_NOTED = """
SELECT data::text AS data FROM event WHERE stream = $1 ORDER BY stream_version DESC LIMIT 1
"""


@plugin.job(every=600.0)
async def note_audit_head(uow: UnitOfWork) -> None:
    """Write the head of the chain into the log and the event log, where it has moved on."""
    rows = await uow.hot(_HEAD)
    if not rows:
        return
    head = AuditHeadNoted(position=rows[0]["position"], digest=rows[0]["digest"])
    async with uow.acting(KERNEL):
        noted = await uow.hot(_NOTED, _STREAM)
    if noted and msgspec.json.decode(noted[0]["data"], type=AuditHeadNoted) == head:
        return
    uow.emit(head, stream=_STREAM)
    _log.info("audit_head", tenant=uow.tenant.code, position=head.position, digest=head.digest)
