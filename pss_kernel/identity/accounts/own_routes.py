"""What people do with their own account."""

from __future__ import annotations

import msgspec

from pss_kernel.config import IDENTITY
from pss_kernel.errors import FieldError, Forbidden, Invalid, Unauthorised
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts.addresses import checked_address
from pss_kernel.identity.accounts.authority import signed_in
from pss_kernel.identity.accounts.choosing import hash_new_password, keep_password
from pss_kernel.identity.accounts.events import EmailChangeRequested, PasswordChanged
from pss_kernel.identity.accounts.links import end_links
from pss_kernel.identity.accounts.passwords import check_password
from pss_kernel.identity.accounts.store import Account, account_of
from pss_kernel.identity.accounts.views import AccountView, Email, Name, Password, account_view
from pss_kernel.identity.sessions.ending import end_sessions
from pss_kernel.persistence import Work

__all__ = ["change_own_account", "change_own_password"]

_NAME = "UPDATE account SET name = $2, changed_at = now() WHERE account_id = $1"
_EMAIL = """
UPDATE account SET new_email = $2, new_email_key = $3, changed_at = now() WHERE account_id = $1
"""


class OwnPassword(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The password that was, and the one that shall be."""

    current_password: Password
    new_password: Password


class OwnChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What shall be different; what is left out stays."""

    name: Name | None = None
    email: Email | None = None
    password: Password | None = None
    """The current one, needed for another address."""


@plugin.put("/me/password", permission="identity:self", limit="sign-in")
async def change_own_password(work: Work, data: OwnPassword) -> AccountView:
    """Change the own password; all other sessions end."""
    account = await _own(work)
    await _prove(work, account, data.current_password, "/current_password")
    password_hash = await hash_new_password(
        work, account, data.new_password, pointer="/new_password"
    )
    async with work.begin() as uow:
        await keep_password(uow, account.account_id, password_hash, by_mail=False)
        await end_links(uow, account.account_id, "reset")
        await end_sessions(
            uow, account.account_id, "password-changed", except_session=uow.actor.session
        )
        uow.audit("account.password-changed", account.account_id)
        uow.emit(PasswordChanged(account_id=account.account_id), stream=account.account_id)
        return account_view(await account_of(uow, account.account_id))


@plugin.patch("/me", permission="identity:self")
async def change_own_account(work: Work, data: OwnChange) -> AccountView:
    """Change the own name or e-mail address.

    A new address needs the password, and counts once the link that is sent to it has been used.
    """
    account = await _own(work)
    address = None
    if data.email is not None:
        work.installation.mailer.refuse_unconfigured()
        address = checked_address(data.email)
        await _prove(work, account, data.password or "", "/password")
    async with work.begin() as uow, uow.acting(IDENTITY):
        if data.name is not None:
            await uow.hot(_NAME, account.account_id, data.name)
            uow.audit("account.changed", account.account_id, after={"renamed": True})
        if address is not None:
            await uow.hot(_EMAIL, account.account_id, *address)
            uow.audit("account.email-change-requested", account.account_id)
            uow.emit(EmailChangeRequested(account_id=account.account_id), stream=account.account_id)
        return account_view(await account_of(uow, account.account_id))


async def _own(work: Work) -> Account:
    """The account of whoever asks. Raises Unauthorised, Forbidden for a key."""
    account_id = signed_in(work.actor)
    async with work.begin() as uow:
        return await account_of(uow, account_id)


async def _prove(work: Work, account: Account, password: str, pointer: str) -> None:
    """Check the current password. Raises Invalid, Forbidden where the account has none.

    A wrong one counts as at signing in: with a session that somebody left open, nobody guesses.
    """
    if not account.has_password:
        raise Forbidden(
            "This account has no password: whoever signs it in keeps its address.",
            code="no-password",
        )
    try:
        await check_password(work, account.email, password)
    except Unauthorised as error:
        detail = "It is not the current password, or there were too many wrong ones."
        raise Invalid(
            "The current password is needed for this.",
            code="wrong-password",
            errors=[FieldError(pointer=pointer, detail=detail, code="wrong-password")],
        ) from error
