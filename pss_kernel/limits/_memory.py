"""Buckets that one process keeps for itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import islice

from pss_kernel.limits._bucket import Take, Taken, decide

__all__ = ["MemoryBuckets"]

_MOST = 100_000
"""Buckets; one takes some 200 bytes."""


def _microseconds() -> int:
    return time.monotonic_ns() // 1000


class MemoryBuckets:
    """Where there is no Redis, and while it is away."""

    def __init__(self, clock: Callable[[], int] = _microseconds, most: int = _MOST) -> None:
        self._clock = clock
        self._most = most
        self._full_at: dict[str, int] = {}

    def __len__(self) -> int:
        """How many are not known to be full."""
        return len(self._full_at)

    def take(self, takes: Sequence[Take]) -> Taken:
        """Decide all the wishes together."""
        now = self._clock()
        keys = [one.bucket.key for one in takes]
        allowed, full_at = decide(takes, [self._full_at.get(key, 0) for key in keys], now)
        if len(self._full_at) >= self._most:
            self._make_room(now)
        for key, at in zip(keys, full_at, strict=True):
            self._full_at.pop(key, None)  # the latest asked for stand last
            if at > now:
                self._full_at[key] = at
        return Taken(allowed, tuple(takes), tuple(at - now for at in full_at))

    def _make_room(self, now: int) -> None:
        """Forget the full ones; where that is not enough, those not used for the longest."""
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        for key in list(islice(self._full_at, max(0, len(self._full_at) - self._most * 9 // 10))):
            del self._full_at[key]
