"""A session whose person has given a second factor just now, and the access token that says so."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from pss_kernel.errors import Unauthorised
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.sessions.opening import sign_access_token
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["RaisedToken", "raise_session"]

_RAISE = """
UPDATE session SET
  methods = (SELECT array_agg(DISTINCT m ORDER BY m) FROM unnest(methods || $3::text[]) AS m),
  authenticated_at = clock_timestamp(), used_at = clock_timestamp(),
  token_expires_at = greatest(token_expires_at, clock_timestamp() + $4)
WHERE session_id = $1 AND account_id = $2 AND ended_at IS NULL AND expires_at > clock_timestamp()
RETURNING methods, authenticated_at, used_at, expires_at
"""


class RaisedToken(msgspec.Struct, frozen=True, kw_only=True):
    """Takes the place of the access token; the refresh token stays. ``expires_in``: seconds."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme of RFC 6750
    expires_in: int
    authenticated_at: datetime
    methods: list[str]


async def raise_session(uow: UnitOfWork, methods: AbstractSet[str]) -> RaisedToken:
    """Note in the asker's session that it has proved itself now, by these methods too.

    Raises Unauthorised (``session-ended``) where it has ended meanwhile.
    """
    account = await account_of(uow, uow.actor.id)
    longest = timedelta(minutes=uow.settings(IdentitySettings).token_minutes)
    session_id = uow.actor.session
    rows = await uow.hot(_RAISE, session_id, account.account_id, sorted(methods), longest)
    if not rows or account.state != "active":
        raise Unauthorised("This session has ended.", code="session-ended", mend="Sign in again.")
    (row,) = rows
    token, seconds = await sign_access_token(uow, account, session_id, row, row["methods"])
    return RaisedToken(
        access_token=token,
        expires_in=seconds,
        authenticated_at=row["authenticated_at"],
        methods=row["methods"],
    )
