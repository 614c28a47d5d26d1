"""What people do with the links that were sent to them, and how they ask for one."""

from __future__ import annotations

from typing import Literal

import msgspec

from pss_kernel.config import IDENTITY
from pss_kernel.errors import Conflict, NotFound
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts.addresses import checked_address
from pss_kernel.identity.accounts.changes import invite, request_reset
from pss_kernel.identity.accounts.choosing import (
    hash_new_password,
    keep_password,
    no_sooner_than,
)
from pss_kernel.identity.accounts.events import (
    PasswordChanged,
    RegistrationRepeated,
    RegistrationRequested,
)
from pss_kernel.identity.accounts.links import (
    end_links,
    link_not_usable,
    look_at_link,
    sent_lately,
    use_link,
)
from pss_kernel.identity.accounts.store import account_by_email
from pss_kernel.identity.accounts.views import Email, LinkToken, Name, Password, Received
from pss_kernel.identity.sessions.ending import end_sessions
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.persistence import UnitOfWork, Work

__all__ = [
    "accept_invitation",
    "confirm_address",
    "confirm_reset",
    "register_account",
    "request_password_reset",
]

_SAME_SECONDS = 0.25
"""How long it takes to ask for a mail, whether or not one is sent."""

_CONFIRM = """
UPDATE account a SET email = new_email, email_key = new_email_key, new_email = NULL,
  new_email_key = NULL, email_verified_at = now(), changed_at = now()
WHERE account_id = $1 AND new_email_key = $2
  AND NOT EXISTS (SELECT FROM account b WHERE b.email_key = a.new_email_key)
RETURNING account_id
"""


class NewPassword(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token of a link, and the password that shall be."""

    token: LinkToken
    password: Password


class LinkOnly(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The token of a link."""

    token: LinkToken


class WhoseReset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whoever has forgotten the password."""

    email: Email


class NewRegistration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody outside the staff who wants an account."""

    email: Email
    name: Name


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """It was done; sign in now."""

    status: Literal["done"] = "done"
    account_id: str


@plugin.post(
    "/account-links/acceptances",
    permission="identity:self",
    status=200,
    confidential=True,
    limit="sign-in",
)
async def accept_invitation(work: Work, data: NewPassword) -> Done:
    """Accept an invitation, or confirm a registration, by choosing a password."""
    async with work.begin() as uow:
        account = await look_at_link(uow, data.token, "invitation")
    password_hash = await hash_new_password(work, account, data.password)
    async with work.begin() as uow:
        account, _ = await use_link(uow, data.token, "invitation")
        if account.state != "invited":
            raise link_not_usable()
        await keep_password(uow, account.account_id, password_hash, by_mail=True)
        await end_links(uow, account.account_id)
        uow.audit("account.accepted", account.account_id)
        done = Done(account_id=account.account_id)
        await work.answer(uow, done)
    return done


@plugin.post(
    "/account-links/verifications",
    permission="identity:self",
    status=200,
    confidential=True,
    limit="sign-in",
)
async def confirm_address(uow: UnitOfWork, data: LinkOnly) -> Done:
    """Confirm a new e-mail address, which takes the place of the one before."""
    account, key = await use_link(uow, data.token, "verification")
    async with uow.acting(IDENTITY):
        if not await uow.hot(_CONFIRM, account.account_id, key):
            raise Conflict(
                "Somebody has another account with this e-mail address.", code="email-taken"
            )
    await end_links(uow, account.account_id)
    uow.audit("account.email-changed", account.account_id)
    return Done(account_id=account.account_id)


@plugin.post(
    "/password-resets", permission="identity:self", status=202, confidential=True, limit="mail"
)
async def request_password_reset(work: Work, data: WhoseReset) -> Received:
    """Ask for a mail with a link to a new password.

    The answer is the same, and takes as long, whether or not there is such an account. A lock after
    wrong passwords doesn't matter here.
    """
    work.installation.mailer.refuse_unconfigured()
    async with no_sooner_than(_SAME_SECONDS), work.begin() as uow:
        account = await account_by_email(uow, data.email)
        if account is not None and not await sent_lately(uow, account.account_id, "reset"):
            await request_reset(uow, account)
        received = Received()
        await work.answer(uow, received)
    return received


@plugin.post(
    "/password-resets/confirm",
    permission="identity:self",
    status=200,
    confidential=True,
    limit="sign-in",
)
async def confirm_reset(work: Work, data: NewPassword) -> Done:
    """Set a new password; all sessions of the account end, and so does a lock."""
    async with work.begin() as uow:
        account = await look_at_link(uow, data.token, "reset")
    password_hash = await hash_new_password(work, account, data.password)
    async with work.begin() as uow:
        account, _ = await use_link(uow, data.token, "reset")
        await keep_password(uow, account.account_id, password_hash, by_mail=True)
        await end_links(uow, account.account_id)
        await end_sessions(uow, account.account_id, "password-reset")
        uow.audit("account.password-reset", account.account_id)
        uow.emit(PasswordChanged(account_id=account.account_id), stream=account.account_id)
        done = Done(account_id=account.account_id)
        await work.answer(uow, done)
    return done


@plugin.post(
    "/registrations", permission="identity:self", status=202, confidential=True, limit="mail"
)
async def register_account(work: Work, data: NewRegistration) -> Received:
    """Ask for an account, where people outside the staff may have one.

    The answer is the same, and takes as long, whether or not there is such an account: a mail with
    a link, or one that says so, goes to the address.
    """
    if not work.settings(IdentitySettings).self_registration:
        raise NotFound("There are no accounts for guests here.", code="registration-not-offered")
    work.installation.mailer.refuse_unconfigured()
    checked_address(data.email)
    async with no_sooner_than(_SAME_SECONDS), work.begin() as uow:
        await _register(uow, data)
        received = Received()
        await work.answer(uow, received)
    return received


async def _register(uow: UnitOfWork, data: NewRegistration) -> None:
    account = await account_by_email(uow, data.email)
    if account is None:
        account = await invite(
            uow, email=data.email, name=data.name, kind="passenger", by_mail=False
        )
        uow.emit(RegistrationRequested(account_id=account.account_id), stream=account.account_id)
    elif await sent_lately(uow, account.account_id, "invitation"):
        return
    elif account.state == "active":
        uow.emit(RegistrationRepeated(account_id=account.account_id), stream=account.account_id)
    elif account.state == "invited" and account.kind == "passenger":
        uow.emit(RegistrationRequested(account_id=account.account_id), stream=account.account_id)
