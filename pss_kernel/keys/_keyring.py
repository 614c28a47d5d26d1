"""The opened data keys of every tenant that this process has worked for."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import asyncpg

from pss_kernel.keys._data_keys import DataKeys, WrappedKey, fresh_key, wrapped_keys
from pss_kernel.keys._master import MasterKeys

if TYPE_CHECKING:
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["Keyring", "make_key", "read_keys"]

_PAUSE_SECONDS = 2.0  # before a master key that is away is asked for again
_READ = """
SELECT number, state, master, wrapped FROM pss.tenant_key WHERE tenant = $1 ORDER BY number
"""
_MAKE = """
INSERT INTO pss.tenant_key (tenant, number, state, master, wrapped)
SELECT $1, $2, 'current', $3, $4
WHERE NOT EXISTS (SELECT FROM pss.tenant_key WHERE tenant = $1 AND state = 'current')
ON CONFLICT DO NOTHING
"""


class Keyring:
    """Opens a tenant's keys once and keeps them until they change."""

    def __init__(self, masters: MasterKeys) -> None:
        self.masters = masters
        self._known: dict[str, DataKeys] = {}
        self._tried: dict[str, float] = {}
        self.making = asyncio.Lock()
        """Held by whoever makes a tenant's first key, so that not every request does at once."""

    def of(self, tenant: Tenant) -> DataKeys:
        """The tenant's keys, opened; waits for Vault where ``ready`` was not called before."""
        known = self._known.get(tenant.code)
        if known is not None and known.keys == tenant.keys and self._settled(known):
            return known
        return self._open(tenant.code, tenant.keys)

    async def ready(self, tenant: Tenant) -> DataKeys:
        """As ``of``, without holding up anything else meanwhile."""
        known = self._known.get(tenant.code)
        if known is not None and known.keys == tenant.keys and self._settled(known):
            return known
        return await self.opened(tenant.code, tenant.keys)

    async def opened(self, code: str, keys: tuple[WrappedKey, ...]) -> DataKeys:
        """Keys as they were read just now."""
        if self.masters.far and keys:
            return await asyncio.to_thread(self._open, code, keys)
        return self._open(code, keys)

    def _open(self, code: str, keys: tuple[WrappedKey, ...]) -> DataKeys:
        found = DataKeys(code, keys)
        found.open(self.masters, self._known.get(code))
        self._known[code] = found
        self._tried[code] = time.monotonic()
        return found

    def _settled(self, known: DataKeys) -> bool:
        return known.complete or time.monotonic() - self._tried[known.tenant] < _PAUSE_SECONDS


async def read_keys(owner: asyncpg.Connection, code: str) -> tuple[WrappedKey, ...]:
    """A tenant's keys as they are in the database now."""
    return wrapped_keys(await owner.fetch(_READ, code))


async def make_key(keyring: Keyring, owner: asyncpg.Connection, code: str) -> DataKeys:
    """The tenant's keys, with a first one made where it has none.

    Wrapping waits for Vault at most a few seconds, once in a tenant's life.
    """
    keys = await read_keys(owner, code)
    while not any(key.state == "current" for key in keys):
        number = max((key.number for key in keys), default=0) + 1
        made = await asyncio.to_thread(fresh_key, keyring.masters, code, number)
        await owner.execute(_MAKE, code, made.number, made.master, made.wrapped)
        keys = await read_keys(owner, code)
    return await keyring.opened(code, keys)
