"""Setting a password: after an invitation, a reset, or by its owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pss_kernel.config import IDENTITY
from pss_kernel.identity.accounts.hashing import hashing
from pss_kernel.identity.accounts.rules import refuse_weak
from pss_kernel.identity.accounts.store import Account
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork, Work

__all__ = ["hash_new_password", "keep_password", "no_sooner_than"]

# Whoever was sent the link has the address; and nobody is locked out who came by one.
_KEEP = """
UPDATE account SET password_hash = $2, password_changed_at = now(), changed_at = now(),
  failed_attempts = 0, refused_attempts = 0, locked_until = NULL, state = 'active',
  email_verified_at = CASE WHEN $3 THEN now() ELSE email_verified_at END
WHERE account_id = $1 AND state <> 'disabled' RETURNING account_id
"""


async def hash_new_password(
    work: Work, account: Account, password: str, *, pointer: str = "/password"
) -> str:
    """The hash of a password that the account may have. Raises Invalid, Unavailable.

    Outside any transaction: it takes a while.
    """
    await refuse_weak(
        password,
        minimum=work.settings(IdentitySettings).password_min_length,
        own_words=[account.email, account.name, work.tenant.name, work.tenant.code],
        pointer=pointer,
    )
    return await hashing.hash(password)


async def keep_password(
    uow: UnitOfWork, account_id: str, password_hash: str, *, by_mail: bool
) -> bool:
    """Let it be the account's password; False where the account was disabled meanwhile."""
    async with uow.acting(IDENTITY):
        return bool(await uow.hot(_KEEP, account_id, password_hash, by_mail))


@asynccontextmanager
async def no_sooner_than(seconds: float) -> AsyncIterator[None]:
    """Leave after that time at the soonest, so that it doesn't tell what was done meanwhile."""
    until = time.monotonic() + seconds
    try:
        yield
    finally:
        await asyncio.sleep(max(0.0, until - time.monotonic()))
