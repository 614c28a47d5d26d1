"""Signing keys in the database: making, opening, rotating and wrapping them anew."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import asyncpg
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pss_kernel.keys._master import MasterKeys
from pss_kernel.keys._sealed import place

__all__ = [
    "ALONE",
    "READ",
    "SigningKey",
    "first_keys",
    "make_key",
    "signing_key_of",
    "unwrapped",
    "wrapped_again",
]

READ = """
SELECT key_id, public_key, master, wrapped, state, created_at, changed_at FROM pss.signing_key
ORDER BY created_at, key_id
"""
# Whoever changes the list holds it alone, so that two never make a first key each.
ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('pss signing keys', 0))"
_STATES = "SELECT state FROM pss.signing_key WHERE state <> 'retired'"
_MAKE = """
INSERT INTO pss.signing_key (key_id, algorithm, public_key, master, wrapped, state)
VALUES ($1, 'EdDSA', $2::jsonb, $3, $4, $5)
"""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key as ``pss.signing_key`` has it."""

    key_id: str
    """The thumbprint of the public half (RFC 7638)."""
    public_key: Mapping[str, str]
    """As a JWK (RFC 8037): ``kty``, ``crv`` and ``x``."""
    master: str
    wrapped: bytes
    """The private half, which only the master key ``master`` opens."""
    state: Literal["next", "current", "retired"]
    created_at: datetime
    changed_at: datetime
    """When it came into its state."""

    @property
    def jwk(self) -> dict[str, str]:
        """As it is published."""
        return {**self.public_key, "kid": self.key_id, "alg": "EdDSA", "use": "sig"}

    def public(self) -> Ed25519PublicKey:
        """The public half, opened."""
        x = self.public_key["x"]
        return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))


def signing_key_of(row: Mapping[str, Any]) -> SigningKey:
    """From a row of READ; the public half as text or decoded."""
    public = row["public_key"]
    if isinstance(public, str):
        public = msgspec.json.decode(public)
    return SigningKey(
        row["key_id"],
        public,
        row["master"],
        row["wrapped"],
        row["state"],
        row["created_at"],
        row["changed_at"],
    )


def unwrapped(masters: MasterKeys, key: SigningKey) -> Ed25519PrivateKey:
    """The private half. May wait for Vault; raises KeyMissing, Altered, Unavailable."""
    clear = masters.unwrap(key.master, key.wrapped, _where(key.key_id))
    return Ed25519PrivateKey.from_private_bytes(clear)


def wrapped_again(masters: MasterKeys, key: SigningKey) -> tuple[str, bytes]:
    """The private half under the current master key. May wait and raise as ``unwrapped``."""
    where = _where(key.key_id)
    return masters.wrap(masters.unwrap(key.master, key.wrapped, where), where)


async def first_keys(owner: asyncpg.Connection, masters: MasterKeys) -> None:
    """Make a current key and a next one where they are missing, whoever else does the same."""
    async with owner.transaction():
        await owner.execute(ALONE)
        there = {row["state"] for row in await owner.fetch(_STATES)}
        for state in ("current", "next"):
            if state not in there:
                await make_key(owner, masters, state)


async def make_key(owner: asyncpg.Connection, masters: MasterKeys, state: str) -> str:
    """Make a key of that state, in the caller's transaction; its id."""
    private = Ed25519PrivateKey.generate()
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    public = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(raw)}
    # Members in this order and without white space: so RFC 7638 has it.
    key_id = _base64url(hashlib.sha256(msgspec.json.encode(public)).digest())
    master, wrapped = await asyncio.to_thread(
        masters.wrap, private.private_bytes_raw(), _where(key_id)
    )
    await owner.execute(_MAKE, key_id, msgspec.json.encode(public).decode(), master, wrapped, state)
    return key_id


def _where(key_id: str) -> bytes:
    return place("signing key", key_id)


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
