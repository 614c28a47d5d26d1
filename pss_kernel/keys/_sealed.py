"""Sealed values: AES-256-GCM, bound to the place that they stand in.

A value begins with a version, the number of its key and a nonce; then come ciphertext and tag. The
place is authenticated and not stored: a value that is copied to another tenant, field or person
does not open there.
"""

from __future__ import annotations

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from pss_kernel.errors import Unavailable

__all__ = ["KEY_BYTES", "Altered", "KeyMissing", "new_key", "number_of", "place", "seal", "unseal"]

KEY_BYTES = 32
_VERSION = 1
_HEADER = struct.Struct(">BI")
_NONCE = 12  # bytes, as NIST SP 800-38D recommends for random ones
_TAG = 16
_START = _HEADER.size + _NONCE


class KeyMissing(Unavailable):
    """The key that opens a value is not to be had here."""

    code, title, retryable = "key-missing", "A key is missing", False


class Altered(Unavailable):
    """A sealed value is not what was written there, or was copied from elsewhere."""

    code, title, retryable = "sealed-value-altered", "A sealed value does not open", False

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} does not open: it was altered, cut off, or copied from another place.",
            mend="Set it again, or restore the row from a backup.",
        )


def new_key() -> bytes:
    """A random key."""
    return os.urandom(KEY_BYTES)


def place(*parts: str) -> bytes:
    """Where a value stands, as associated data: no two lists of parts give the same bytes."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


def seal(key: AESGCM, number: int, where: bytes, clear: bytes) -> bytes:
    """Encrypt a value for its place with the key of that number."""
    header, nonce = _HEADER.pack(_VERSION, number), os.urandom(_NONCE)
    return header + nonce + key.encrypt(nonce, clear, header + where)


def number_of(sealed: bytes, what: str = "A sealed value") -> int:
    """The number of the key that sealed it. Raises Altered for what was never sealed."""
    if len(sealed) < _START + _TAG or sealed[0] != _VERSION:
        raise Altered(what)
    number: int = _HEADER.unpack_from(sealed)[1]
    return number


def unseal(key: AESGCM, where: bytes, sealed: bytes, what: str = "A sealed value") -> bytes:
    """Decrypt a value in its place. Raises Altered where it is not as it was sealed there."""
    number_of(sealed, what)
    header = sealed[: _HEADER.size]
    try:
        return key.decrypt(sealed[_HEADER.size : _START], sealed[_START:], header + where)
    except InvalidTag as error:
        raise Altered(what) from error
