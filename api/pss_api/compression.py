"""Answers made smaller for those who take them so (RFC 9110, section 12.5.3)."""

from __future__ import annotations

import zlib

__all__ = ["compressed", "takes_gzip"]

_LEAST = 1024
"""Bytes; what is smaller fits into one packet as it is."""
_LEVEL = 5
_GZIP = 16 + zlib.MAX_WBITS
_SUITABLE = ("application/json", "application/problem+json", "text/", "application/javascript")


def takes_gzip(accept_encoding: str) -> bool:
    """Whether the header names gzip, or anything, with a weight above nought."""
    weights: dict[str, float] = {}
    for one in accept_encoding.lower().split(","):
        name, _, parameters = one.partition(";")
        key, _, weight = parameters.strip().partition("=")
        try:
            weights[name.strip()] = float(weight) if key == "q" else 1.0
        except ValueError:
            weights[name.strip()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0


def compressed(body: bytes, media_type: str) -> bytes | None:
    """The body as gzip, the same for the same body; None where that is not worth it."""
    if len(body) < _LEAST or not media_type.startswith(_SUITABLE):
        return None
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    packed = packer.compress(body) + packer.flush()
    return packed if len(packed) < len(body) else None
