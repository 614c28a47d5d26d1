"""The factors of whoever is asking: adding and taking away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pss_kernel.errors import (
    BadRequest,
    Conflict,
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorised,
)
from pss_kernel.identity.factors.attempts import forgive
from pss_kernel.identity.factors.events import tell
from pss_kernel.identity.factors.passkeys import NewPasskey
from pss_kernel.identity.factors.recovery import drop_recovery_codes
from pss_kernel.identity.factors.step_up import require_step_up
from pss_kernel.identity.factors.store import (
    FACTOR_COLUMNS,
    MOST_FACTORS,
    Factor,
    factor_from,
    factors_of,
)
from pss_kernel.identity.factors.totp import SECRET_FIELD, new_secret, step_of, uri_of
from pss_kernel.identity.sessions.ending import end_sessions
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.ids import new_id

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "add_passkey",
    "begin_totp",
    "confirm_totp",
    "locked_account",
    "no_factor",
    "person_of",
    "remove_factor",
    "wrong_code",
]

_CONFIRM_MINUTES = 15

_LOCK = """
SELECT email, name FROM account WHERE account_id = $1 AND state = 'active' FOR UPDATE
"""
_DROP_UNCONFIRMED = """
DELETE FROM factor WHERE account_id = $1 AND kind = 'totp' AND confirmed_at IS NULL
"""
_ADD_TOTP = """
INSERT INTO factor (factor_id, account_id, kind, name, secret) VALUES ($1, $2, 'totp', $3, $4)
"""
_UNCONFIRMED = """
SELECT secret, confirmed_at, created_at < now() - make_interval(mins => $3) AS late,
       extract(epoch FROM clock_timestamp())::float8 AS at
FROM factor WHERE factor_id = $1 AND account_id = $2 AND kind = 'totp'
"""
_CONFIRM = f"""
UPDATE factor SET confirmed_at = now(), used_at = now(), last_step = $2
WHERE factor_id = $1 RETURNING {FACTOR_COLUMNS}
"""  # noqa: S608 - our own names
_ADD_PASSKEY = f"""
INSERT INTO factor (factor_id, account_id, kind, name, credential_id, public_key, sign_count,
                    confirmed_at)
