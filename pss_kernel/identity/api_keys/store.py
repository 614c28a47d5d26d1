"""Keys in the control schema.

The functions take what runs a statement and gives its rows: ``uow.hot``, which sees the keys of its
tenant alone (row level security), or an owner's ``connection.fetch``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from pss_kernel.auth import INSERT_KEY, KeyMode, MintedKey, key_row
from pss_kernel.errors import Conflict, NotFound

__all__ = [
    "change_key",
    "end_after",
    "insert_key",
    "keys_of",
    "locked_key",
    "revoke_key",
    "show_key",
]

Fetch = Callable[..., Awaitable[list[asyncpg.Record]]]

_COLUMNS = """
SELECT k.key_id, k.tenant, k.name, k.mode, k.scopes, k.networks, k.api_version, k.created_at,
       k.created_by, k.expires_at, k.revoked_at, k.replaces, u.last_used_at, u.last_used_from,
       CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
            WHEN k.expires_at <= now() THEN 'expired' ELSE 'active' END AS state,
       (SELECT r.key_id FROM pss.api_key r WHERE r.replaces = k.key_id
        ORDER BY r.created_at DESC LIMIT 1) AS replaced_by
FROM pss.api_key k LEFT JOIN pss.api_key_use u ON u.key_id = k.key_id AND u.tenant = k.tenant
"""
_ONE = _COLUMNS + "WHERE k.tenant = $1 AND k.key_id = $2"
_AFTER = """
WHERE k.tenant = $1 AND ($2::text IS NULL OR (k.created_at, k.key_id) >
  (SELECT c.created_at, c.key_id FROM pss.api_key c WHERE c.tenant = $1 AND c.key_id = $2))
ORDER BY k.created_at, k.key_id LIMIT $3
"""
_LIST = _COLUMNS + _AFTER
_LOCK = "SELECT 1 FROM pss.api_key WHERE tenant = $1 AND key_id = $2 FOR UPDATE"
_CHANGE = """
UPDATE pss.api_key SET name = $3, scopes = $4, expires_at = $5, networks = $6, api_version = $7
WHERE tenant = $1 AND key_id = $2
"""
_REVOKE = """
UPDATE pss.api_key SET revoked_at = now()
WHERE tenant = $1 AND key_id = $2 AND revoked_at IS NULL
"""
_END_AFTER = """
UPDATE pss.api_key SET expires_at = least(expires_at, now() + $3)
WHERE tenant = $1 AND key_id = $2
"""


async def insert_key(fetch: Fetch, tenant: str, mode: KeyMode, **facts: Any) -> MintedKey:
    """Make a key; ``facts`` as for ``key_row``."""
    minted = MintedKey.draw(mode)
    await fetch(INSERT_KEY, *key_row(minted, tenant=tenant, mode=mode, **facts))
    return minted


async def show_key(fetch: Fetch, tenant: str, key_id: str) -> asyncpg.Record:
    """A key of the tenant, revoked or not. Raises NotFound."""
    rows = await fetch(_ONE, tenant, key_id)
    if not rows:
        raise NotFound(f"There is no key {key_id!r}.", mend="See 'pss apikey list'.")
    return rows[0]


async def locked_key(fetch: Fetch, tenant: str, key_id: str) -> asyncpg.Record:
    """The same, and nobody else changes it before this transaction ends."""
    await fetch(_LOCK, tenant, key_id)
    return await show_key(fetch, tenant, key_id)


async def keys_of(
    fetch: Fetch, tenant: str, *, after: str | None = None, limit: int = 10_000
) -> list[asyncpg.Record]:
    """The tenant's keys, oldest first; those after one of them."""
    return await fetch(_LIST, tenant, after, limit)


async def change_key(
    fetch: Fetch,
    row: asyncpg.Record,
    *,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
    networks: Sequence[str],
    api_version: str | None,
) -> None:
    """Change a key that is still in use. Raises Conflict for one that was revoked."""
    if row["state"] == "revoked":
        raise _ended(row)
    await fetch(
        *(_CHANGE, row["tenant"], row["key_id"], name, list(scopes), expires_at),
        *(list(networks), api_version),
    )


async def revoke_key(fetch: Fetch, row: asyncpg.Record) -> None:
    """End a key at once; one that was revoked before stays as it is."""
    await fetch(_REVOKE, row["tenant"], row["key_id"])


async def end_after(fetch: Fetch, row: asyncpg.Record, overlap: timedelta) -> None:
    """Let a key expire after a time, unless it does before.

    Raises Conflict for one that has ended, or has been replaced by a key that is in use.
    """
    if row["state"] != "active":
        raise _ended(row)
    if row["replaced_by"] is not None:
        successor = await show_key(fetch, row["tenant"], row["replaced_by"])
        if successor["state"] == "active":
            raise Conflict(
                f"The key {row['key_id']!r} has been replaced already.",
                code="key-rotated",
                mend=f"Rotate its successor, {successor['key_id']!r}.",
            )
    await fetch(_END_AFTER, row["tenant"], row["key_id"], overlap)


def _ended(row: asyncpg.Record) -> Conflict:
    return Conflict(
        f"The key {row['key_id']!r} is {row['state']}.",
        code="key-ended",
        mend="Make a new one.",
    )
