"""Guessing at passwords gets slower and slower (NIST SP 800-63B, rate limiting).

Every guess is counted before the password is looked at, by one statement on the account's row: of
many at once no more are looked at than one after the other would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pss_kernel.identity.accounts.store import ACCOUNT_COLUMNS, Account, account_from
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["Attempt", "begin_attempt", "forget_attempts"]

# The n-th wrong one in a row locks for a time that doubles with each from then on. One that is
# right takes back what it was counted for.
_COUNT = f"""
UPDATE account SET failed_attempts = failed_attempts + 1,
  locked_until = CASE WHEN failed_attempts + 1 >= $2 THEN clock_timestamp() + make_interval(
    secs => least($3 * 2 ^ least(failed_attempts + 1 - $2, 30), $4)) END
WHERE email_key = $1 AND (locked_until IS NULL OR locked_until <= clock_timestamp())
RETURNING {ACCOUNT_COLUMNS}, password_hash
"""  # noqa: S608 - the columns are ours
_REFUSE = f"""
UPDATE account SET refused_attempts = refused_attempts + 1 WHERE email_key = $1
RETURNING {ACCOUNT_COLUMNS}
"""  # noqa: S608 - the columns are ours
_FORGET = """
UPDATE account SET failed_attempts = 0, refused_attempts = 0, locked_until = NULL
WHERE account_id = $1
"""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A guess that has been counted."""

    account: Account | None
    """Whose it is about; None where nobody has the address."""
    password_hash: str | None
    """To look at; None where the guess is refused without."""


async def begin_attempt(uow: UnitOfWork, key: str) -> Attempt:
    """Count a guess at the password of whoever has the address with that key.

    To be committed before the password is looked at.
    """
    settings = uow.settings(IdentitySettings)
    counted = await uow.hot(
        _COUNT,
        key,
        settings.lockout_attempts,
        float(settings.lockout_seconds),
        float(max(settings.lockout_seconds, settings.lockout_max_seconds)),
    )
    if not counted:
        refused = await uow.hot(_REFUSE, key)
        return Attempt(account_from(refused[0]) if refused else None, None)
    account = account_from(counted[0])
    usable = account.state == "active"
    return Attempt(account, counted[0]["password_hash"] if usable else None)


async def forget_attempts(uow: UnitOfWork, account_id: str) -> None:
    """Begin to count anew, and lock no longer."""
    await uow.hot(_FORGET, account_id)
