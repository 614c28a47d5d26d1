"""The tenants, their domains, plugins and keys, cached in each process.

Each process asks every cell a few times a second which tenants have changed since it last looked,
and reads those again, so a change is seen everywhere within a second without a restart, and costs
the same however many tenants there are.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import msgspec
import structlog

from pss_kernel.auth import ApiKey
from pss_kernel.auth._signing_store import SigningKey
from pss_kernel.config import CONTROL_CELL
from pss_kernel.errors import TenantUnknown, Unavailable
from pss_kernel.keys._data_keys import WrappedKey
from pss_kernel.persistence._database import Database, disconnected
from pss_kernel.tenancy._cell import Cell, look
from pss_kernel.tenancy._tenant import PluginState, Tenant

__all__ = ["SEEN_EVERYWHERE_SECONDS", "Directory"]

_log = structlog.get_logger("pss.tenancy")
_REFRESH_SECONDS = 0.25
_SEEK_SECONDS = 1.0
_LOOK_SECONDS = 5.0  # at a cell that may have gone without a word; the control cell is waited for
SEEN_EVERYWHERE_SECONDS = 1.0
"""After so long every process that reaches the database has seen a change."""

_PLACED = "SELECT cell, state FROM pss.placement WHERE tenant = $1"


@dataclass(frozen=True, slots=True)
class _Snapshot:
    tenants: dict[str, Tenant] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)
    """The codes of those that answer at a host name."""
    keys: dict[str, ApiKey] = field(default_factory=dict)
    away: dict[str, str] = field(default_factory=dict)
    """Tenants of which nothing is known but their cell, which can't be reached."""
    unreachable: frozenset[str] = frozenset()


