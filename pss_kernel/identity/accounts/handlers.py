"""Sending what events ask for.

A link is made here and nowhere before, so that its token stands in no event and no outbox: only in
the mail. A mail that could not be sent is tried again with a new link; the one before has ended.
"""

from __future__ import annotations

from pss_kernel.errors import NotFound
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts import letters
from pss_kernel.identity.accounts.events import (
    EmailChangeRequested,
    InvitationRequested,
    PasswordChanged,
    PasswordResetRequested,
    RegistrationRepeated,
    RegistrationRequested,
)
from pss_kernel.identity.accounts.links import Purpose, make_link
from pss_kernel.identity.accounts.store import Account, account_of
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.mail import Letter
from pss_kernel.persistence import Work

__all__: list[str] = []


@plugin.on(InvitationRequested)
async def send_invitation(work: Work, event: InvitationRequested) -> None:
    """To whoever has not accepted it yet."""
    found = await _with_link(work, event.account_id, "invitation", states={"invited"})
    if found is not None:
        account, token = found
        days = work.settings(IdentitySettings).invitation_days
        await _send(
            work,
            letters.invitation(work.tenant, account, _url(work, "invitation", token), days),
        )


@plugin.on(RegistrationRequested)
async def send_registration(work: Work, event: RegistrationRequested) -> None:
    """To whoever has not confirmed it yet."""
    found = await _with_link(work, event.account_id, "invitation", states={"invited"})
    if found is not None:
        account, token = found
        days = work.settings(IdentitySettings).invitation_days
        await _send(
            work,
            letters.registration(work.tenant, account, _url(work, "invitation", token), days),
        )


@plugin.on(RegistrationRepeated)
async def send_registration_repeated(work: Work, event: RegistrationRepeated) -> None:
    """To whoever has an account."""
    account = await _account(work, event.account_id)
    if account is not None and account.state == "active":
        await _send(work, letters.registration_repeated(work.tenant, account))


@plugin.on(PasswordResetRequested)
async def send_reset(work: Work, event: PasswordResetRequested) -> None:
    """To whoever can use it."""
    found = await _with_link(work, event.account_id, "reset", states={"active"})
    if found is not None:
        account, token = found
        minutes = work.settings(IdentitySettings).reset_minutes
        await _send(
            work,
            letters.reset(work.tenant, account, _url(work, "password-reset", token), minutes),
        )


@plugin.on(EmailChangeRequested)
async def send_email_change(work: Work, event: EmailChangeRequested) -> None:
    """To the new address, unless another one was asked for meanwhile."""
    found = await _with_link(work, event.account_id, "verification", states={"active"})
    if found is not None:
        account, token = found
        assert account.new_email is not None
        hours = work.settings(IdentitySettings).verification_hours
        url = _url(work, "verification", token)
        await _send(work, letters.email_change(work.tenant, account.new_email, url, hours))


@plugin.on(EmailChangeRequested)
async def send_email_change_notice(work: Work, event: EmailChangeRequested) -> None:
    """To the address that is to be replaced."""
    account = await _account(work, event.account_id)
    if account is not None and account.new_email is not None:
        await _send(work, letters.email_change_notice(work.tenant, account))


@plugin.on(PasswordChanged)
async def send_password_notice(work: Work, event: PasswordChanged) -> None:
    """To whoever's it is."""
    account = await _account(work, event.account_id)
    if account is not None and account.state == "active":
        await _send(work, letters.password_notice(work.tenant, account))


async def _account(work: Work, account_id: str) -> Account | None:
    """The account, where it is still there."""
    try:
        async with work.begin() as uow:
            return await account_of(uow, account_id)
    except NotFound:
        return None


async def _with_link(
    work: Work, account_id: str, purpose: Purpose, *, states: set[str]
) -> tuple[Account, str] | None:
    """The account and the token of a new link; None where nobody needs it any more."""
    work.installation.mailer.refuse_unconfigured()
    account = await _account(work, account_id)
    if account is None or account.state not in states:
        return None
    address = account.new_email if purpose == "verification" else account.email
    if address is None:
        return None
    async with work.begin() as uow:
        return account, await make_link(uow, account, purpose, address)


def _url(work: Work, page: str, token: str) -> str:
    return letters.link_to(work.installation, work.tenant, page, token)


async def _send(work: Work, letter: Letter) -> None:
    await work.installation.mailer.send(letter, tenant=work.tenant.code)
