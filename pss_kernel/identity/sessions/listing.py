"""Which sessions an account has, for itself and for those who look after others."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pss_kernel.errors import Forbidden, NotFound, Unauthorised

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.persistence import UnitOfWork

__all__ = ["Session", "owner_of", "person", "sessions_of"]

# Newest first; a session of which nobody was heard for longer than it may rest has ended too.
_OPEN = """
SELECT s.session_id, s.account_id, s.created_at, s.used_at, s.expires_at, s.address, s.user_agent,
       s.methods, s.session_id = $2 AS current
FROM session s
WHERE s.account_id = $1 AND s.ended_at IS NULL AND s.expires_at > now() AND EXISTS (
  SELECT FROM refresh_token r
  WHERE r.session_id = s.session_id AND r.used_at IS NULL AND r.expires_at > now())
ORDER BY s.used_at DESC, s.session_id
"""
_OWNER = "SELECT account_id FROM session WHERE session_id = $1 AND ended_at IS NULL"


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Somewhere that somebody is signed in."""

    session_id: str
    account_id: str
    created_at: datetime
    used_at: datetime
    """When its tokens were last fetched."""
    expires_at: datetime
    address: str
    """Where they were last fetched from."""
    user_agent: str
    methods: list[str]
    """How the person proved who it is (RFC 8176)."""
    current: bool
    """Whether this request came with it."""


def person(uow: UnitOfWork) -> Actor:
    """The person that asks. Raises Unauthorised for a guest, Forbidden for a key."""
    if uow.actor.kind == "guest":
        raise Unauthorised("Credentials are needed for this.")
    if uow.actor.kind != "user":
        raise Forbidden("Only people have sessions.", code="people-only")
    return uow.actor


async def sessions_of(uow: UnitOfWork, account_id: str) -> list[Session]:
    """The open sessions of an account, the one used last first."""
    rows = await uow.hot(_OPEN, account_id, uow.actor.session)
    return [msgspec.convert(dict(row), Session) for row in rows]


async def owner_of(uow: UnitOfWork, session_id: str) -> str:
    """The account that an open session belongs to. Raises NotFound."""
    rows = await uow.hot(_OWNER, session_id)
    if not rows:
        raise no_session(session_id)
    owner: str = rows[0]["account_id"]
    return owner


def no_session(session_id: str) -> NotFound:
    """What is said of a session that is not there, and of one that is somebody else's."""
    return NotFound(f"There is no open session {session_id[:40]!r}.")
