"""Signing in at the tenant's identity provider over HTTP."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Annotated

import msgspec
import structlog

from pss_kernel.answers import Answer
from pss_kernel.errors import Forbidden, Invalid, NotFound, Problem, Unauthorised
from pss_kernel.identity import plugin
from pss_kernel.identity.factors.policy import StepNeeded, second_factor
from pss_kernel.identity.factors.steps import begin_step, take_step
from pss_kernel.identity.sessions.opening import SignedIn, open_session
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.identity.sign_on.linking import account_for, methods_of
from pss_kernel.identity.sign_on.provider import provider_of
from pss_kernel.identity.sign_on.settings import SignOn
from pss_kernel.identity.sign_on.tokens import Trip, begin_trip, claims_of
from pss_kernel.persistence import Work

__all__ = ["SignOnBegun", "SignOnReturn"]

_log = structlog.get_logger("pss.identity")
_STEP = "sign-on"
_STEP_SECONDS = 600


class SignOnWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to come back to."""

    redirect_uri: Annotated[str, msgspec.Meta(max_length=500)] | None = None
    """One of the tenant's ``redirect_uris``; the first where none is named."""


class SignOnBegun(msgspec.Struct, frozen=True, kw_only=True):
    """Send the browser to ``authorization_url``, and keep ``step`` in it until it is back."""

    authorization_url: str
    step: str
    expires_at: datetime


class SignOnReturn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the provider has added to the address of the page, and the ``step`` that was kept."""

    step: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    state: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
    iss: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class SecondStep(msgspec.Struct, frozen=True, kw_only=True):
    """The provider vouches for the person, and a second factor is needed here."""

    second_factor: StepNeeded


@plugin.post(
    "/sign-on",
    permission="identity:self",
    status=200,
    summary="Begin single sign-on",
    confidential=True,
    limit="sign-in",
)
async def begin_sign_on(work: Work, data: SignOnWanted) -> SignOnBegun:
    """Begin to sign in at the airline's identity provider (OpenID Connect)."""
    sign_on = _offered(work)
    redirect_uri = data.redirect_uri or sign_on.redirect_uris[0]
    if redirect_uri not in sign_on.redirect_uris:  # compared exactly: RFC 9700, section 2.1
        raise Invalid("People are not sent back to that page.", code="redirect-uri-unknown")
    provider = await provider_of(work, sign_on)
    url, trip = begin_trip(sign_on, provider, redirect_uri)
    async with work.begin() as uow:
        step, expires_at = await begin_step(
            uow, _STEP, data=msgspec.to_builtins(trip), seconds=_STEP_SECONDS
        )
        begun = SignOnBegun(authorization_url=url, step=step, expires_at=expires_at)
        await work.answer(uow, begun)
    return begun


@plugin.post(
    "/sign-on/callback",
    permission="identity:self",
    summary="End single sign-on",
    confidential=True,
    limit="sign-in",
)
async def end_sign_on(work: Work, data: SignOnReturn) -> Answer[SignedIn | SecondStep]:
    """Sign in with what the identity provider has sent back.

    Answers 201 with the tokens of a session; or 200 with what to send to
    `POST /v1/sessions/second-factor`. A step is used up by its first return, whatever comes of it.
    """
    sign_on = _offered(work)
    async with work.begin() as uow:
        step = await take_step(uow, _STEP, data.step.encode())
    try:
        trip = msgspec.convert(step.data, Trip) if step is not None else None
        trip = await _came_back(work, sign_on, trip, data)
        claims = await claims_of(work, sign_on, trip, data.code)
        async with work.begin() as uow:
            account = await account_for(uow, sign_on, claims)
            methods = methods_of(sign_on, claims)
            needed = await second_factor(uow, account, methods)
            answer: Answer[SignedIn | SecondStep] = (
                Answer(await open_session(uow, account, methods), 201)
                if needed is None
                else Answer(SecondStep(second_factor=needed), 200)
            )
            await work.answer(uow, answer.value, status=answer.status)
    except (Unauthorised, Forbidden) as refusal:
        await _note(work, sign_on, refusal)
        raise _told(refusal) from refusal
    return answer


def _offered(work: Work) -> SignOn:
    sign_on = work.settings(IdentitySettings).sign_on
    if sign_on is None:
        raise NotFound("There is no single sign-on here.", code="sign-on-not-offered")
    return sign_on


async def _came_back(work: Work, sign_on: SignOn, trip: Trip | None, data: SignOnReturn) -> Trip:
    """The trip that this is the return from. Raises Unauthorised.

    The step is the browser's own, the state went through the provider: only who has both began it.
    """
    if trip is None:
        why = "the step is not known, was used, or has ended"
    elif not hmac.compare_digest(trip.state.encode(), data.state.encode()):
        why = "the state is another one's"
    elif trip.issuer != sign_on.issuer:
        why = "the provider was changed meanwhile"
    elif not await _from(work, sign_on, data.iss):
        why = "another provider has answered"
    else:
        return trip
    raise Unauthorised("Begin to sign in again.", code="sign-on-refused", mend=why)


async def _from(work: Work, sign_on: SignOn, issuer: str | None) -> bool:
    """Whether the answer is from whom it was asked (RFC 9207, against mix-up)."""
    if issuer is not None:
        return issuer == sign_on.issuer
    provider = await provider_of(work, sign_on)
    return not provider.metadata.authorization_response_iss_parameter_supported


async def _note(work: Work, sign_on: SignOn, refusal: Problem) -> None:
    """Into the audit trail with it: in a unit of its own, for the refusal rolls nothing back."""
    async with work.begin() as uow:
        uow.audit(
            "sign-on.refused",
            sign_on.issuer,
            after={"code": refusal.code},
            reason=refusal.mend or refusal.detail,
        )
    _log.warning("sign_on_refused", code=refusal.code, reason=refusal.mend or refusal.detail)


def _told(refusal: Problem) -> Problem:
    """What the person is told of it: not what an attacker could learn from."""
    if refusal.code != "sign-on-refused":
        return refusal
    return Unauthorised("The sign-in did not work. Begin again.", code="sign-on-refused")
