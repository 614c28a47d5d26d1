"""Proving once more who one is, for what needs a fresh second factor."""

from __future__ import annotations

import msgspec

from pss_kernel.identity import plugin
from pss_kernel.identity.factors.attempts import charge, locked
from pss_kernel.identity.factors.own import no_factor, person_of, wrong_code
from pss_kernel.identity.factors.passkey_options import PasskeyOptions, options_to_prove
from pss_kernel.identity.factors.passkeys import PasskeyAssertion
from pss_kernel.identity.factors.proof import Code, check_proof, one_of
from pss_kernel.identity.factors.raising import RaisedToken, raise_session
from pss_kernel.identity.factors.store import factors_of
from pss_kernel.persistence import UnitOfWork, Work

__all__ = ["step_up"]

_PURPOSE = "passkey-step-up"


class StepUp(msgspec.Struct, frozen=True, kw_only=True):
    """A code of the app, or what the browser made of the passkey options."""

    code: Code | None = None
    passkey: PasskeyAssertion | None = None


@plugin.post(
    "/sessions/current/step-up",
    permission="identity:self",
    status=200,
    confidential=True,
    limit="sign-in",
)
async def step_up(data: StepUp, work: Work) -> RaisedToken:
    """Give a second factor; the answer's access token allows what needs a fresh one."""
    proof = one_of(code=data.code, passkey=data.passkey)
    async with work.begin() as uow:
        account_id = person_of(uow)
        await _refuse_without(uow, account_id)
        may_try = not proof.guessable or await charge(uow, account_id) is not None
    if not may_try:
        raise locked()
    async with work.begin() as uow:
        methods = await check_proof(uow, account_id, proof, _PURPOSE)
        if methods is not None:
            raised = await raise_session(uow, methods)
            uow.audit("session.stepped-up", uow.actor.session, after={"methods": raised.methods})
            await work.answer(uow, raised)
    if methods is None:
        raise wrong_code("/passkey" if data.passkey else "/code")
    return raised


@plugin.post(
    "/sessions/current/step-up/passkey-options",
    permission="identity:self",
    status=200,
    confidential=True,
)
async def passkey_to_step_up(uow: UnitOfWork) -> PasskeyOptions:
    """What the browser proves a passkey by; good for five minutes."""
    account_id = person_of(uow)
    await _refuse_without(uow, account_id)
    return await options_to_prove(uow, _PURPOSE, account_id=account_id)


async def _refuse_without(uow: UnitOfWork, account_id: str) -> None:
    if not await factors_of(uow, account_id):
        raise no_factor()
