"""Telling people that their second factors have changed."""

from __future__ import annotations

from pss_kernel.errors import NotFound
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.factors.events import SecondFactorChanged
from pss_kernel.identity.factors.letters import factor_notice
from pss_kernel.persistence import Work

__all__ = ["send_factor_notice"]


@plugin.on(SecondFactorChanged)
async def send_factor_notice(work: Work, event: SecondFactorChanged) -> None:
    """To whoever's they are, where the account is still in use."""
    try:
        async with work.begin() as uow:
            account = await account_of(uow, event.account_id)
    except NotFound:
        return
    if account.state == "active":
        letter = factor_notice(work.tenant, account, event.change)
        await work.installation.mailer.send(letter, tenant=work.tenant.code)
