"""Prefixed identifiers: ``ord_06f1…``, time-ordered, 128 bits, safe in URLs."""

from __future__ import annotations

import secrets
import time

from pss_kernel.errors import NotFound

__all__ = ["check_id", "new_id", "new_uuid7"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
_LENGTH = 26


def new_uuid7() -> int:
    """A UUIDv7 (RFC 9562) as an integer: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = secrets.randbits(74)
    high = (milliseconds << 16) | (0x7 << 12) | (random_bits >> 62)
    return (high << 64) | (0b10 << 62) | (random_bits & ((1 << 62) - 1))


def new_id(kind: str) -> str:
    """A fresh id of that kind: the kind, an underscore and 26 base-32 characters."""
    value = new_uuid7()
    pairs = [_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)]
    return f"{kind}_{''.join(pairs)}"


def check_id(kind: str, value: str) -> str:
    """The id itself; NotFound when it can't be an id of that kind."""
    prefix, _, rest = value.partition("_")
    if prefix != kind or len(rest) != _LENGTH or not set(rest) <= set(_ALPHABET):
        raise NotFound(f"There is no '{kind}' with the id {value[:40]!r}.")
    return value
