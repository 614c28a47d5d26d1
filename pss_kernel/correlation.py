"""What ties log lines, events, audit entries and outgoing calls to what caused them.

The correlation id is the id of the request (or of the run of a job) that began it all, and goes
on with its events. Beside it stands a W3C trace context (https://www.w3.org/TR/trace-context/),
so that what happens here shows in the traces of those who call us and whom we call.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import structlog

__all__ = ["CurrentCorrelation", "correlated", "current_correlation"]

# Version 00, and what later versions must begin with (W3C Trace Context, section 4.3).
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST_STATE = 512
_STATE = re.compile(r"[\x20-\x7e]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class CurrentCorrelation:
    """What the code that runs now belongs to."""

    correlation_id: str
    trace_id: str
    """32 hexadecimal digits: the caller's, where it sent a trace context."""
    span_id: str
    """16 hexadecimal digits: our own part of the trace."""
    flags: str = "00"
    """Of the trace context: ``01`` where the caller samples it."""
    state: str = ""
    """The caller's ``tracestate``, passed on as it is."""

    @property
    def traceparent(self) -> str:
        """The header ``traceparent`` for whom we call: its parent is our part of the trace."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    @property
    def headers(self) -> dict[str, str]:
        """What an outgoing call within our own installation, or a partner's, carries."""
        given = {"PSS-Request-Id": self.correlation_id, "traceparent": self.traceparent}
        return given | {"tracestate": self.state} if self.state else given


_current: ContextVar[CurrentCorrelation | None] = ContextVar("pss_correlation", default=None)


def current_correlation() -> CurrentCorrelation | None:
    """What runs now belongs to; None outside of a request, an event's handler or a job."""
    return _current.get()


@contextmanager
def correlated(
    correlation_id: str, traceparent: str | None = None, tracestate: str = "", /, **facts: str
) -> Iterator[CurrentCorrelation]:
    """Run the block as a part of that; ``facts`` and the trace's id stand on its log lines.

    A ``traceparent`` that is not well-formed is as good as none: then a trace of our own begins.
    """
    made = _continued(correlation_id, traceparent or "", tracestate)
    token = _current.set(made)
    try:
        with structlog.contextvars.bound_contextvars(trace_id=made.trace_id, **facts):
            yield made
    finally:
        _current.reset(token)


def _continued(correlation_id: str, traceparent: str, tracestate: str) -> CurrentCorrelation:
    match = _TRACEPARENT.fullmatch(traceparent)
    later = match is not None and match[4] is not None
    if (
        match is None
        or not match[1].strip("0")
        or not match[2].strip("0")
        or (later and traceparent.startswith("00"))
    ):
        return CurrentCorrelation(correlation_id, secrets.token_hex(16), secrets.token_hex(8))
    known = len(tracestate) <= _LONGEST_STATE and _STATE.fullmatch(tracestate)
    return CurrentCorrelation(
        *(correlation_id, match[1], secrets.token_hex(8)),
        flags=f"{int(match[3], 16) & 1:02x}",  # the only flag that version 00 has
        state=tracestate if known else "",
    )
