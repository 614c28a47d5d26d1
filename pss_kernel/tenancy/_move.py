"""Moving a tenant to another cell, while all others go on.

Its steps, each of which may be repeated: the target is prepared; the tenant is paused (reads go
on); everything is copied and compared; one transaction of the control cell says where it lives;
events follow; the source is emptied once every process has seen it. What is interrupted goes on
with the same command, or is undone with ``abort_move`` as long as the tenant lives in the source.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pss_kernel.errors import Conflict, Problem, Unavailable
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.tenancy import _move_record as record
from pss_kernel.tenancy._directory import SEEN_EVERYWHERE_SECONDS
from pss_kernel.tenancy._move_copy import Copied, Report, copy_tables, drop_copy, prepare
from pss_kernel.tenancy._move_events import take_events
from pss_kernel.tenancy._move_pause import hold_events, pause, release_jobs, resume, seal
from pss_kernel.tenancy._move_record import Move
from pss_kernel.tenancy._platform import refuse_platform

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["Moved", "abort_move", "move_tenant"]

_FLIP = """
WITH placed AS (
  UPDATE pss.placement SET cell = $2, state = 'active', changed_at = now()
  WHERE tenant = $1 AND cell <> $2 AND state = 'moving' RETURNING tenant
)
UPDATE pss.tenant_move SET step = 'moved' FROM placed
WHERE code = placed.tenant RETURNING extract(epoch FROM now() - paused_at)::float8
"""


class Moved(msgspec.Struct, kw_only=True):
    """What was done. ``pause_seconds``: for how long nobody could change the tenant."""

    tenant: str
    source: str
    target: str
    tables: list[Copied] = []
    rows: int = 0
    events: int = 0
    seconds: float = 0.0
    pause_seconds: float | None = None
    went_on: bool = False
    """An earlier run had begun it."""
    kept_source: bool = False


def _untold(_what: str, _done: int, _total: int) -> None:
    pass


async def move_tenant(
    installation: Installation,
    code: str,
    target: str,
    *,
    keep_source: bool = False,
    report: Report = _untold,
) -> Moved | None:
    """Move a tenant, or go on with a move that was interrupted. None where it lives there already.

    ``keep_source`` leaves its tables in the source; nobody uses them. Raises Conflict where
    another process moves it, Invalid for what is not installed or configured. On an error before
    the tenant lives in the target, it goes on in the source.
    """
    refuse_platform(code)
    begun_at = time.perf_counter()
    async with record.only_one(installation, code) as control:
        found = await record.begin(installation, control, code, target)
        if found is None:
            return None
        answer = Moved(
            tenant=code,
            source=found["source"],
            target=target,
            went_on=found["step"] != "preparing",
            kept_source=keep_source,
        )
        async with record.opened(installation, control, code, found) as move:
            if move.step != "moved":
                await _carry_or_stay(move, answer, report)
            with _said():
                await _follow_up(move, answer, report)
    answer.seconds = round(time.perf_counter() - begun_at, 3)
    return answer


async def abort_move(installation: Installation, code: str) -> str:
    """Undo a move that has not come to its end; the cell that the tenant stays in.

    Raises Conflict where there is none, or where the tenant lives in the target already.
    """
    async with record.only_one(installation, code) as control:
        found = await record.begun(control, code)
        if found is None:
            raise Conflict(
                f"No move of {code!r} has begun.",
                code="no-move",
                mend="See 'pss tenant show' for where it lives.",
            )
        if found["step"] == "moved":
            raise Conflict(
                f"The tenant {code!r} lives in {found['target']!r} already.",
                code="no-move",
                mend=f"Finish it with 'pss tenant move {code} --to {found['target']}'.",
            )
        await _go_on_there(installation, control, code)
        async with record.opened(installation, control, code, found) as move:
            await drop_copy(move.there, code, move.target.roles)
            await audit_as_owner(
                *(move.here, code, "tenant.move-undone", code),
                before={"target": found["target"]},
                after={"cell": found["source"]},
            )
            await record.forget(move)
    source: str = found["source"]
    return source


@contextmanager
def _said() -> Iterator[None]:
    """What a database says, as a sentence for whoever gave the command."""
    try:
        yield
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable(
            f"A database said: {error}.",
            code="move-interrupted",
            mend="Mend that and run the same command again; see 'pss cell status'.",
        ) from error


async def _carry_or_stay(move: Move, answer: Moved, report: Report) -> None:
    """Bring the tenant over; where that fails, it goes on in the source."""
    try:
        with _said():
            await _carry(move, answer, report)
    except BaseException:
        with _said():
            await asyncio.shield(_go_on_there(move.installation, move.control, move.code))
        raise


async def _carry(move: Move, answer: Moved, report: Report) -> None:
    """Until the tenant lives in the target."""
    report(f"preparing {move.code}", 0, 1)
    try:
        await prepare(move)
    except Problem:
        if move.step == "preparing":  # nothing has begun, so there is nothing to go on with
            await drop_copy(move.there, move.code, move.target.roles)
            await record.forget(move)
        raise
    report(f"preparing {move.code}", 1, 1)
    await pause(move)
    await prepare(move)  # again: a plugin may have been enabled or upgraded meanwhile

    async def hold() -> None:
        await hold_events(move)

    answer.tables = await copy_tables(move, report, hold)
    answer.rows = sum(table.rows for table in answer.tables)
    await seal(move)
    paused = await move.control.fetchval(_FLIP, move.code, move.target.cell)
    if paused is None:
        raise Conflict(f"The placement of {move.code!r} was changed meanwhile.", code="no-move")
    answer.pause_seconds = round(paused, 3)
    await move.installation.directory.refresh()


async def _go_on_there(installation: Installation, control: asyncpg.Connection, code: str) -> None:
    """Let the tenant go on in the source, unless it lives in the target by now.

    With connections of its own: those of the move may be what has failed.
    """
    if control.is_closed():
        async with installation.database.owner() as again:
            await _go_on_there(installation, again, code)
            return
    found = await record.begun(control, code)
    if found is not None and found["step"] != "moved":
        source = installation.cells[found["source"]]
        await resume(control, source, code, record.grants_of(found))
        await installation.directory.refresh()


async def _follow_up(move: Move, answer: Moved, report: Report) -> None:
    """What is left once the tenant lives in the target."""
    await release_jobs(move.there, move.code)
    answer.events = await take_events(move)
    report(f"emptying {answer.source}", 0, 1)
    await asyncio.sleep(SEEN_EVERYWHERE_SECONDS)
    answer.events += await take_events(move)
    await drop_copy(move.here, move.code, move.source.roles, keep_tables=answer.kept_source)
    await audit_as_owner(
        *(move.there, move.code, "tenant.moved", move.code),
        before={"cell": answer.source},
        after={"cell": answer.target},
    )
    await record.forget(move)
    await move.installation.directory.refresh()
    report(f"emptying {answer.source}", 1, 1)
