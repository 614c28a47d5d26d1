"""Taking a person's second factors away, for who has lost them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pss_kernel.identity.accounts.authority import refuse_own
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.factors.attempts import forgive
from pss_kernel.identity.factors.events import tell
from pss_kernel.identity.factors.recovery import drop_recovery_codes
from pss_kernel.identity.roles.escalation import refuse_above
from pss_kernel.identity.sessions.ending import end_sessions

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["FactorsReset", "reset_factors"]

_REMOVE = "DELETE FROM factor WHERE account_id = $1 RETURNING kind, confirmed_at"
_END_STEPS = "DELETE FROM sign_in_step WHERE account_id = $1"


class FactorsReset(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken away: so many of each kind, and the sessions that ended with it."""

    account_id: str
    totp: int
    passkeys: int
    sessions_ended: int


async def reset_factors(uow: UnitOfWork, account_id: str, *, reason: str = "") -> FactorsReset:
    """Leave a person with nothing but the password.

    Raises NotFound; Forbidden for the account of somebody who may more than the actor, and for the
    actor's own: whoever has taken a session over shall not be rid of the factors.
    """
    account = await account_of(uow, account_id)
    refuse_own(uow, account)
    await refuse_above(uow, account.roles, account.attributes)
    rows = await uow.hot(_REMOVE, account.account_id)
    await drop_recovery_codes(uow, account.account_id)
    await forgive(uow, account.account_id)
    await uow.hot(_END_STEPS, account.account_id)
    kinds = [row["kind"] for row in rows if row["confirmed_at"] is not None]
    ended = await end_sessions(uow, account.account_id, "factors-reset")
    done = FactorsReset(
        account_id=account.account_id,
        totp=kinds.count("totp"),
        passkeys=kinds.count("passkey"),
        sessions_ended=len(ended),
    )
    uow.audit(
        "factors.reset",
        account.account_id,
        before={"totp": done.totp, "passkeys": done.passkeys},
        reason=reason,
    )
    tell(uow, account.account_id, "reset")
    return done