class Directory:
    """Looks tenants and keys up without touching the database."""

    def __init__(self, cells: Mapping[str, Database], base_domain: str) -> None:
        self._databases = cells
        self._suffix = f".{base_domain.lower()}"
        self._cells = dict.fromkeys(cells, Cell())
        self._snapshot = _Snapshot()
        self._refreshing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._said: dict[str, str] = {}

    def __iter__(self) -> Any:
        return iter(self._snapshot.tenants.values())

    def by_code(self, code: str) -> Tenant:
        """The tenant with that code. Raises TenantUnknown, Unavailable while its cell is away."""
        try:
            return self._snapshot.tenants[code]
        except KeyError:
            if code in self._snapshot.away:
                raise _away(code) from None
            raise TenantUnknown(f"There is no tenant {code[:60]!r}.") from None

    def current(self, tenant: Tenant) -> Tenant:
        """The tenant as it is known now: one that began long ago may have moved since."""
        return self._snapshot.tenants.get(tenant.code, tenant)

    @property
    def unreachable(self) -> frozenset[str]:
        """The cells that did not answer when they were last asked."""
        return self._snapshot.unreachable

    @property
    def away(self) -> Mapping[str, str]:
        """Tenants of which only their cell is known, and that it can't be reached."""
        return self._snapshot.away

    def serves(self, code: str, plugin: str) -> bool:
        """Whether there is such a tenant and it has enabled the plugin, as far as known here."""
        tenant = self._snapshot.tenants.get(code)
        return tenant is not None and plugin in tenant.enabled

    def by_host(self, host: str) -> Tenant | None:
        """The tenant that answers at a host name: its own domain or ``<code>.<base>``.

        Raises Unavailable where its cell is away and nothing is known of it.
        """
        name = host.partition(":")[0].lower()
        if name.endswith(self._suffix):
            # Its code first: nobody's own domain may stand before it.
            code = name[: -len(self._suffix)].replace("-", "_")
            if code in self._snapshot.tenants or code in self._snapshot.away:
                return self.by_code(code)
        at = self._snapshot.hosts.get(name)
        return None if at is None else self.by_code(at)

    def key(self, key_id: str) -> ApiKey | None:
        """A key that has not been revoked."""
        return self._snapshot.keys.get(key_id)

    @property
    def signing_keys(self) -> tuple[SigningKey, ...]:
        """What tokens are signed with, the oldest first."""
        return self._cells[CONTROL_CELL].signing_keys

    async def cell_of(self, code: str) -> str | None:
        """The cell that has been decided for a tenant, asked now; None where nothing was."""
        placed = await self.placement_of(code)
        return placed[0] if placed else None

    async def placement_of(self, code: str) -> tuple[str, str] | None:
        """Cell and state that have been decided for a tenant, asked now."""
        async with self._reading(self._databases[CONTROL_CELL]) as driver:
            row = await driver.fetchrow(_PLACED, code)
        return (row["cell"], row["state"]) if row else None

    async def refresh(self) -> bool:
        """Read again what has changed; whether anything had.

        Raises what the control cell's database says. Another cell that can't be reached keeps
        what was known of it, and is not asked again here: ``start`` looks for it.
        """
        async with self._refreshing:  # an older reading must not replace a newer one
            away = self._snapshot.unreachable
            return await self._read(name for name in self._databases if name not in away)

    async def look_again(self, name: str) -> None:
        """Read a cell that could not be reached. Raises what its database says."""
        cell = await self._look(name)
        async with self._refreshing:
            await self._raise_floors()
            self._take({name: cell}, self._snapshot.unreachable - {name})
        self._said.pop(name, None)
        _log.info("cell_reached_again", cell=name)

    async def note_unreachable(self, name: str, error: BaseException) -> None:
        """Remember, and say once, that a cell can't be used."""
        said = repr(error)
        if self._said.get(name) != said:
            _log.warning("cell_not_reached", cell=name, error=said)
        self._said[name] = said
        if disconnected(error):
            await self._databases[name].control_engine.dispose()
        if name not in self._snapshot.unreachable:
            self._take({}, self._snapshot.unreachable | {name})

    async def _read(self, names: Iterable[str]) -> bool:
        asked = list(names)
        found = await asyncio.gather(*(self._look(name) for name in asked), return_exceptions=True)
        read = dict(zip(asked, found, strict=True))
        control = read[CONTROL_CELL]
        if isinstance(control, BaseException):
            raise control
        cells = {
            name: one
            for name, one in read.items()
            if isinstance(one, Cell) and one is not self._cells[name]
        }
        if cells:
            await self._raise_floors()
            self._take(cells, self._snapshot.unreachable)
        failed = {name: one for name, one in read.items() if isinstance(one, BaseException)}
        for name, error in failed.items():
            await self.note_unreachable(name, error)
        return bool(cells or failed)

    async def _raise_floors(self) -> None:
        """Who reads from a replica must find there what is about to be known here."""
        replicas = [one.replica for one in self._databases.values() if one.replica is not None]
        await asyncio.gather(*(replica.raise_floor() for replica in replicas))

    @asynccontextmanager
    async def _reading(self, database: Database) -> AsyncIterator[asyncpg.Connection]:
        """One consistent view of a cell's control schema."""
        async with database.control_engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert driver is not None
            try:
                # Both in one round trip: every cell is looked at four times a second.
                await driver.execute(
                    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; "
                    f'SET LOCAL ROLE "{database.roles.control}"'
                )
                yield driver
                await driver.execute("COMMIT")
            except BaseException:  # a cancellation too: nobody may be given what is half done
                await connection.invalidate()
                raise

    async def _look(self, name: str) -> Cell:
        """A cell as it is now; the same object while nothing has changed there."""
        patience = None if name == CONTROL_CELL else _LOOK_SECONDS
        async with asyncio.timeout(patience), self._reading(self._databases[name]) as driver:
            return await look(driver, self._cells[name], placements=name == CONTROL_CELL)

    def _take(self, cells: dict[str, Cell], unreachable: frozenset[str]) -> None:
        """Make those tenants anew that changed in any of these cells, or whose cell came or went.

        Each tenant is as the cell says that its placement names.
        """
        before, now = self._cells, self._cells | cells
        codes = {code for name in cells for code in cells[name].changed}
        came_or_went = unreachable ^ self._snapshot.unreachable
        placements = now[CONTROL_CELL].placements
        codes |= {code for code, one in placements.items() if one["cell"] in came_or_went}
        tenants = dict(self._snapshot.tenants)
        hosts = {host: code for host, code in self._snapshot.hosts.items() if code not in codes}
        keys, away = dict(self._snapshot.keys), dict(self._snapshot.away)
        for code in codes:
            for key in (one for cell in before.values() for one in cell.keys.get(code, ())):
                keys.pop(key.key_id, None)
        for code in codes:
            tenants.pop(code, None)
            away.pop(code, None)
            placed = placements.get(code)
            if placed is None:
                continue
            found = _found(now, placed, unreachable)
            if found is not None:
                tenants[code] = found
                cell = now[placed["cell"]]
                keys |= {key.key_id: key for key in cell.keys.get(code, ())}
            elif placed["cell"] in unreachable:
                away[code] = placed["cell"]
            else:
                continue
            hosts |= dict.fromkeys(placed["domains"], code)
        self._cells = now
        self._snapshot = _Snapshot(dict(sorted(tenants.items())), hosts, keys, away, unreachable)

    def start(self, recover: Callable[[str], Awaitable[None]] | None = None) -> None:
        """Keep up with changes until ``stop``.

        ``recover`` is called for a cell that could not be reached, again and again until it
        raises nothing; by itself it is ``look_again``.
        """
        self._tasks = [
            asyncio.create_task(self._follow(), name="pss directory"),
            asyncio.create_task(self._seek(recover or self.look_again), name="pss cells"),
        ]

    async def stop(self) -> None:
        """End the tasks that follow changes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _seek(self, recover: Callable[[str], Awaitable[None]]) -> None:
        """Look for the cells that are away, apart from the others, so that none waits for them."""

        async def look(name: str) -> None:
            try:
                await recover(name)
            except Exception as error:  # noqa: BLE001 - whatever it was, it is not back yet
                await self.note_unreachable(name, error)

        while True:
            await asyncio.sleep(_SEEK_SECONDS)
            await asyncio.gather(*(look(name) for name in self._snapshot.unreachable))

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
                    await self._databases[CONTROL_CELL].control_engine.dispose()
            else:
                if not reachable:
                    _log.info("directory_refreshed_again")
                reachable = True


def _found(
    cells: Mapping[str, Cell], placed: asyncpg.Record, unreachable: frozenset[str]
) -> Tenant | None:
    """A placed tenant, as far as it is known."""
    code, home = placed["tenant"], cells.get(placed["cell"])
    if home is not None and code in home.tenants:
        return _tenant(home.tenants[code], placed)
    if placed["cell"] in unreachable:
        return None
    # It has just moved, and its new cell was read the moment before.
    elsewhere = next((cell.tenants[code] for cell in cells.values() if code in cell.tenants), None)
    return None if elsewhere is None else replace(_tenant(elsewhere, placed), placement="moving")


def _away(code: str) -> Unavailable:
    return Unavailable(
        f"The database of {code!r} can't be reached at the moment.", code="database-unavailable"
    )


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
        due_at=placed["due_at"],
        strict_plugins=row["strict_plugins"],
        test_of=row["test_of"],
        roles=row["roles"],
        cutoffs=dict(row["cutoffs"] or ()),
        domains=tuple(placed["domains"]),
        plugins=msgspec.convert(row["plugins"], dict[str, PluginState]),
        keys=tuple(WrappedKey(*key) for key in row["keys"] or ()),
    )
