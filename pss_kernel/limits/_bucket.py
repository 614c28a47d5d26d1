"""The rule of a token bucket, in whole microseconds, without a clock or a place to keep it.

What is kept of a bucket is one moment: when it will be full again (the "theoretical arrival time"
of the generic cell rate algorithm, ITU-T I.371). A bucket that is full is nothing at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Bucket", "Take", "Taken", "decide"]

SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """``quota`` tokens that come back evenly over ``window`` seconds."""

    tenant: str
    name: str
    """What it limits: ``client``, ``read``; told in the answer's headers."""
    subject: str
    """Whose it is; kept as a digest only."""
    quota: int
    window: int = 60

    @property
    def key(self) -> str:
        """Its name in Redis; the braces keep one tenant's together in a Redis cluster."""
        subject = hashlib.blake2b(self.subject.encode(), digest_size=12).hexdigest()
        return f"pss:{self.tenant}:limit:{{{self.tenant}}}:{self.name}:{subject}"

    @property
    def interval(self) -> int:
        """Microseconds until one token has come back."""
        return max(1, self.window * SECOND // self.quota)

    @property
    def burst(self) -> int:
        """Microseconds until an empty one is full again."""
        return self.interval * self.quota


@dataclass(frozen=True, slots=True)
class Take:
    """A wish for ``cost`` tokens; below nought it gives some back, and is never refused."""

    bucket: Bucket
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of several wishes that were decided together: all of them, or none."""

    allowed: bool
    takes: tuple[Take, ...]
    ahead: tuple[int, ...]
    """Microseconds until each bucket is full again, after this."""

    def remaining(self, place: int) -> int:
        """Tokens that are left in the bucket."""
        bucket = self.takes[place].bucket
        return max(0, (bucket.burst - self.ahead[place]) // bucket.interval)

    def wait(self, place: int) -> int:
        """Microseconds until that wish could be granted; 0 where it could be now."""
        take = self.takes[place]
        wanted = self.ahead[place] + take.cost * take.bucket.interval
        return 0 if self.allowed or take.cost <= 0 else max(0, wanted - take.bucket.burst)

    @property
    def tightest(self) -> int:
        """The place of the bucket that one must wait for the longest, else of the emptiest."""
        places = range(len(self.takes))
        if not self.allowed:
            return max(places, key=self.wait)
        return min(places, key=lambda one: self.remaining(one) / self.takes[one].bucket.quota)


def decide(takes: Sequence[Take], full_at: Sequence[int], now: int) -> tuple[bool, list[int]]:
    """Whether all can be had, and when each bucket is full again then.

    The script in ``_redis.py`` does the same; a test holds them against each other.
    """
    full = [max(one, now) for one in full_at]
    wanted = [at + take.cost * take.bucket.interval for at, take in zip(full, takes, strict=True)]
    allowed = all(
        take.cost <= 0 or at - now <= take.bucket.burst
        for at, take in zip(wanted, takes, strict=True)
    )
    return allowed, [max(one, now) for one in wanted] if allowed else full
