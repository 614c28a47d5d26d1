"""The second step of a sign-in, and signing in with a passkey alone."""

from __future__ import annotations

import msgspec
import structlog

from pss_kernel.errors import Unauthorised
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts.store import Account, account_of
from pss_kernel.identity.factors.attempts import charge, locked
from pss_kernel.identity.factors.passkey_options import PasskeyOptions, options_to_prove
from pss_kernel.identity.factors.passkeys import PasskeyAssertion, check_passkey
from pss_kernel.identity.factors.policy import SECOND_STEP
from pss_kernel.identity.factors.proof import (
    Code,
    Proof,
    RecoveryCode,
    StepToken,
    check_proof,
    one_of,
)
from pss_kernel.identity.factors.steps import Step, attempt_step, find_step, finish_step
from pss_kernel.identity.sessions.opening import SignedIn, open_session
from pss_kernel.persistence import UnitOfWork, Work

__all__ = ["second_step", "sign_in_with_passkey"]

_ALONE, _SECOND = "passkey-sign-in", "passkey-second-factor"
_log = structlog.get_logger("pss.identity")


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True):
    """The token of the first step, and one of the kinds that its answer named."""

    step_token: StepToken
    code: Code | None = None
    recovery_code: RecoveryCode | None = None
    passkey: PasskeyAssertion | None = None


class HalfDone(msgspec.Struct, frozen=True, kw_only=True):
    """The token of the first step."""

    step_token: StepToken


class PasskeySignIn(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser made of the options."""

    passkey: PasskeyAssertion


@plugin.post(
    "/sessions/second-factor", permission="identity:self", confidential=True, limit="sign-in"
)
async def second_step(data: SecondFactor, work: Work) -> SignedIn:
    """Finish a sign-in that asked for a second factor: five attempts, within ten minutes."""
    proof = one_of(code=data.code, recovery_code=data.recovery_code, passkey=data.passkey)
    async with work.begin() as uow:
        step = await attempt_step(uow, SECOND_STEP, data.step_token)
        may_try = step is None or await _may_try(uow, step, proof)
    if step is None:
        raise _ended()
    if not may_try:
        raise locked()
    async with work.begin() as uow:
        signed_in = await _finish(uow, step, data.step_token, proof)
        if signed_in is not None:
            await work.answer(uow, signed_in)
    if signed_in is None:
        raise _refused(work, proof.kind, step.account_id)
    return signed_in


@plugin.post(
    "/sessions/second-factor/passkey-options",
    permission="identity:self",
    status=200,
    confidential=True,
)
async def passkey_for_second_step(data: HalfDone, uow: UnitOfWork) -> PasskeyOptions:
    """What the browser proves a passkey by in the second step; good for five minutes."""
    step = await find_step(uow, SECOND_STEP, data.step_token)
    if step is None or step.account_id is None:
        raise _ended()
    return await options_to_prove(uow, _SECOND, account_id=step.account_id)


@plugin.post("/sessions/passkey/options", permission="identity:self", status=200, confidential=True)
async def passkey_to_sign_in(uow: UnitOfWork) -> PasskeyOptions:
    """What the browser proves a passkey by, whoever it may belong to; good for five minutes."""
    return await options_to_prove(uow, _ALONE)


@plugin.post("/sessions/passkey", permission="identity:self", confidential=True, limit="sign-in")
async def sign_in_with_passkey(data: PasskeySignIn, work: Work) -> SignedIn:
    """Sign in with a passkey and nothing else; its PIN, finger or face is the second factor."""
    async with work.begin() as uow:
        proved = await check_passkey(uow, _ALONE, data.passkey)
        signed_in = None
        if proved is not None:
            account = await account_of(uow, proved.account_id)
            if proved.cloned:
                uow.audit("factor.cloned", account.account_id, after={"factor": proved.factor_id})
            elif account.state == "active":
                signed_in = await open_session(uow, account, proved.methods)
                await work.answer(uow, signed_in)
    if signed_in is None:
        raise _refused(work, "passkey", proved.account_id if proved else None)
    return signed_in


async def _may_try(uow: UnitOfWork, step: Step, proof: Proof) -> bool:
    if not proof.guessable or step.account_id is None:
        return True
    return await charge(uow, step.account_id) is not None


async def _finish(uow: UnitOfWork, step: Step, token: str, proof: Proof) -> SignedIn | None:
    """A session for whoever has proved itself; None where the proof is wrong.

    Raises Unauthorised where the step was used, or the account has changed, since the first one.
    """
    assert step.account_id is not None
    account = await account_of(uow, step.account_id)
    if not _still_holds(account, step):
        raise _ended()
    methods = await check_proof(uow, account.account_id, proof, _SECOND)
    if methods is None:
        return None
    if not await finish_step(uow, SECOND_STEP, token):
        raise _ended()
    return await open_session(uow, account, methods | set(step.data["methods"]))


def _still_holds(account: Account, step: Step) -> bool:
    """Whether what the first step found is so still: the account is active, the password is it."""
    changed = account.password_changed_at
    return account.state == "active" and (changed is None or changed <= step.created_at)


def _ended() -> Unauthorised:
    return Unauthorised(
        "This sign-in is not known, was finished or tried too often, or has ended.",
        code="sign-in-ended",
        mend="Sign in again.",
    )


def _refused(work: Work, kind: str, account_id: str | None) -> Unauthorised:
    _log.info(
        "second_factor_refused",
        tenant=work.tenant.code,
        account=account_id,
        address=work.actor.address,
        kind=kind,
    )
    return Unauthorised(
        "This second factor is wrong, or was used before.",
        code="wrong-second-factor",
        mend="Wait for the app's next code, ask for new passkey options, or use a recovery code.",
    )
