"""The event log and the outbox: written by one statement, just before the commit."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import msgspec

from pss_kernel.correlation import current_correlation
from pss_kernel.ids import new_uuid7

if TYPE_CHECKING:
    from pss_kernel.messaging._event import Event
    from pss_kernel.persistence import UnitOfWork

__all__ = ["OUTBOX_QUEUE", "EventBuffer"]

OUTBOX_QUEUE = "events"

# Appends the events to their streams, numbering each stream's versions, and puts the same
# envelopes into the outbox. Two transactions that append to one stream at once collide on the
# unique (stream, stream_version): one of them is told to try again.
_APPEND = f"""
WITH incoming AS (
  SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[], $4::text[], $5::text[])
    WITH ORDINALITY AS i (event_id, event_type, event_version, stream, data, place)
), appended AS (
  INSERT INTO event (event_id, event_type, event_version, stream, stream_version,
                     correlation_id, causation_id, actor, data)
  SELECT i.event_id, i.event_type, i.event_version, i.stream,
         coalesce((SELECT max(e.stream_version) FROM event e WHERE e.stream = i.stream), 0)
           + row_number() OVER (PARTITION BY i.stream ORDER BY i.place),
         $6, $7, $8, i.data::jsonb
  FROM incoming i ORDER BY i.place
  RETURNING event_id, event_type, event_version, stream, stream_version, occurred_at, data
)
INSERT INTO pss.outbox (queue, payload, headers)
SELECT '{OUTBOX_QUEUE}',
       convert_to(jsonb_build_object(
         'id', event_id, 'type', event_type, 'version', event_version, 'tenant', $9::text,
         'stream', stream, 'stream_version', stream_version,
         'occurred_at', to_char(occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
         'correlation_id', $6::text, 'causation_id', $7::text, 'actor', $8::text, 'data', data,
         'traceparent', $10::text
       )::text, 'UTF8'),
       jsonb_build_object('content-type', 'application/json', 'correlation_id', $6::text)
FROM appended
"""  # noqa: S608 - the queue's name is ours


class EventBuffer:
    """The events of one unit of work, until it is about to commit."""

    def __init__(self) -> None:
        self._pending: list[tuple[Event, str]] = []
        self.written = 0

    def add(self, event: Event, stream: str) -> None:
        """Remember an event for its stream."""
        self._pending.append((event, stream))

    def mark(self) -> int:
        """Where a savepoint begins."""
        return len(self._pending)

    def reset(self, mark: int) -> None:
        """Forget what was added since the mark."""
        del self._pending[mark:]

    async def write(self, uow: UnitOfWork) -> None:
        """Append all to the log and the outbox, in one statement."""
        if not self._pending:
            return
        events = [event for event, _ in self._pending]
        facts, current = uow.facts, current_correlation()
        await uow.hot(
            _APPEND,
            [uuid.UUID(int=new_uuid7()) for _ in events],
            [event.event_type for event in events],
            [event.event_version for event in events],
            [stream for _, stream in self._pending],
            [msgspec.json.encode(event).decode() for event in events],
            facts["correlation_id"],
            facts["causation_id"],
            facts["actor"],
            facts["tenant"],
            current.traceparent if current else None,
        )
        self.written += len(events)
        self._pending.clear()
