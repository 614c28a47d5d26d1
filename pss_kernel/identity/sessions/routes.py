"""Signing in and out over HTTP."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pss_kernel.answers import Answer, Page
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts.passwords import check_password
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.factors.policy import StepNeeded, second_factor
from pss_kernel.identity.sessions.ending import end_sessions, end_these_sessions
from pss_kernel.identity.sessions.listing import (
    Session,
    no_session,
    owner_of,
    person,
    sessions_of,
)
from pss_kernel.identity.sessions.opening import SignedIn, open_session
from pss_kernel.identity.sessions.refreshing import refresh_session
from pss_kernel.ids import check_id
from pss_kernel.persistence import UnitOfWork, Work

__all__ = ["NewSession", "SecondFactorNeeded"]

_MANAGE = "identity:sessions-manage"
SIGNED_OUT = "signed-out"
REVOKED = "revoked"


class NewSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who signs in."""

    email: Annotated[str, msgspec.Meta(min_length=1, max_length=320)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class SecondFactorNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """The password was right, and is not enough."""

    second_factor: StepNeeded


class Refresh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What keeps a session alive."""

    refresh_token: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The ids of the sessions that were ended."""

    ended: list[str]


@plugin.post(
    "/sessions",
    permission="identity:self",
    summary="Sign in",
    confidential=True,
    limit="sign-in",
)
async def sign_in(work: Work, data: NewSession) -> Answer[SignedIn | SecondFactorNeeded]:
    """Sign in with e-mail address and password.

    Answers 201 with the tokens of a session; or 200 with what to send to
    `POST /v1/sessions/second-factor`, where the password is not enough.
    """
    account = await check_password(work, data.email, data.password)
    methods = frozenset({"pwd"})
    async with work.begin() as uow:
        step = await second_factor(uow, account, methods)
        answer: Answer[SignedIn | SecondFactorNeeded] = (
            Answer(await open_session(uow, account, methods), 201)
            if step is None
            else Answer(SecondFactorNeeded(second_factor=step), 200)
        )
        await work.answer(uow, answer.value, status=answer.status)
    return answer


@plugin.post(
    "/sessions/refresh",
    permission="identity:self",
    status=200,
    summary="Stay signed in",
    confidential=True,
)
async def refresh(work: Work, data: Refresh) -> SignedIn:
    """The next access token and the next refresh token, for a refresh token that is used up by it.

    Send an `Idempotency-Key`: should the answer be lost, the same request with the same key gets
    it again. Without that, a refresh token that comes a second time ends its session.
    """
    async with work.begin() as uow:
        given = await refresh_session(uow, data.refresh_token)
        if isinstance(given, SignedIn):
            await work.answer(uow, given)
            return given
    raise given


@plugin.get("/sessions", permission="identity:self", summary="Where one is signed in")
async def list_sessions(uow: UnitOfWork) -> Page[Session]:
    """Your open sessions, the one used last first."""
    return Page(await sessions_of(uow, person(uow).id))


@plugin.delete("/sessions/current", permission="identity:self", summary="Sign out")
async def sign_out(uow: UnitOfWork) -> Ended:
    """End the session that this request comes with."""
    return Ended(ended=await end_these_sessions(uow, [person(uow).session], SIGNED_OUT))


@plugin.delete("/sessions/{session_id:str}", permission="identity:self", summary="End a session")
async def end_session(uow: UnitOfWork, session_id: str) -> Ended:
    """End one of your sessions; with `identity:sessions-manage`, anybody's."""
    check_id("ses", session_id)
    manages = uow.actor.may(_MANAGE)
    asker = uow.actor if manages else person(uow)
    owner = await owner_of(uow, session_id)
    if owner != asker.id and not manages:
        raise no_session(session_id)
    return Ended(ended=await end_these_sessions(uow, [session_id], REVOKED))


@plugin.delete("/sessions", permission="identity:self", summary="Sign out everywhere else")
async def end_other_sessions(uow: UnitOfWork) -> Ended:
    """End your sessions, all but the one that this request comes with."""
    actor = person(uow)
    return Ended(ended=await end_sessions(uow, actor.id, REVOKED, except_session=actor.session))


@plugin.get(
    "/accounts/{account_id:str}/sessions", permission=_MANAGE, summary="Where somebody is signed in"
)
async def list_sessions_of(uow: UnitOfWork, account_id: str) -> Page[Session]:
    """The open sessions of an account, the one used last first."""
    account = await account_of(uow, account_id)
    return Page(await sessions_of(uow, account.account_id))


@plugin.delete(
    "/accounts/{account_id:str}/sessions", permission=_MANAGE, summary="Sign somebody out"
)
async def end_sessions_of(uow: UnitOfWork, account_id: str) -> Ended:
    """End every session of an account."""
    account = await account_of(uow, account_id)
    return Ended(ended=await end_sessions(uow, account.account_id, REVOKED))
