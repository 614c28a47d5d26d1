"""Making and rotating keys, for routes and commands alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from pss_kernel.auth import KeyMode
from pss_kernel.identity.api_keys import store
from pss_kernel.identity.api_keys.store import Fetch

__all__ = ["audited", "make_key", "rotate_key"]

_AUDITED = ("name", "mode", "scopes", "networks", "api_version", "expires_at", "replaces")


def audited(facts: Mapping[str, Any] | asyncpg.Record) -> dict[str, Any]:
    """What the audit trail is told of a key: what it may do, never what opens it."""
    return {name: facts[name] for name in _AUDITED if facts.get(name) is not None}


async def make_key(
    fetch: Fetch, tenant: str, mode: KeyMode, **facts: Any
) -> tuple[asyncpg.Record, str]:
    """Make a key; gives it and its text. ``facts`` as for ``key_row``."""
    minted = await store.insert_key(fetch, tenant, mode, **facts)
    return await store.show_key(fetch, tenant, minted.key_id), minted.text


async def rotate_key(
    fetch: Fetch, old: asyncpg.Record, overlap: timedelta, now: datetime, created_by: str
) -> tuple[asyncpg.Record, str]:
    """Make a key with the same facts, and let the old one, which is locked, expire.

    A key that was made for a time is replaced by one for as long a time. Raises Conflict for one
    that has ended or was replaced before.
    """
    await store.end_after(fetch, old, overlap)
    lasts = old["expires_at"] - old["created_at"] if old["expires_at"] is not None else None
    return await make_key(
        fetch,
        old["tenant"],
        old["mode"],
        name=old["name"],
        scopes=old["scopes"],
        expires_at=now + lasts if lasts is not None else None,
        networks=old["networks"],
        api_version=old["api_version"],
        created_by=created_by,
        replaces=old["key_id"],
    )
