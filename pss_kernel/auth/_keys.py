"""API keys: ``pss_live_<id>_<secret>`` and ``pss_test_<id>_<secret>``.

Only a digest of the secret is stored. The secret has 256 random bits, so a plain SHA-256 is
enough: there is nothing to guess. A key from before there were test keys, ``pss_<id>_<secret>``,
is a live one. There is no checksum: prefix and lengths alone keep a secret scanner from mistaking
anything else for a key (docs/api-keys.md has the pattern).
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import asyncpg

from pss_kernel.api_versions import NEWEST

__all__ = [
    "INSERT_KEY",
    "ApiKey",
    "KeyMode",
    "MintedKey",
    "create_api_key",
    "key_row",
    "match_api_key",
    "parse_api_key",
    "secret_matches",
]

KeyMode = Literal["live", "test"]

_FORM = re.compile(r"pss_(?:(live|test)_)?([0-9a-f]{16})_([A-Za-z0-9_-]{43})", re.ASCII)
_NOBODYS = bytes(hashlib.sha256().digest_size)
"""Compared with where there is no such key, so that this takes as long as a wrong secret."""

INSERT_KEY = """
INSERT INTO pss.api_key (key_id, tenant, name, secret_digest, scopes, expires_at, mode, networks,
  api_version, created_by, replaces)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored; bound to one tenant for good."""

    key_id: str
    tenant: str
    name: str
    secret_digest: bytes = field(repr=False)
    scopes: frozenset[str]
    expires_at: datetime | None
    mode: str = "live"
    """``live``, or ``test``: then it reaches the tenant's test data and nothing else."""
    networks: tuple[str, ...] = ()
    """Where it may be used from (CIDR); empty: from everywhere."""
    api_version: str | None = None
    """The date of the version of the interface that it was made for; None: of the oldest."""

    @property
    def expired(self) -> bool:
        """Whether its time has passed."""
        return self.expires_at is not None and self.expires_at <= datetime.now(UTC)

    @cached_property
    def _allowed(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        return tuple(ipaddress.ip_network(one) for one in self.networks)

    def may_come_from(self, address: str) -> bool:
        """Whether it may be used at that address (as text; nothing that is none is allowed)."""
        if not self.networks:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._allowed)


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key that was just drawn; ``text`` is what its holder keeps."""

    key_id: str
    text: str = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def draw(cls, mode: KeyMode) -> MintedKey:
        """A new id and a new secret of 256 bits."""
        key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
        return cls(key_id, f"pss_{mode}_{key_id}_{secret}", _digest(secret))


def parse_api_key(text: str) -> tuple[str, str] | None:
    """The id and the secret of what looks like a key, else None."""
    match = _FORM.fullmatch(text)
    return (match[2], match[3]) if match else None


def match_api_key(text: str, find: Callable[[str], ApiKey | None]) -> ApiKey | None:
    """The key whose text that is; None for anything else, expired or not.

    An unknown id takes as long as a wrong secret. The mode in the text must be the key's own.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    key = find(match[2])
    matches = secret_matches(key, match[3])
    return key if key is not None and matches and key.mode == (match[1] or "live") else None


def secret_matches(key: ApiKey | None, secret: str) -> bool:
    """Compare in constant time, also where there is no such key."""
    expected = _NOBODYS if key is None else key.secret_digest
    return hmac.compare_digest(_digest(secret), expected) and key is not None


async def create_api_key(
    owner: asyncpg.Connection,
    *,
    tenant: str,
    name: str,
    scopes: Sequence[str],
    mode: KeyMode = "live",
    **more: Any,
) -> str:
    """Make a key and give its text, which can't be had a second time; ``more`` as ``key_row``."""
    minted = MintedKey.draw(mode)
    await owner.execute(
        INSERT_KEY, *key_row(minted, tenant=tenant, name=name, scopes=scopes, mode=mode, **more)
    )
    return minted.text


def key_row(
    minted: MintedKey,
    *,
    tenant: str,
    name: str,
    scopes: Sequence[str],
    mode: KeyMode,
    expires_at: datetime | None = None,
    networks: Sequence[str] = (),
    api_version: str | None = NEWEST,
    created_by: str | None = None,
    replaces: str | None = None,
) -> tuple[Any, ...]:
    """What ``INSERT_KEY`` takes. ``replaces``: the id of the key that it takes the place of."""
    return (
        *(minted.key_id, tenant, name, minted.digest, list(scopes), expires_at, mode),
        *(list(networks), api_version, created_by, replaces),
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
