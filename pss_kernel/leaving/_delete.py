"""Deleting a tenant: first it is no longer served, and when its time has come it is dropped."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog

from pss_kernel.errors import Conflict, Invalid, Problem, TenantUnknown
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.leaving._alone import alone
from pss_kernel.leaving._broker import messages_of
from pss_kernel.leaving._cache import cache_keys_of
from pss_kernel.leaving._drop import drop_everywhere
from pss_kernel.leaving._export import Report, export_tenant
from pss_kernel.tenancy._changing import writers_gone
from pss_kernel.tenancy._platform import refuse_platform

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import Database

__all__ = [
    "drop_due",
    "drop_tenant",
    "due_tenants",
    "export_place",
    "restore_tenant",
    "schedule_deletion",
]

_log = structlog.get_logger("pss.tenancy")
_SCHEDULE = """
UPDATE pss.placement SET state = 'deleting', export = $3, changed_at = now(),
  due_at = CASE WHEN due_at <= now() AND $2 = interval '0' THEN due_at ELSE now() + $2 END
WHERE tenant = $1 AND state IN ('active', 'deleting') RETURNING due_at
"""
_GIVE_UP_IMPORT = """
UPDATE pss.placement SET state = 'deleting', export = false, due_at = now(), changed_at = now()
WHERE tenant = $1 AND state = 'importing' RETURNING due_at
"""
_STATE = """
SELECT state, cell, due_at, export, coalesce(due_at <= now(), false) AS due
FROM pss.placement WHERE tenant = $1
"""
_RESTORE = """
UPDATE pss.placement SET state = 'active', due_at = NULL, export = true, changed_at = now()
WHERE tenant = $1 AND state = 'deleting'
"""
_DUE = """
SELECT tenant FROM pss.placement WHERE state = 'deleting' AND due_at <= now() ORDER BY due_at
"""
_MINE = "(convert_from(payload, 'UTF8')::jsonb ->> 'tenant') = $1"
# Waiting events wait on, for as long as it takes; one that is in hand comes back first.
_PARK = f"""
UPDATE pss.outbox SET next_attempt_at = 'infinity'
WHERE {_MINE} AND acquired_token IS NULL AND next_attempt_at < 'infinity'
"""  # noqa: S608 - a text of ours
_IN_HAND = f"SELECT count(*) FROM pss.outbox WHERE {_MINE} AND acquired_token IS NOT NULL"  # noqa: S608 - a text of ours
_UNPARK = (
    f"UPDATE pss.outbox SET next_attempt_at = now() WHERE {_MINE} AND next_attempt_at = 'infinity'"  # noqa: S608 - a text of ours
)
_IN_HAND_SECONDS = 60.0  # as long as the relay's lease
_LOOK_SECONDS = 0.05


async def schedule_deletion(
    installation: Installation, code: str, after: timedelta, *, export: bool = True
) -> datetime:
    """Serve the tenant no more, and have it dropped after a time; gives the moment.

    Idempotent: again, with another time, changes the moment. ``export``: write it to a file first
    when it is dropped. Raises TenantUnknown, Conflict for a tenant that is being moved.
    """
    refuse_platform(code)
    async with alone(installation, code) as control:
        due: datetime | None = await control.fetchval(_SCHEDULE, code, after, export)
        if due is None:
            due = await control.fetchval(_GIVE_UP_IMPORT, code)
        if due is None:
            await _refuse(control, code)
        assert due is not None
        await installation.directory.refresh()
        await writers_gone(installation, code)
        await _park(installation, code)
        await _audit(installation, code, "deletion-scheduled", {"due_at": due, "export": export})
    return due


async def _audit(installation: Installation, code: str, what: str, after: Any) -> None:
    """Where the tenant is within reach; one that is not is deleted or restored all the same."""
    cell = await installation.directory.cell_of(code)
    if cell in installation.cells:
        async with installation.cells[cell].owner() as owner, owner.transaction():
            await audit_as_owner(owner, code, f"tenant.{what}", code, after=after)


async def _refuse(control: asyncpg.Connection, code: str) -> None:
    row = await control.fetchrow(_STATE, code)
    if row is None:
        raise TenantUnknown(f"There is no tenant {code[:60]!r}.")
    raise Conflict(
        f"The tenant {code!r} is {row['state']} at this moment.",
        code="tenant-busy",
        mend="Delete it when that has ended.",
    )


async def _park(installation: Installation, code: str) -> None:
    """Let its events wait without being tried again and again until they are given up."""
    cell = await installation.directory.cell_of(code)
    if cell not in installation.cells:
        return
    async with installation.cells[cell].owner() as owner, asyncio.timeout(_IN_HAND_SECONDS * 2):
        await owner.execute(_PARK, code)
        while await owner.fetchval(_IN_HAND, code):  # the relay gives it back within its lease
            await asyncio.sleep(_LOOK_SECONDS)
            await owner.execute(_PARK, code)


async def restore_tenant(installation: Installation, code: str) -> None:
    """Take back a deletion whose time has not come; the tenant is served again, as it was.

    Idempotent. Raises TenantUnknown, and Conflict where it has been dropped already.
    """
    async with alone(installation, code) as control:
        row = await control.fetchrow(_STATE, code)
        if row is None:
            raise TenantUnknown(f"There is no tenant {code[:60]!r}.")
        if row["state"] != "deleting":
            return
        async with installation.cells[row["cell"]].owner() as owner:
            if not await owner.fetchval("SELECT 1 FROM pss.tenant WHERE code = $1", code):
                raise Conflict(
                    f"The tenant {code!r} has been dropped already.",
                    code="tenant-dropped",
                    mend="Import its export: pss tenant import.",
                )
            await control.execute(_RESTORE, code)
            await owner.execute(_UNPARK, code)
        await _audit(installation, code, "restored", None)
    await installation.directory.refresh()


async def due_tenants(installation: Installation) -> list[str]:
    """The tenants whose time has come, the first first."""
    async with installation.database.owner() as control:
        return [row["tenant"] for row in await control.fetch(_DUE)]


def export_place(installation: Installation, code: str, due_at: datetime) -> Path:
    """Where the last export of a tenant is written; the same place in every attempt."""
    return installation.config.data_dir / "exports" / f"{code}-{due_at:%Y%m%dT%H%M%SZ}"


async def drop_tenant(
    installation: Installation, code: str, report: Report | None = None
) -> Path | None:
    """Drop a tenant whose time has come; gives the place of its last export, if it has one.

    Each step may be repeated: killed at any moment, the same call goes on. The placement goes
    last. Raises Conflict where the time has not come.
    """
    async with alone(installation, code) as control:
        row = await control.fetchrow(_STATE, code)
        if row is None:
            return None
        if not row["due"]:
            raise Conflict(
                f"The tenant {code!r} is not to be dropped now: it is {row['state']}.",
                code="not-due",
                mend="Give --now to drop it at once.",
            )
        if row["cell"] not in installation.cells:
            raise Invalid(
                f"The tenant {code!r} lives in the cell {row['cell']!r}, which is not configured "
                "here.",
                code="unknown-cell",
                mend=f"Name it in PSS_CELLS and set PSS_CELL_{row['cell'].upper()}_DATABASE_URL.",
            )
        place = export_place(installation, code, row["due_at"])
        if row["export"]:
            await _export_last(installation, code, installation.cells[row["cell"]], place, report)
        await drop_everywhere(installation, code)
        await messages_of(installation, code, remove=True)
        await cache_keys_of(installation, code, remove=True)
        await control.execute(
            "DELETE FROM pss.placement WHERE tenant = $1 AND state = 'deleting'", code
        )
    await installation.directory.refresh()
    kept = place if _kept(place) else None
    _log.warning("tenant_dropped", tenant=code, export=str(kept) if kept else None)
    return kept


async def _export_last(
    installation: Installation, code: str, cell: Database, place: Path, report: Report | None
) -> None:
    """Unless an attempt that was killed afterwards has done it."""
    async with cell.owner() as owner:
        there = await owner.fetchval("SELECT 1 FROM pss.tenant WHERE code = $1", code)
    if not there or _kept(place):
        return
    await installation.directory.refresh()
    await export_tenant(installation, code, place, report)


def _kept(place: Path) -> bool:
    return place.is_dir()


async def drop_due(
    installation: Installation, report: Report | None = None
) -> dict[str, Path | None]:
    """Drop every tenant whose time has come; gives the place of each one's export.

    One that somebody else drops at this moment is left to them. One that can't be dropped stops
    no other one; the first error is raised at the end.
    """
    dropped: dict[str, Path | None] = {}
    failed: list[Exception] = []
    for code in await due_tenants(installation):
        try:
            dropped[code] = await drop_tenant(installation, code, report)
        except (Problem, OSError, asyncpg.PostgresError) as error:
            if not (isinstance(error, Problem) and error.code == "tenant-busy"):
                failed.append(error)
    if failed:
        raise failed[0]
    return dropped
