"""How often somebody may guess a code: a few times, then after waiting longer and longer.

A code has six digits, three of them hold at a time. The tenant's settings for passwords
(``lockout_…``) say how many guesses in a row are free and how long the waits are; after a hundred
wrong ones in a row no code is looked at any more until an administrator has reset the account's
factors (NIST SP 800-63B-4, 3.2.2). That is a chance of 3 in 10,000 for all the guesses there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.errors import Forbidden
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["MOST", "charge", "forgive", "locked"]

MOST = 100
"""So many wrong ones in a row end it."""

# The guess is counted before it is looked at, so that many at once are as many guesses.
_CHARGE = """
INSERT INTO factor_lock AS f (account_id, failures) VALUES ($1, 1)
ON CONFLICT (account_id) DO UPDATE SET
  failures = f.failures + 1,
  locked_until = CASE WHEN f.failures + 1 >= $3 THEN clock_timestamp() + make_interval(
    secs => least($4 * 2 ^ least(f.failures + 1 - $3, 30), $5)) END
WHERE (f.locked_until IS NULL OR f.locked_until <= clock_timestamp()) AND f.failures < $2
RETURNING failures
"""
_FORGIVE = "DELETE FROM factor_lock WHERE account_id = $1"


async def charge(uow: UnitOfWork, account_id: str) -> int | None:
    """Count a guess; which in a row it is, None where it may not be made.

    To be committed before the guess is looked at.
    """
    settings = uow.settings(IdentitySettings)
    rows = await uow.hot(
        _CHARGE,
        account_id,
        MOST,
        settings.lockout_attempts,
        float(settings.lockout_seconds),
        float(max(settings.lockout_seconds, settings.lockout_max_seconds)),
    )
    return int(rows[0]["failures"]) if rows else None


async def forgive(uow: UnitOfWork, account_id: str) -> None:
    """Forget the wrong guesses: a right one has come, or the factors are gone."""
    await uow.hot(_FORGIVE, account_id)


def locked() -> Forbidden:
    """No code of this account is looked at now."""
    return Forbidden(
        "Too many wrong codes were given for this account; none is looked at for now.",
        code="second-factor-locked",
        mend="Wait a while, use a passkey, or ask an administrator to reset the second factors.",
    )
