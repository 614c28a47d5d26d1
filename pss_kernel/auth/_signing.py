"""The keys that tokens are signed with: Ed25519, of the whole installation, in the control cell.

One is the *current* one and signs. The *next* one is published beside it, so that everybody who
verifies knows it before it signs anything. A *retired* one verifies until the last token that it
signed has expired. The private halves are wrapped with a master key and opened only here.

Every process has the list with its directory: a change is seen everywhere within a second, and no
request asks the database for a key.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from pss_kernel.auth._signing_store import SigningKey, first_keys, unwrapped

if TYPE_CHECKING:
    from pss_kernel.keys._master import MasterKeys
    from pss_kernel.persistence._database import Database
    from pss_kernel.tenancy._directory import Directory

__all__ = ["LONGEST_TOKEN", "SigningKeys"]

LONGEST_TOKEN = timedelta(minutes=60)
"""No access token lives longer, whatever a tenant sets."""
_MARGIN = timedelta(minutes=1)
"""How long a retired key goes on verifying after that: for the clocks of others, and for a
process that signs once more before it has heard of the rotation."""
_LOOK_SECONDS = 1.0


class SigningKeys:
    """The signing keys, opened once in each process."""

    def __init__(self, directory: Directory, database: Database, masters: MasterKeys) -> None:
        self._directory = directory
        self._database = database
        self._masters = masters
        self._private: dict[str, Ed25519PrivateKey] = {}
        self._public: dict[str, Ed25519PublicKey] = {}
        self._opening = asyncio.Lock()
        self._looking = asyncio.Lock()
        self._looked = float("-inf")

    @property
    def published(self) -> list[SigningKey]:
        """What somebody who verifies must know: all but retired ones that signed nothing valid."""
        return [key for key in self._directory.signing_keys if verifies(key)]

    async def current(self) -> tuple[str, Ed25519PrivateKey]:
        """The id and the private half of the key that signs now; made where there is none yet.

        Raises KeyMissing, Altered, Unavailable where it can't be opened.
        """
        key = self._current()
        if key is None or key.key_id not in self._private:
            async with self._opening:
                key = self._current()
                if key is None:
                    async with self._database.owner() as owner:
                        await first_keys(owner, self._masters)
                    await self._directory.refresh()
                    key = self._current()
                    assert key is not None, "it was made a moment ago"
                await self._open(key)
        return key.key_id, self._private[key.key_id]

    async def public(self, key_id: str) -> Ed25519PublicKey | None:
        """The public half of a key that may verify; None for any other.

        Of an id that is not known the database is asked, once in a second at the most: another
        process may have made the key a moment ago.
        """
        found = self.known(key_id)
        if found is None and await self._look_again():
            found = self.known(key_id)
        return found

    def known(self, key_id: str) -> Ed25519PublicKey | None:
        """As ``public``, from what this process knows already."""
        key = next((one for one in self._directory.signing_keys if one.key_id == key_id), None)
        if key is None or not verifies(key):
            return None
        public = self._public.get(key_id)
        if public is None:
            public = self._public[key_id] = key.public()
        return public

    def _current(self) -> SigningKey | None:
        return next((one for one in self._directory.signing_keys if one.state == "current"), None)

    async def _open(self, key: SigningKey) -> None:
        if key.key_id in self._private:
            return
        if self._masters.far:
            self._private[key.key_id] = await asyncio.to_thread(unwrapped, self._masters, key)
        else:
            self._private[key.key_id] = unwrapped(self._masters, key)

    async def _look_again(self) -> bool:
        """Read what has changed, unless that was done less than a second ago."""
        async with self._looking:
            if time.monotonic() - self._looked < _LOOK_SECONDS:
                return True  # by whoever held the lock before
            self._looked = time.monotonic()
            return await self._directory.refresh()


def verifies(key: SigningKey) -> bool:
    """Whether something that the key signed can still be valid."""
    if key.state != "retired":
        return True
    return datetime.now(UTC) < key.changed_at + LONGEST_TOKEN + _MARGIN


def jwks(keys: list[SigningKey]) -> dict[str, Any]:
    """The keys as RFC 7517 has them, for those who verify tokens themselves."""
    return {"keys": [key.jwk for key in keys]}
