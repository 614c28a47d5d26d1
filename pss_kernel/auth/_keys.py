"""API keys: ``pss_<id>_<secret>``; only a digest of the secret is stored.

The secret has 256 random bits, so a plain SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

__all__ = ["ApiKey", "create_api_key", "parse_api_key", "secret_matches"]

_FORM = re.compile(r"pss_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)

_INSERT = """
INSERT INTO pss.api_key (key_id, tenant, name, secret_digest, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is stored; bound to one tenant for good."""

    key_id: str
    tenant: str
    name: str
    secret_digest: bytes
    scopes: frozenset[str]
    expires_at: datetime | None
    mode: str = "live"
    """``live``, or ``test``: then it reaches the tenant's test data and nothing else."""
    networks: tuple[str, ...] = ()
    """Where it may be used from (CIDR); empty: from everywhere."""
    api_version: str | None = None
    """The date of the version of the interface that it was made for."""

    @property
    def expired(self) -> bool:
        """Whether its time has passed."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)


def parse_api_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of what looks like a key, else None."""
    match = _FORM.fullmatch(text)
    return (match[1], match[2]) if match else None


def secret_matches(key: ApiKey, secret: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(_digest(secret), key.secret_digest)


async def create_api_key(
    owner: asyncpg.Connection,
    *,
    tenant: str,
    name: str,
    scopes: list[str],
    expires_at: datetime | None = None,
) -> str:
    """Make a key and give its text, which can't be had a second time."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    await owner.execute(_INSERT, key_id, tenant, name, _digest(secret), scopes, expires_at)
    return f"pss_{key_id}_{secret}"


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
