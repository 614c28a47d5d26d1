"""Hashing of passwords with Argon2id, a few at a time and apart from the event loop.

The parameters are the second recommended ones of RFC 9106 (section 4): 64 MiB, 3 passes, 4 lanes.
They are above the least that OWASP's Password Storage Cheat Sheet names.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

from pss_kernel.errors import Unavailable

__all__ = ["LONGEST_PASSWORD", "Hashing", "hashing", "normalised"]

T = TypeVar("T")

LONGEST_PASSWORD = 128
"""In characters; what is longer is not hashed."""
_AT_ONCE = min(2, os.cpu_count() or 1)
_WAITING = 32


def normalised(password: str) -> str:
    """The password in Normalization Form C, whatever the keyboard (RFC 8265)."""
    return unicodedata.normalize("NFC", password)


class Hashing:
    """Hashes and verifies in threads of its own; Argon2 and zxcvbn need much of a processor."""

    def __init__(self, hasher: PasswordHasher) -> None:
        self._hasher = hasher
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pss-passwords")
        self._asked = 0

    async def hash(self, password: str) -> str:
        """The hash to be kept, with its parameters and salt. Raises Unavailable as ``run``."""
        return await self.run(lambda: self._hasher.hash(normalised(password)))

    async def verify(self, kept: str | None, password: str) -> bool:
        """Whether the password is the one; without a hash, no, after the same time.

        Raises Unavailable as ``run``.
        """
        return await self.run(lambda: self._verify(kept, password))

    def is_outdated(self, kept: str) -> bool:
        """Whether the hash was made with other parameters than are in use now."""
        return self._hasher.check_needs_rehash(kept)

    async def run(self, work: Callable[[], T]) -> T:
        """Run in one of the few threads. Raises Unavailable where too many wait already."""
        if self._asked >= _AT_ONCE + _WAITING:
            raise Unavailable("Too many people are signing in at this moment.", code="sign-in-busy")
        self._asked += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._asked -= 1

    def _verify(self, kept: str | None, password: str) -> bool:
        given = normalised(password[:LONGEST_PASSWORD])
        if kept is None or len(password) > LONGEST_PASSWORD:
            self._hasher.hash(given)  # as much work as to verify
            return False
        try:
            return self._hasher.verify(kept, given)
        except (VerificationError, InvalidHashError):
            return False


hashing = Hashing(PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY))
