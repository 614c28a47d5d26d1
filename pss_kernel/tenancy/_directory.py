"""The tenants, their domains, plugins and keys, cached in each process.

Each process asks every cell a few times a second which tenants have changed since it last looked,
and reads those again, so a change is seen everywhere within a second without a restart, and costs
the same however many tenants there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec
import structlog

from pss_kernel.auth import ApiKey
from pss_kernel.config import CONTROL_CELL
from pss_kernel.errors import TenantUnknown
from pss_kernel.keys._data_keys import WrappedKey
from pss_kernel.persistence._database import Database, disconnected
from pss_kernel.tenancy._cell import Cell, look
from pss_kernel.tenancy._tenant import PluginState, Tenant

__all__ = ["SEEN_EVERYWHERE_SECONDS", "Directory"]

_log = structlog.get_logger("pss.tenancy")
_REFRESH_SECONDS = 0.25
SEEN_EVERYWHERE_SECONDS = 1.0
"""After so long every process that reaches the database has seen a change."""

_PLACED = "SELECT cell, state FROM pss.placement WHERE tenant = $1"


@dataclass(frozen=True, slots=True)
class _Snapshot:
    tenants: dict[str, Tenant] = field(default_factory=dict)
    hosts: dict[str, Tenant] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    unreachable: frozenset[str] = frozenset()


class Directory:
    """Looks tenants and keys up without touching the database."""

    def __init__(self, cells: Mapping[str, Database], base_domain: str) -> None:
        self._databases = cells
        self._suffix = f".{base_domain.lower()}"
        self._cells = dict.fromkeys(cells, Cell())
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

    async def cell_of(self, code: str) -> str | None:
        """The cell that has been decided for a tenant, asked now; None where nothing was."""
        async with self._reading(self._databases[CONTROL_CELL]) as driver:
            row = await driver.fetchrow(_PLACED, code)
        return row["cell"] if row else None

    async def refresh(self) -> bool:
        """Read again what has changed; whether anything had.

        Raises what the control cell's database says. Another cell that can't be reached keeps
        what was known of it.
        """
        async with self._refreshing:  # an older reading must not replace a newer one
            found = await asyncio.gather(
                *(self._look(name) for name in self._databases), return_exceptions=True
            )
            read = dict(zip(self._databases, found, strict=True))
            control = read[CONTROL_CELL]
            if isinstance(control, BaseException):
                raise control
            failed = {name for name, one in read.items() if isinstance(one, BaseException)}
            await self._note_unreachable({name: read[name] for name in failed})
            cells = {
                name: one
                for name, one in read.items()
                if isinstance(one, Cell) and one is not self._cells[name]
            }
            if not cells and failed == self._snapshot.unreachable:
                return False
            self._snapshot = self._merged(cells, frozenset(failed))
            self._cells |= cells
        return True

    async def _note_unreachable(self, failed: dict[str, Any]) -> None:
        for name, error in failed.items():
            if name not in self._snapshot.unreachable:
                _log.warning("cell_not_reached", cell=name, error=repr(error))
            if disconnected(error):
                await self._databases[name].engine.dispose()
        for name in self._snapshot.unreachable - failed.keys():
            _log.info("cell_reached_again", cell=name)

    @asynccontextmanager
    async def _reading(self, database: Database) -> AsyncIterator[asyncpg.Connection]:
        """One consistent view of a cell's control schema."""
        async with database.engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert driver is not None
            try:
                async with driver.transaction(isolation="repeatable_read", readonly=True):
                    await driver.execute(f'SET LOCAL ROLE "{database.roles.control}"')
                    yield driver
            except asyncio.CancelledError:
                # Perhaps in the middle of BEGIN: then the next user would be in a transaction.
                await asyncio.shield(connection.invalidate())
                raise

    async def _look(self, name: str) -> Cell:
        """A cell as it is now; the same object while nothing has changed there."""
        async with self._reading(self._databases[name]) as driver:
            return await look(driver, self._cells[name], placements=name == CONTROL_CELL)

    def _merged(self, cells: dict[str, Cell], unreachable: frozenset[str]) -> _Snapshot:
        """What is known now, with those tenants made anew that changed in any of these cells.

        Each tenant is as the cell says that its placement names.
        """
        before, now = self._cells, self._cells | cells
        codes = {code for name in cells for code in cells[name].changed}
        tenants, hosts = dict(self._snapshot.tenants), dict(self._snapshot.hosts)
        keys = dict(self._snapshot.keys)
        for code in codes:
            for host in tenants[code].domains if code in tenants else ():
                hosts.pop(host, None)
            for key in (one for cell in before.values() for one in cell.keys.get(code, ())):
                keys.pop(key.key_id, None)
        for code in codes:
            tenants.pop(code, None)
            placed = now[CONTROL_CELL].placements.get(code)
            cell = now.get(placed["cell"]) if placed else None
            if cell is None or code not in cell.tenants:
                continue
            tenants[code] = _tenant(cell.tenants[code], placed)
            hosts |= dict.fromkeys(tenants[code].domains, tenants[code])
            keys |= {key.key_id: key for key in cell.keys.get(code, ())}
        return _Snapshot(dict(sorted(tenants.items())), hosts, keys, unreachable)

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
                    await self._databases[CONTROL_CELL].engine.dispose()
            else:
                if not reachable:
                    _log.info("directory_refreshed_again")
                reachable = True


def _tenant(row: asyncpg.Record, placed: asyncpg.Record) -> Tenant:
    return Tenant(
        code=row["code"],
        name=row["name"],
        schema=row["schema_name"],
        role=row["role"],
        currency=row["currency"],
        time_zone=row["time_zone"],
        locales=tuple(row["locales"]),
        brand=row["brand"],
        cell=placed["cell"],
        placement=placed["state"],
        strict_plugins=row["strict_plugins"],
        domains=tuple(placed["domains"]),
        plugins=msgspec.convert(row["plugins"], dict[str, PluginState]),
        keys=tuple(WrappedKey(*key) for key in row["keys"] or ()),
    )
