"""Sending what events ask for.

A link is made here and nowhere before, so that its token stands in no event and no outbox: only in
the mail. A mail that could not be sent is tried again with a new link; the one before has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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

_NEEDED_BY = {"invitation": "invited", "reset": "active", "verification": "active"}
"""The state of the accounts that a link is of use to."""


@plugin.on(InvitationRequested)
async def send_invitation(work: Work, event: InvitationRequested) -> None:
    """To whoever has not accepted it yet."""
    days = work.settings(IdentitySettings).invitation_days
    letter = partial(letters.invitation, work.tenant, days=days)
    await _send_link(work, event.account_id, "invitation", letter)


@plugin.on(RegistrationRequested)
async def send_registration(work: Work, event: RegistrationRequested) -> None:
    """To whoever has not confirmed it yet."""
    days = work.settings(IdentitySettings).invitation_days
    letter = partial(letters.registration, work.tenant, days=days)
    await _send_link(work, event.account_id, "invitation", letter)


@plugin.on(RegistrationRepeated)
async def send_registration_repeated(work: Work, event: RegistrationRepeated) -> None:
    """To whoever has an account."""
    account = await _account(work, event.account_id)
    if account is not None and account.state == "active":
        await _send(work, letters.registration_repeated(work.tenant, account))


@plugin.on(PasswordResetRequested)
async def send_reset(work: Work, event: PasswordResetRequested) -> None:
    """To whoever can use it."""
    minutes = work.settings(IdentitySettings).reset_minutes
    letter = partial(letters.reset, work.tenant, minutes=minutes)
    await _send_link(work, event.account_id, "reset", letter)


@plugin.on(EmailChangeRequested)
async def send_email_change(work: Work, event: EmailChangeRequested) -> None:
    """To the new address, unless another one was asked for meanwhile."""
    hours = work.settings(IdentitySettings).verification_hours
    letter = partial(letters.email_change, work.tenant, hours=hours)
    await _send_link(work, event.account_id, "verification", letter)


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


async def _send_link(
    work: Work, account_id: str, purpose: Purpose, letter: Callable[[Account, str], Letter]
) -> None:
    """Send a letter with a new link, where somebody still needs it."""
    work.installation.mailer.refuse_unconfigured()
    account = await _account(work, account_id)
    if account is None or account.state != _NEEDED_BY[purpose]:
        return
    address = account.new_email if purpose == "verification" else account.email
    if address is None:
        return
    async with work.begin() as uow:
        token = await make_link(uow, account, purpose, address)
    url = letters.link_to(work.installation, work.tenant, purpose, token)
    await _send(work, letter(account, url))


async def _send(work: Work, letter: Letter) -> None:
    await work.installation.mailer.send(letter, tenant=work.tenant.code)
