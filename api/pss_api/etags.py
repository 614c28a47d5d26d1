"""Answers that need not be sent again: entity tags and conditional requests (RFC 9110)."""

from __future__ import annotations

import hashlib

__all__ = ["etag_of", "is_known"]

_CODED = "-gzip"


def etag_of(body: bytes, coding: str = "") -> str:
    """A strong tag: of the bytes before they are compressed, and of how they are."""
    digest = hashlib.blake2b(body, digest_size=16).hexdigest()
    return f'"{digest}{_CODED if coding else ""}"'


def is_known(etag: str, if_none_match: str) -> bool:
    """Whether the caller has what the tag stands for, in whichever coding."""
    if if_none_match.strip() == "*":
        return True
    bare = _bare(etag)
    return any(_bare(one) == bare for one in if_none_match.split(","))


def _bare(etag: str) -> str:
    return etag.strip().removeprefix("W/").strip('"').removesuffix(_CODED)
