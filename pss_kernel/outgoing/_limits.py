"""What a call to somebody else may take."""

from __future__ import annotations

from typing import Annotated

import msgspec

__all__ = ["CallLimits"]

_Seconds = Annotated[float, msgspec.Meta(gt=0, le=600)]


class CallLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of one target; each has a default that suits a partner's HTTP API."""

    connect_seconds: _Seconds = 2.0
    """For the connection, TLS included."""
    read_seconds: _Seconds = 5.0
    """Between two pieces of the answer."""
    total_seconds: _Seconds = 10.0
    """For everything: waiting for room, every attempt, the pauses between them."""
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    """Of a call that may be repeated; any other has one."""
    concurrent: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    """Calls at once, in each process and for each tenant."""
    waiting: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 64
    """Calls that may wait for room; a further one is refused at once."""
    failures: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5
    """So many failed attempts one after the other open the circuit."""
    open_seconds: _Seconds = 15.0
    """How long it stays open before one call is let through to try."""
    largest_answer: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    """Bytes; a longer answer counts as none."""
