"""The next pair of tokens for a refresh token, which can be used once.

One that comes again was stolen, or its owner's answer was lost: nobody can tell, so the session
ends (RFC 9700, section 4.14.2). Whoever repeats a request whose answer was lost sends the same
``Idempotency-Key`` and gets the same answer, before anything here is asked.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from pss_kernel.config import IDENTITY
from pss_kernel.errors import Unauthorised
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.contracts import RefreshTokenReused
from pss_kernel.identity.sessions.ending import end_these_sessions
from pss_kernel.identity.sessions.opening import SignedIn, agent_of, renew_session, token_digest
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["REUSED", "refresh_session"]

_log = structlog.get_logger("pss.identity")

REUSED = "refresh-reuse"
"""Why such a session ended."""

# Of any number that come at once, one finds it unused.
_TAKE = """
UPDATE refresh_token SET used_at = clock_timestamp()
WHERE digest = $1 AND used_at IS NULL AND expires_at > clock_timestamp()
RETURNING session_id
"""
_GO_ON = """
UPDATE session s SET used_at = t.at, token_expires_at = t.at + $4, address = $2, user_agent = $3
FROM account a, (SELECT clock_timestamp() AS at) AS t
WHERE s.session_id = $1 AND s.ended_at IS NULL AND s.expires_at > t.at
  AND a.account_id = s.account_id AND a.state = 'active'
RETURNING s.account_id, s.methods, s.used_at, s.authenticated_at, s.expires_at
"""
_KNOWN = """
SELECT r.used_at, s.session_id, s.account_id FROM refresh_token r JOIN session s USING (session_id)
WHERE r.digest = $1
"""


async def refresh_session(uow: UnitOfWork, refresh_token: str) -> SignedIn | Unauthorised:
    """The next tokens; or why there are none, to be raised once this unit of work has committed."""
    digest = token_digest(refresh_token)
    minutes = uow.settings(IdentitySettings).token_minutes
    async with uow.acting(IDENTITY):
        taken = await uow.hot(_TAKE, digest)
        if not taken:
            return await _refused(uow, digest)
        rows = await uow.hot(
            _GO_ON,
            taken[0]["session_id"],
            uow.actor.address,
            agent_of(uow.actor),
            timedelta(minutes=minutes),
        )
        if not rows:
            return _ended()
        account = await account_of(uow, rows[0]["account_id"])
    _log.info("session_refreshed", account=account.account_id, session=taken[0]["session_id"])
    return await renew_session(uow, account, taken[0]["session_id"], rows[0])


async def _refused(uow: UnitOfWork, digest: bytes) -> Unauthorised:
    known = await uow.hot(_KNOWN, digest)
    if not known:
        _log.info("refresh_refused", reason="unknown", address=uow.actor.address)
        return Unauthorised("These credentials are not known.", code="unknown-credentials")
    (row,) = known
    if row["used_at"] is None:
        return _ended()
    if await end_these_sessions(uow, [row["session_id"]], REUSED):
        _log.warning(
            "refresh_token_reused",
            account=row["account_id"],
            session=row["session_id"],
            address=uow.actor.address,
        )
        uow.emit(
            RefreshTokenReused(
                account_id=row["account_id"],
                session_id=row["session_id"],
                address=uow.actor.address,
            ),
            stream=row["session_id"],
        )
    return Unauthorised(
        "This refresh token was used before; its session has ended.",
        code="refresh-token-reused",
        mend="Sign in again. If nobody used it twice here, somebody else has it.",
    )


def _ended() -> Unauthorised:
    return Unauthorised("This session has ended.", code="session-ended", mend="Sign in again.")
