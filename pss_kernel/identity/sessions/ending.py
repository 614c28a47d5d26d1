"""Ending sessions before their time, and making people's tokens be fetched anew.

What was signed lives on for minutes wherever it is; a cutoff in the control schema makes every
process refuse it within a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from pss_kernel.config import IDENTITY

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["end_sessions", "end_these_sessions", "renew_tokens"]

_log = structlog.get_logger("pss.identity")

_OF_ACCOUNT = """
SELECT session_id FROM session
WHERE account_id = $1 AND ended_at IS NULL AND session_id IS DISTINCT FROM $2
ORDER BY session_id FOR UPDATE
"""
_END = """
UPDATE session SET ended_at = clock_timestamp(), end_reason = $2
WHERE session_id = ANY($1) AND ended_at IS NULL
RETURNING session_id, account_id, token_expires_at
"""
# Of use until the last token of the session would have expired by itself, with the leeway for
# clocks (30 s, see auth/_tokens.py) twice.
_CUT_OFF = """
INSERT INTO pss.token_cutoff AS c (tenant, subject, not_before, until)
SELECT $1, g.subject, clock_timestamp(), g.until + interval '60 seconds'
FROM unnest($2::text[], $3::timestamptz[]) AS g (subject, until)
WHERE g.until + interval '60 seconds' > clock_timestamp()
ON CONFLICT (tenant, subject) DO UPDATE SET not_before = excluded.not_before,
  until = greatest(c.until, excluded.until)
"""
_LATEST_EXPIRY = """
SELECT max(token_expires_at) AS until FROM (
  SELECT token_expires_at FROM session WHERE account_id = $1 AND ended_at IS NULL
  ORDER BY session_id FOR UPDATE) AS open
"""


async def end_sessions(
    uow: UnitOfWork, account_id: str, reason: str, except_session: str | None = None
) -> list[str]:
    """End the sessions of an account: at once for whoever refreshes, within a second for tokens.

    ``reason`` reads like ``password-changed``. Gives the ids of those that were open.
    """
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_OF_ACCOUNT, account_id, except_session)
    return await end_these_sessions(uow, [row["session_id"] for row in rows], reason)


async def end_these_sessions(uow: UnitOfWork, session_ids: list[str], reason: str) -> list[str]:
    """End sessions by their ids; those that had ended before are left out of the answer."""
    if not session_ids:
        return []
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_END, sorted(session_ids), reason)
        await uow.hot(
            _CUT_OFF,
            uow.tenant.code,
            [row["session_id"] for row in rows],
            [row["token_expires_at"] for row in rows],
        )
    for row in rows:
        uow.audit("session.ended", row["session_id"], reason=reason)
        _log.info(
            "session_ended", account=row["account_id"], session=row["session_id"], reason=reason
        )
    return [row["session_id"] for row in rows]


async def renew_tokens(uow: UnitOfWork, account_id: str) -> None:
    """Have an account's access tokens refused, and its sessions go on.

    For what stands in the token and has changed: roles, attributes. Each client gets
    ``token-expired`` and fetches another with its refresh token.
    """
    async with uow.acting(IDENTITY):
        (row,) = await uow.hot(_LATEST_EXPIRY, account_id)
        if row["until"] is not None:
            await uow.hot(_CUT_OFF, uow.tenant.code, [account_id], [row["until"]])
