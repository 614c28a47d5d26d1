"""What the audit trail tells the world: where it ends, so that a later cut would be seen."""

from pss_kernel.messaging._event import Event

__all__ = ["AuditHeadNoted"]


class AuditHeadNoted(Event, name="audit-head-noted"):
    """The position and the digest (hexadecimal) of the last entry at that time."""

    position: int
    digest: str
