"""The tenants, their domains, plugins and keys, cached in each process.

A single number in the control schema rises with every change; each process looks at it a few
times a second and reads the tables again when it rose, so a change is seen everywhere within
a second without a restart.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec
import structlog

from pss_kernel.auth import ApiKey
from pss_kernel.errors import TenantUnknown
from pss_kernel.persistence._database import Database, disconnected
from pss_kernel.tenancy._tenant import PluginState, Tenant

__all__ = ["Directory"]

_log = structlog.get_logger("pss.tenancy")
_REFRESH_SECONDS = 0.25

_TENANTS = """
SELECT t.code, t.name, t.schema_name, t.role, t.currency, t.time_zone, t.locales, t.brand,
       coalesce((SELECT array_agg(d.host ORDER BY d.host) FROM pss.tenant_domain d
                 WHERE d.tenant = t.code), '{}') AS domains,
       coalesce((SELECT jsonb_object_agg(p.plugin, jsonb_build_object(
                   'state', p.state, 'version', p.version, 'revision', p.revision,
                   'reason', p.reason, 'settings', p.settings))
                 FROM pss.tenant_plugin p WHERE p.tenant = t.code), '{}') AS plugins
FROM pss.tenant t ORDER BY t.code
"""
_KEYS = """
SELECT key_id, tenant, name, secret_digest, scopes, expires_at FROM pss.api_key
WHERE revoked_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class _Snapshot:
    number: int = -1
    tenants: dict[str, Tenant] = field(default_factory=dict)
    hosts: dict[str, Tenant] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)


class Directory:
    """Looks tenants and keys up without touching the database."""

    def __init__(self, database: Database, base_domain: str) -> None:
        self._database = database
        self._suffix = f".{base_domain.lower()}"
        self._snapshot = _Snapshot()
        self._refreshing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def __iter__(self) -> Any:
        return iter(self._snapshot.tenants.values())

    def by_code(self, code: str) -> Tenant:
        """The tenant with that code. Raises TenantUnknown."""
        try:
            return self._snapshot.tenants[code]
        except KeyError:
            raise TenantUnknown(f"There is no tenant {code[:60]!r}.") from None

    def serves(self, code: str, plugin: str) -> bool:
        """Whether there is such a tenant and it has enabled the plugin, as far as known here."""
        tenant = self._snapshot.tenants.get(code)
        return tenant is not None and plugin in tenant.enabled

    def by_host(self, host: str) -> Tenant | None:
        """The tenant that answers at a host name: its own domain or ``<code>.<base>``."""
        name = host.partition(":")[0].lower()
        if name.endswith(self._suffix):
            # Its code first: nobody's own domain may stand before it.
            code = name[: -len(self._suffix)].replace("-", "_")
            if code in self._snapshot.tenants:
                return self._snapshot.tenants[code]
        return self._snapshot.hosts.get(name)

    def key(self, key_id: str) -> ApiKey | None:
        """A key that has not been revoked."""
        return self._snapshot.keys.get(key_id)

    async def refresh(self) -> bool:
        """Read everything again if anything changed; whether it had."""
        async with self._refreshing:  # an older reading must not replace a newer one
            number = self._snapshot.number
            async with self._database.engine.connect() as connection:
                raw = await connection.get_raw_connection()
                driver = raw.driver_connection
                assert driver is not None
                async with driver.transaction(isolation="repeatable_read", readonly=True):
                    await driver.execute(f'SET LOCAL ROLE "{self._database.roles.control}"')
                    newest = await driver.fetchval("SELECT number FROM pss.change")
                    if newest != number:
                        self._snapshot = await self._read(driver, newest)
            if newest == number:
                return False
        return True

    async def _read(self, driver: asyncpg.Connection, number: int) -> _Snapshot:
        tenants = {row["code"]: _tenant(row) for row in await driver.fetch(_TENANTS)}
        hosts = {host: tenant for tenant in tenants.values() for host in tenant.domains}
        keys = {
            row["key_id"]: ApiKey(
                row["key_id"],
                row["tenant"],
                row["name"],
                row["secret_digest"],
                frozenset(row["scopes"]),
                row["expires_at"],
            )
            for row in await driver.fetch(_KEYS)
        }
        return _Snapshot(number, tenants, hosts, keys)

    def start(self) -> None:
        """Keep up with changes until ``stop``."""
        self._task = asyncio.create_task(self._follow(), name="pss directory")

    async def stop(self) -> None:
        """End the task that follows changes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _follow(self) -> None:
        reachable = True
        while True:
            await asyncio.sleep(_REFRESH_SECONDS)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - whatever it was, the next look decides
                if reachable:
                    _log.warning("directory_not_refreshed", error=repr(error))
                reachable = False
                if disconnected(error):
                    await self._database.engine.dispose()
            else:
                if not reachable:
                    _log.info("directory_refreshed_again")
                reachable = True


def _tenant(row: asyncpg.Record) -> Tenant:
    plugins = msgspec.convert(row["plugins"], dict[str, PluginState])
    return Tenant(
        code=row["code"],
        name=row["name"],
        schema=row["schema_name"],
        role=row["role"],
        currency=row["currency"],
        time_zone=row["time_zone"],
        locales=tuple(row["locales"]),
        brand=row["brand"],
        domains=tuple(row["domains"]),
        plugins=plugins,
    )
