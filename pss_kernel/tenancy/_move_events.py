"""A tenant's events that wait, and those that rest, follow it into its new cell."""

from __future__ import annotations

from pss_kernel.tenancy._move_record import Move

__all__ = ["take_events"]

_BATCH = 500
_EVENTS = (
    "queue",
    "payload",
    "headers",
    "attempts_count",
    "deliveries_count",
    "created_at",
    "first_attempt_at",
    "last_attempt_at",
    "timer_id",
)
_RESTING = (
    "original_id",
    "queue",
    "payload",
    "headers",
    "deliveries_count",
    "created_at",
    "failed_at",
    "failure_reason",
    "last_exception",
    "timer_id",
)
# Their copies have moved. What was set aside since then has not; once more is harmless.
_GIVE_BACK = """
WITH back AS (DELETE FROM pss.event_waiting WHERE tenant = $1 RETURNING payload)
INSERT INTO pss.outbox (queue, payload, headers)
SELECT 'events', payload, '{"content-type": "application/json"}' FROM back
"""
_TABLES = {"outbox": (_EVENTS, "AND acquired_token IS NULL"), "outbox_dead": (_RESTING, "")}


async def take_events(move: Move) -> int:
    """Bring them over; how many there were.

    One that is being delivered at this moment stays: the source's relay delivers it to wherever
    its tenant lives. They are deleted here after they were committed there, so that none is lost;
    one that is then in both is handled once, for the inbox has moved before.
    """
    await move.here.execute(_GIVE_BACK, move.code)
    total = 0
    for table, (columns, free) in _TABLES.items():
        while taken := await _batch(move, table, columns, free):
            total += taken
    return total


async def _batch(move: Move, table: str, columns: tuple[str, ...], free: str) -> int:
    names = ", ".join(columns)
    async with move.here.transaction():
        rows = await move.here.fetch(
            f"WITH taken AS (DELETE FROM pss.{table} WHERE id IN ("  # noqa: S608 - ours
            f"SELECT id FROM pss.{table} WHERE queue = 'events' {free} "
            "AND convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1 "
            f"ORDER BY id LIMIT {_BATCH} FOR UPDATE SKIP LOCKED) RETURNING *) "
            f"SELECT {names} FROM taken ORDER BY id",
            move.code,
        )
        if rows:
            there = await move.there.fetch(
                f"SELECT payload FROM pss.{table} WHERE payload = ANY($1)",  # noqa: S608 - ours
                [row["payload"] for row in rows],
            )
            known = {row["payload"] for row in there}  # brought by a run that was killed
            async with move.there.transaction():
                places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
                await move.there.executemany(
                    f"INSERT INTO pss.{table} ({names}) VALUES ({places})",  # noqa: S608 - ours
                    [tuple(row) for row in rows if row["payload"] not in known],
                )
    return len(rows)
