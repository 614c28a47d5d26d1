"""Sign-ins that are half done: a token for the caller, its digest for us, a few attempts each.

A token has 256 random bits, so a plain SHA-256 of it is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "ATTEMPTS",
    "Step",
    "attempt_step",
    "begin_step",
    "find_step",
    "finish_step",
    "take_step",
]

ATTEMPTS = 5
"""How often a code may be tried for one step."""

_BEGIN = """
INSERT INTO sign_in_step (digest, purpose, account_id, data, expires_at)
VALUES ($1, $2, $3, $4::jsonb, now() + make_interval(secs => $5)) RETURNING expires_at
"""
_FIND = """
SELECT account_id, data::text AS data, created_at FROM sign_in_step
WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()
"""
_ATTEMPT = """
UPDATE sign_in_step SET attempts = attempts + 1
WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now() AND attempts < $3
RETURNING account_id, data::text AS data, created_at
"""
# One statement decides who uses it, of any number that come at once.
_FINISH = """
UPDATE sign_in_step SET used_at = now()
WHERE digest = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()
RETURNING account_id, data::text AS data, created_at
"""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that is half done; ``account_id`` is None where it is not known yet whose."""

    account_id: str | None
    data: dict[str, Any]
    created_at: datetime


async def begin_step(
    uow: UnitOfWork,
    purpose: str,
    *,
    account_id: str | None = None,
    data: dict[str, Any] | None = None,
    seconds: float = 300,
    token: bytes | None = None,
) -> tuple[str, datetime]:
    """Begin a step; its token, which is kept nowhere, and when it ends."""
    text = secrets.token_urlsafe(32)
    digest = _digest(text.encode() if token is None else token)
    given = msgspec.json.encode(data or {}).decode()
    rows = await uow.hot(_BEGIN, digest, purpose, account_id, given, float(seconds))
    return text, rows[0]["expires_at"]


async def find_step(uow: UnitOfWork, purpose: str, token: str) -> Step | None:
    """A step that has not been used and has not ended."""
    return _step(await uow.hot(_FIND, _digest(token.encode()), purpose))


async def attempt_step(uow: UnitOfWork, purpose: str, token: str) -> Step | None:
    """Count an attempt at a step; None where it has ended, or had its attempts.

    To be committed before what was given is looked at: so those that come at once are counted.
    """
    return _step(await uow.hot(_ATTEMPT, _digest(token.encode()), purpose, ATTEMPTS))


async def finish_step(uow: UnitOfWork, purpose: str, token: str) -> bool:
    """Use a step, which can be done once; whether this call did."""
    return bool(await uow.hot(_FINISH, _digest(token.encode()), purpose))


async def take_step(uow: UnitOfWork, purpose: str, token: bytes) -> Step | None:
    """Use a step that has no more to it than its token (a challenge); None where it has ended."""
    return _step(await uow.hot(_FINISH, _digest(token), purpose))


def _step(rows: list[Any]) -> Step | None:
    if not rows:
        return None
    (row,) = rows
    return Step(
        account_id=row["account_id"],
        data=msgspec.json.decode(row["data"]),
        created_at=row["created_at"],
    )


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
