"""Opening a session for somebody who has proved who it is, and the tokens that go with it.

A session is a row; the access token names it and lives for minutes, the refresh token keeps it
alive for as long as the tenant's settings say. Only a digest of the refresh token is stored: it has
256 random bits, so there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from pss_kernel.auth._tokens import FIRST_PARTY
from pss_kernel.config import IDENTITY
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.ids import new_id

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.identity.accounts.store import Account
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "SignedIn",
    "agent_of",
    "open_session",
    "renew_session",
    "sign_access_token",
    "token_digest",
]

_log = structlog.get_logger("pss.identity")

_LONGEST_USER_AGENT = 300
_OPEN = """
INSERT INTO session (session_id, account_id, methods, address, user_agent, authenticated_at,
                     created_at, used_at, expires_at, token_expires_at)
SELECT $1, $2, $3, $4, $5, t.at, t.at, t.at, t.at + $6, t.at + $7
FROM (SELECT clock_timestamp() AS at) AS t
RETURNING methods, used_at, authenticated_at, expires_at
"""
_SIGNED_IN = "UPDATE account SET signed_in_at = now() WHERE account_id = $1"
_KEEP = """
INSERT INTO refresh_token (digest, session_id, created_at, expires_at) VALUES ($1, $2, $3, $4)
"""


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """What a client keeps while somebody is signed in. ``expires_in`` is in seconds."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the scheme of RFC 6750
    expires_in: int
    refresh_token: str
    refresh_expires_at: datetime
    """By then it must have been used; each use gives a new one."""
    session_id: str
    session_expires_at: datetime
    """Then the person must sign in again, whatever happened meanwhile."""
    account_id: str


async def open_session(uow: UnitOfWork, account: Account, methods: AbstractSet[str]) -> SignedIn:
    """Open a session for somebody who has proved who it is by ``methods`` (RFC 8176)."""
    settings = uow.settings(IdentitySettings)
    session_id = new_id("ses")
    async with uow.acting(IDENTITY):
        (row,) = await uow.hot(
            _OPEN,
            session_id,
            account.account_id,
            sorted(methods),
            uow.actor.address,
            agent_of(uow.actor),
            timedelta(days=settings.session_days),
            timedelta(minutes=settings.token_minutes),
        )
        await uow.hot(_SIGNED_IN, account.account_id)
    uow.audit("session.opened", session_id, after={"methods": sorted(methods)})
    _log.info("signed_in", account=account.account_id, session=session_id, methods=sorted(methods))
    return await renew_session(uow, account, session_id, row)


async def renew_session(
    uow: UnitOfWork, account: Account, session_id: str, session: Mapping[str, Any]
) -> SignedIn:
    """The next pair of tokens of a session, whose row says when it was used just now."""
    settings = uow.settings(IdentitySettings)
    refresh_token = f"pss_rt_{secrets.token_urlsafe(32)}"
    used_at, ends_at = session["used_at"], session["expires_at"]
    idle_at = min(used_at + timedelta(hours=settings.session_idle_hours), ends_at)
    async with uow.acting(IDENTITY):
        await uow.hot(_KEEP, token_digest(refresh_token), session_id, used_at, idle_at)
    access_token, seconds = await sign_access_token(
        uow, account, session_id, session, list(session["methods"])
    )
    return SignedIn(
        access_token=access_token,
        expires_in=seconds,
        refresh_token=refresh_token,
        refresh_expires_at=idle_at,
        session_id=session_id,
        session_expires_at=ends_at,
        account_id=account.account_id,
    )


async def sign_access_token(
    uow: UnitOfWork, account: Account, session_id: str, session: Any, methods: list[str]
) -> tuple[str, int]:
    """An access token of a session, used just now by its row, and for how many seconds it is."""
    used_at, ends_at = session["used_at"], session["expires_at"]
    longest = uow.settings(IdentitySettings).token_minutes * 60
    seconds = min(longest, int((ends_at - used_at).total_seconds()) + 1)
    token = await uow.installation.tokens.sign(
        uow.tenant,
        account.account_id,
        used_at,
        seconds,
        client_id=FIRST_PARTY,
        sid=session_id,
        roles=list(account.roles),
        attributes=dict(account.attributes),
        auth_time=int(session["authenticated_at"].timestamp()),
        amr=methods,
    )
    return token, seconds


def agent_of(actor: Actor) -> str:
    """What the program calls itself, as far as it can be kept and shown."""
    return "".join(one for one in actor.user_agent if one.isprintable())[:_LONGEST_USER_AGENT]


def token_digest(refresh_token: str) -> bytes:
    """What of a refresh token is stored."""
    return hashlib.sha256(refresh_token.encode()).digest()
