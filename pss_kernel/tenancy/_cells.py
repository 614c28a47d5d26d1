"""How the cells are: asked now, each by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec

from pss_kernel.config import CONTROL_CELL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import Database

__all__ = ["CellStatus", "Moving", "cells_of", "statuses", "variables_of"]

_SECONDS = 5.0
_COUNTS = """
SELECT current_setting('server_version') AS version,
       (SELECT count(*) FROM pss.tenant) AS tenants,
       (SELECT count(*) FROM pss.outbox) AS events,
       (SELECT extract(epoch FROM now() - min(created_at)) FROM pss.outbox)::float8 AS oldest,
       (SELECT count(*) FROM pss.outbox_dead) AS resting
"""
_PLACED = "SELECT cell, count(*) AS tenants FROM pss.placement GROUP BY cell"
_MOVES = """
SELECT code, source, target, step, started_at, paused_at FROM pss.tenant_move ORDER BY started_at
"""


class CellStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One cell; what was not asked, or not answered, is None."""

    name: str
    url: str
    tenants: int
    """How many are placed there, reachable or not."""
    reachable: bool | None = None
    version: str | None = None
    waiting_events: int | None = None
    oldest_event_seconds: float | None = None
    resting_events: int | None = None
    detail: str = ""


class Moving(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant on its way from one cell to another."""

    tenant: str
    source: str
    target: str
    step: str
    started_at: str
    paused_at: str | None


async def cells_of(installation: Installation) -> tuple[list[CellStatus], list[Moving]]:
    """The configured cells with the tenants placed there, and the moves that have not ended."""
    async with installation.database.owner() as control:
        placed = {row["cell"]: row["tenants"] for row in await control.fetch(_PLACED)}
        moves = [_moving(row) for row in await control.fetch(_MOVES)]
    cells = [
        CellStatus(name=name, url=_shown(database), tenants=placed.get(name, 0))
        for name, database in installation.cells.items()
    ]
    return cells, moves


async def statuses(installation: Installation) -> tuple[list[CellStatus], list[Moving]]:
    """The same, with what each cell says of itself."""
    cells, moves = await cells_of(installation)
    asked = (_ask(installation.cells[cell.name], cell) for cell in cells)
    return list(await asyncio.gather(*asked)), moves


async def _ask(database: Database, cell: CellStatus) -> CellStatus:
    try:
        async with asyncio.timeout(_SECONDS), database.owner() as owner:
            row = await owner.fetchrow(_COUNTS)
    except (OSError, asyncpg.PostgresError) as error:  # OSError: no connection, none in time
        said = str(error) or f"no answer in {_SECONDS:g} s"
        return msgspec.structs.replace(cell, reachable=False, detail=said)
    detail = ""
    if row["tenants"] > cell.tenants:
        detail = "has tenants that live elsewhere: see 'pss tenant move' and its --abort"
    return msgspec.structs.replace(
        cell,
        reachable=True,
        version=row["version"],
        waiting_events=row["events"],
        oldest_event_seconds=row["oldest"],
        resting_events=row["resting"],
        detail=detail,
    )


def _shown(database: Database) -> str:
    return database.owner_url.render_as_string() if not database.embedded else "embedded"


def _moving(row: asyncpg.Record) -> Moving:
    facts: dict[str, Any] = dict(row)
    facts["tenant"] = facts.pop("code")
    for name in ("started_at", "paused_at"):
        facts[name] = facts[name].isoformat() if facts[name] else None
    return Moving(**facts)


def variables_of(cell: str) -> str:
    """How the variables of a cell begin."""
    return "PSS_" if cell == CONTROL_CELL else f"PSS_CELL_{cell.upper()}_"