VALUES ($1, $2, 'passkey', $3, $4, $5, $6, now())
ON CONFLICT (credential_id) DO NOTHING RETURNING {FACTOR_COLUMNS}
"""  # noqa: S608 - our own names
_REMOVE = "DELETE FROM factor WHERE factor_id = $1 AND account_id = $2 RETURNING kind, name"


def person_of(uow: UnitOfWork) -> str:
    """The account of the person who asks. Raises Unauthorised for guests, Forbidden for keys."""
    if uow.actor.kind == "guest":
        raise Unauthorised("Credentials are needed for this.")
    if uow.actor.kind != "user":
        raise Forbidden("Only a person who has signed in has factors.", code="not-a-person")
    return uow.actor.id


async def locked_account(uow: UnitOfWork, *, changing: bool = True) -> Any:
    """The asker's account (e-mail address and name), its factors kept as they are until we end.

    Raises StepUpRequired where they are to be changed and there is one that was not given just
    now: who has only the password can't add a factor beside the owner's, or take that away.
    """
    account_id = person_of(uow)
    rows = await uow.hot(_LOCK, account_id)
    if not rows:
        raise NotFound("This account is not active.")
    if changing and await factors_of(uow, account_id):
        require_step_up(uow)
    return rows[0]


async def begin_totp(uow: UnitOfWork, name: str) -> tuple[str, str, str]:
    """A factor to be confirmed: its id, its secret and that as a URI for the app."""
    account = await locked_account(uow)
    account_id = uow.actor.id
    await _refuse_more(uow, "totp")
    factor_id, secret = new_id("fac"), new_secret()
    sealed = await uow.seal({account_id: {SECRET_FIELD: secret}})
    await uow.hot(_DROP_UNCONFIRMED, account_id)
    await uow.hot(_ADD_TOTP, factor_id, account_id, name, sealed[account_id][SECRET_FIELD])
    return factor_id, secret, uri_of(secret, account["email"], uow.tenant.name)


async def confirm_totp(uow: UnitOfWork, factor_id: str, code: str) -> Factor:
    """The factor, which from now on can be used. Raises NotFound, Conflict, Invalid."""
    await locked_account(uow)
    account_id = uow.actor.id
    rows = await uow.hot(_UNCONFIRMED, factor_id, account_id, _CONFIRM_MINUTES)
    if not rows or (rows[0]["late"] and rows[0]["confirmed_at"] is None):
        raise NotFound("There is no such factor waiting.", mend="Begin again: it waits 15 minutes.")
    if rows[0]["confirmed_at"] is not None:
        raise Conflict("This factor is confirmed already.", code="factor-confirmed")
    opened = await uow.unseal({account_id: {SECRET_FIELD: rows[0]["secret"]}})
    step = step_of(str(opened[account_id][SECRET_FIELD]), code.replace(" ", ""), rows[0]["at"])
    if step is None:
        raise wrong_code("/code")
    factor = factor_from((await uow.hot(_CONFIRM, factor_id, step))[0])
    await _added(uow, factor)
    return factor


async def add_passkey(uow: UnitOfWork, name: str, passkey: NewPasskey) -> Factor:
    """The passkey as a factor. Raises BadRequest for one that somebody has here already."""
    await _refuse_more(uow, "passkey")
    facts = (passkey.credential_id, passkey.public_key, passkey.sign_count)
    rows = await uow.hot(_ADD_PASSKEY, new_id("fac"), uow.actor.id, name, *facts)
    if not rows:
        raise BadRequest("This passkey is here already.", code="passkey-refused")
    factor = factor_from(rows[0])
    await _added(uow, factor)
    return factor


async def remove_factor(uow: UnitOfWork, factor_id: str) -> Factor:
    """Take a factor of the asker away, and with the last one the recovery codes.

    Raises NotFound, StepUpRequired; Conflict for the last one of a person who needs one.
    """
    await locked_account(uow)
    account_id = uow.actor.id
    there = {one.id: one for one in await factors_of(uow, account_id)}
    if factor_id not in there:
        raise NotFound(f"You have no factor {factor_id[:40]!r}.")
    if len(there) == 1:
        needing = uow.settings(IdentitySettings).second_factor_roles
        if not frozenset(uow.actor.roles).isdisjoint(needing):
            raise Conflict(
                "Your role needs a second factor, and this is the only one.",
                code="last-factor",
                mend="Add another one first.",
            )
        await drop_recovery_codes(uow, account_id)
        await forgive(uow, account_id)
    await uow.hot(_REMOVE, factor_id, account_id)
    removed = there[factor_id]
    uow.audit("factor.removed", account_id, before={"factor": removed.id, "kind": removed.kind})
    await end_sessions(uow, account_id, "factor-removed", uow.actor.session)
    tell(uow, account_id, "removed")
    return removed


def no_factor() -> Conflict:
    """There is nothing yet to prove oneself with."""
    return Conflict(
        "You have no second factor yet.",
        code="no-second-factor",
        mend="Add one at POST /v1/me/factors/totp or /v1/me/factors/passkeys.",
    )


def wrong_code(pointer: str) -> Invalid:
    """The code is not one that holds now, or was used."""
    return Invalid(
        "This is not the current code, or it was used before.",
        code="wrong-code",
        errors=[FieldError(pointer=pointer, detail="Wait for the next code.", code="wrong-code")],
    )


async def _refuse_more(uow: UnitOfWork, kind: str) -> None:
    there = [one for one in await factors_of(uow, uow.actor.id) if one.kind == kind]
    if len(there) >= MOST_FACTORS[kind]:
        raise Conflict(
            f"There are {len(there)} of this kind already.",
            code="too-many-factors",
            mend="Take one away first.",
        )


async def _added(uow: UnitOfWork, factor: Factor) -> None:
    """Whoever signed in without it must do so again."""
    uow.audit("factor.added", uow.actor.id, after={"factor": factor.id, "kind": factor.kind})
    await end_sessions(uow, uow.actor.id, "factor-added", uow.actor.session)
    tell(uow, uow.actor.id, "added")
