"""Changing the keys that tokens are signed with, while the system runs and nobody is signed out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from pss_kernel.auth._signing import verifies
from pss_kernel.auth._signing_store import (
    ALONE,
    READ,
    SigningKey,
    first_keys,
    make_key,
    signing_key_of,
    wrapped_again,
)
from pss_kernel.errors import Conflict, NotFound
from pss_kernel.keys._master import MasterKeys

__all__ = ["PUBLISHED", "retire_key", "rewrap_signing_keys", "rotate_keys"]

PUBLISHED = timedelta(minutes=10)
"""So long a key is published before it signs: twice what others may keep the list for."""
_STATE = "UPDATE pss.signing_key SET state = $2, changed_at = now() WHERE key_id = $1"
_DELETE = "DELETE FROM pss.signing_key WHERE key_id = ANY($1)"
_WRAPPED = "UPDATE pss.signing_key SET master = $2, wrapped = $3 WHERE key_id = $1"


async def rotate_keys(
    owner: asyncpg.Connection, masters: MasterKeys, *, now: bool = False
) -> list[SigningKey]:
    """Let the next key sign and make another next one; the keys as they are then.

    What the one before has signed goes on being good. Raises Conflict for a next key that has not
    been published for long enough, unless ``now``.
    """
    await first_keys(owner, masters)
    async with owner.transaction():
        await owner.execute(ALONE)
        await _rotate(owner, masters, now=now)
        return await _keys(owner)


async def retire_key(
    owner: asyncpg.Connection, masters: MasterKeys, key_id: str, *, now: bool = False
) -> list[SigningKey]:
    """Remove a key; the keys as they are then.

    ``now``: though what it has signed may be good still. Such tokens are refused everywhere within
    a second, and fetched anew with their refresh tokens; the current key is rotated away first.
    Raises NotFound, and Conflict without ``now``.
    """
    async with owner.transaction():
        await owner.execute(ALONE)
        found = next((one for one in await _keys(owner) if one.key_id == key_id), None)
        if found is None:
            raise NotFound(
                f"There is no signing key {key_id[:60]!r}.",
                code="no-such-signing-key",
                mend="'pss keys signing list' shows them.",
            )
        if found.state != "next" and verifies(found) and not now:
            raise Conflict(
                f"What the key {key_id} has signed may be good still.",
                code="signing-key-in-use",
                mend="Wait until an hour after it was rotated away, or give --now: such tokens "
                "are refused then, and fetched anew by whoever has them.",
            )
        if found.state == "current":
            await _rotate(owner, masters, now=True)
        await owner.execute(_DELETE, [key_id])
        if found.state == "next":
            await make_key(owner, masters, "next")
        return await _keys(owner)


async def rewrap_signing_keys(owner: asyncpg.Connection, masters: MasterKeys) -> int:
    """Put the private halves under the current master key; how many were under another."""
    count = 0
    async with owner.transaction():
        await owner.execute(ALONE)
        for key in await _keys(owner):
            if await asyncio.to_thread(masters.stale, key.master, key.wrapped):
                master, wrapped = await asyncio.to_thread(wrapped_again, masters, key)
                await owner.execute(_WRAPPED, key.key_id, master, wrapped)
                count += 1
    return count


async def _rotate(owner: asyncpg.Connection, masters: MasterKeys, *, now: bool) -> None:
    keys = {one.state: one for one in await _keys(owner)}
    following = keys["next"]
    if not now and datetime.now(UTC) - following.created_at < PUBLISHED:
        raise Conflict(
            f"The next key was made less than {PUBLISHED.total_seconds() / 60:g} minutes ago; "
            "others who verify tokens may not know it yet.",
            code="signing-key-too-new",
            mend="Wait a while, or give --now.",
        )
    if "current" in keys:
        await owner.execute(_STATE, keys["current"].key_id, "retired")
    await owner.execute(_STATE, following.key_id, "current")
    await make_key(owner, masters, "next")
    over = [one.key_id for one in await _keys(owner) if not verifies(one)]
    await owner.execute(_DELETE, over)


async def _keys(owner: asyncpg.Connection) -> list[SigningKey]:
    return [signing_key_of(row) for row in await owner.fetch(READ)]
