"""What travels: an event with where it comes from and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

__all__ = ["Envelope"]


class Envelope(msgspec.Struct, frozen=True):
    """An event as it stands in the outbox and on the broker (JSON)."""

    id: UUID
    type: str
    version: int
    tenant: str
    stream: str
    stream_version: int
    occurred_at: datetime
    correlation_id: str
    actor: str
    data: dict[str, Any]
    causation_id: str | None = None
    traceparent: str | None = None
    """The trace context (W3C) of what caused it."""
