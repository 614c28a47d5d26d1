"""Keeping a tenant still while it is copied, and letting it go on.

The processes know from its placement that the tenant moves and refuse changes. That is not relied
upon: the database takes the rights away, and whoever comes too late is refused by it.
"""

from __future__ import annotations

import asyncio

import asyncpg

from pss_kernel.errors import Conflict, Unavailable
from pss_kernel.persistence._database import Database
from pss_kernel.tenancy._changing import writers_gone
from pss_kernel.tenancy._contents import tables_of
from pss_kernel.tenancy._move_record import Grants, Move, note_grants, session

__all__ = ["granting", "hold_events", "pause", "release_jobs", "resume", "seal"]

_HOLD_JOBS = """
UPDATE pss.job SET leased_until = 'infinity'
WHERE tenant = $1 AND (leased_until IS NULL OR leased_until < now())
"""
_RUNNING_JOBS = "SELECT count(*) FROM pss.job WHERE tenant = $1 AND leased_until < 'infinity'"
_RELEASE_JOBS = """
UPDATE pss.job SET leased_until = NULL WHERE tenant = $1 AND leased_until = 'infinity'
"""
# A payload that is no JSON of ours would be nobody's; there is none, but it must not stop a move.
_OF_TENANT = "queue = 'events' AND convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1"
_HOLD_EVENTS = f"""
UPDATE pss.outbox SET next_attempt_at = 'infinity'
WHERE acquired_token IS NULL AND next_attempt_at < 'infinity' AND {_OF_TENANT}
"""  # noqa: S608 - ours
_RELEASE_EVENTS = f"""
UPDATE pss.outbox SET next_attempt_at = now() WHERE next_attempt_at = 'infinity' AND {_OF_TENANT}
"""  # noqa: S608 - ours
_PAUSE = """
WITH placed AS (
  UPDATE pss.placement SET state = 'moving', changed_at = now()
  WHERE tenant = $1 AND state = 'active'
)
UPDATE pss.tenant_move SET step = 'paused', paused_at = coalesce(paused_at, now()) WHERE code = $1
"""
_RESUME = """
WITH placed AS (
  UPDATE pss.placement SET state = 'active', changed_at = now()
  WHERE tenant = $1 AND state = 'moving'
)
UPDATE pss.tenant_move SET step = 'preparing', paused_at = NULL, grants = NULL WHERE code = $1
"""
_GRANTS = """
SELECT c.relname::text AS name, r.rolname::text AS grantee, a.privilege_type AS right
FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND a.grantee <> c.relowner
ORDER BY 1, 2, 3
"""
_CHANGING = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
_JOBS_SECONDS = 40.0
_LOOK_SECONDS = 0.05


async def pause(move: Move) -> None:
    """From here on nobody changes the tenant. Raises Unavailable where somebody doesn't end."""
    await _end_jobs(move)
    await move.control.execute(_PAUSE, move.code)
    directory = move.installation.directory
    if await directory.placement_of(move.code) != (move.source.cell, "moving"):
        raise Conflict(
            f"The placement of {move.code!r} was changed meanwhile.",
            code="not-movable",
            mend="See 'pss tenant show' for what it is now.",
        )
    await directory.refresh()
    await writers_gone(move.installation, move.code)
    await _take_rights(move)
    await hold_events(move)


async def _end_jobs(move: Move) -> None:
    """Let no job begin, and those that run come to their end, while requests still go on."""
    try:
        async with asyncio.timeout(_JOBS_SECONDS):
            while True:
                await move.here.execute(_HOLD_JOBS, move.code)
                if not await move.here.fetchval(_RUNNING_JOBS, move.code):
                    return
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        raise Unavailable(
            f"A job of {move.code!r} has not ended after {_JOBS_SECONDS:g} s.",
            code="still-in-use",
            mend="Run the same command again.",
        ) from error


async def _take_rights(move: Move) -> None:
    """Refuse changes by the database itself, and wait for those that were under way."""
    async with move.here.transaction():  # whoever provisions it has this lock, and ends first
        await move.here.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", move.code)
        if move.grants is None:
            found: Grants = {}
            for row in await move.here.fetch(_GRANTS, move.schema):
                found.setdefault(row["name"], []).append((row["grantee"], row["right"]))
            await note_grants(move, found)
        await _revoke(move, ", ".join(_CHANGING))
    for table in await tables_of(move.here, move.schema):
        # A statement that was let in before holds its lock to the end of its transaction. One
        # table after the other: whoever waits for a lock of ours can't be waited for by us.
        await move.here.execute(
            f'DO $$ BEGIN LOCK TABLE "{move.schema}"."{table.name}" IN SHARE MODE; END $$'
        )


async def seal(move: Move) -> None:
    """Let nobody read in the source either: the moment before the target serves."""
    await _revoke(move, "ALL")


async def _revoke(move: Move, rights: str) -> None:
    statements = []
    for name, kept in (move.grants or {}).items():
        grantees = ", ".join(sorted({f'"{grantee}"' for grantee, _ in kept}))
        statements.append(f'REVOKE {rights} ON "{move.schema}"."{name}" FROM {grantees};')
    if statements:
        await move.here.execute("\n".join(statements))


def granting(schema: str, grants: Grants | None) -> str:
    """The statements that give the rights that are remembered."""
    return "SELECT;" + "\n".join(  # asyncpg wants a statement, also where there are no rights
        f'GRANT {right} ON "{schema}"."{name}" TO "{grantee}";'
        for name, rights in (grants or {}).items()
        for grantee, right in rights
    )


async def hold_events(move: Move) -> None:
    """Let waiting events wait: their handlers could change nothing, and would fail too often."""
    await move.here.execute(_HOLD_EVENTS, move.code)


async def release_jobs(connection: asyncpg.Connection, code: str) -> None:
    """Jobs run again."""
    await connection.execute(_RELEASE_JOBS, code)


async def resume(
    control: asyncpg.Connection, source: Database, code: str, grants: Grants | None
) -> None:
    """The tenant goes on in the source, as it was."""
    async with session(source, code) as here:
        await here.execute(granting(f"t_{code}", grants))
        await release_jobs(here, code)
        await here.execute(_RELEASE_EVENTS, code)
    await control.execute(_RESUME, code)
