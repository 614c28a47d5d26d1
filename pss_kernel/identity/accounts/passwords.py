"""Checking the password of somebody who wants to sign in.

Whoever can't be let in gets one answer, ``wrong-credentials``, after one and the same time: an
address that nobody has, an account that is locked, disabled, or has no password, a wrong password.
So nobody learns by it who has an account here.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from pss_kernel.config import IDENTITY
from pss_kernel.errors import Unauthorised
from pss_kernel.identity.accounts.addresses import email_key
from pss_kernel.identity.accounts.hashing import hashing
from pss_kernel.identity.accounts.lockout import Attempt, begin_attempt
from pss_kernel.identity.accounts.store import ACCOUNT_COLUMNS, Account, account_from
from pss_kernel.identity.sign_on.policy import refuse_password

if TYPE_CHECKING:
    from pss_kernel.persistence import Work

__all__ = ["WRONG_CREDENTIALS", "check_password"]

_log = structlog.get_logger("pss.identity")

WRONG_CREDENTIALS = "wrong-credentials"
_DATABASE_SECONDS = 0.05
"""What a refusal takes at the least, beside the hashing: known and unknown addresses differ by a
row that is written or not, which is a few milliseconds."""

# Only if it still is the password: it may have been changed, or the account disabled, meanwhile.
_SUCCEED = f"""
UPDATE account SET failed_attempts = 0, refused_attempts = 0, locked_until = NULL,
  password_hash = coalesce($3, password_hash)
WHERE account_id = $1 AND password_hash = $2 AND state = 'active'
RETURNING {ACCOUNT_COLUMNS}
"""  # noqa: S608 - the columns are ours


async def check_password(work: Work, email: str, password: str) -> Account:
    """The account with that address and password.

    Counts the guess in a unit of work of its own, which stays when the caller is refused. Raises
    Unauthorised (``wrong-credentials``), Forbidden (``sign-on-only``), Unavailable
    (``sign-in-busy``).
    """
    began = time.monotonic()
    async with work.begin() as uow, uow.acting(IDENTITY):
        attempt = await begin_attempt(uow, email_key(email))
    asked = time.monotonic()
    matches = await hashing.verify(attempt.password_hash, password)
    hashed = time.monotonic()
    account = await _let_in(work, attempt, password) if matches else None
    if account is not None:
        refuse_password(work, account)
        return account
    await _note_refusal(work, attempt)
    spent = time.monotonic() - hashed + asked - began
    await asyncio.sleep(max(0.0, _DATABASE_SECONDS - spent))
    raise Unauthorised(
        "The e-mail address or the password is wrong, or the account can't be used now.",
        code=WRONG_CREDENTIALS,
        mend="After several wrong ones in a row, wait a while or ask for a new password by mail.",
    )


async def _let_in(work: Work, attempt: Attempt, password: str) -> Account | None:
    """Count anew, and hash again where the parameters have changed; None where it came too late."""
    assert attempt.account is not None
    assert attempt.password_hash is not None
    renewed = None
    if hashing.is_outdated(attempt.password_hash):
        renewed = await hashing.hash(password)
    async with work.begin() as uow, uow.acting(IDENTITY):
        rows = await uow.hot(_SUCCEED, attempt.account.account_id, attempt.password_hash, renewed)
    return account_from(rows[0]) if rows else None


async def _note_refusal(work: Work, attempt: Attempt) -> None:
    """Tell the log of each refusal, and the trail of each wrong password that was looked at.

    What isn't looked at could be sent without end, and would fill the trail.
    """
    account = attempt.account
    if account is None:
        reason = "unknown-address"
    elif account.state != "active":
        reason = f"account-{account.state}"
    elif not account.has_password:
        reason = "no-password"
    elif attempt.password_hash is None:
        reason = "account-locked"
    else:
        reason = "wrong-password"
    facts = {"tenant": work.tenant.code, "address": work.actor.address, "reason": reason}
    _log.info("sign_in_refused", account=account.account_id if account else None, **facts)
    if account is not None and reason == "wrong-password":
        async with work.begin() as uow:
            uow.audit(
                "account.sign-in-refused",
                account.account_id,
                after={
                    "failed_attempts": account.failed_attempts,
                    "locked_until": account.locked_until,
                },
                reason=reason,
            )
