"""Finding the account that somebody means, and ending its sessions before it is erased."""

from __future__ import annotations

from pss_kernel.identity import plugin
from pss_kernel.identity.accounts.addresses import email_key
from pss_kernel.identity.sessions.ending import end_sessions
from pss_kernel.persistence import UnitOfWork
from pss_kernel.personal.contracts import (
    ErasedData,
    PersonQuery,
    erase_personal_data,
    find_persons,
)

__all__ = ["end_their_sessions", "find_accounts"]

_ACCOUNT = "SELECT account_id FROM account WHERE email_key = $1 OR new_email_key = $1"


@plugin.hook(find_persons)
async def find_accounts(uow: UnitOfWork, persons: list[str], query: PersonQuery) -> list[str]:
    """Add the account with that e-mail address."""
    if query.email is None:
        return persons
    rows = await uow.hot(_ACCOUNT, email_key(query.email))
    return [*persons, *(row["account_id"] for row in rows)]


@plugin.hook(erase_personal_data)
async def end_their_sessions(
    uow: UnitOfWork, outcomes: list[ErasedData], persons: list[str], dry_run: bool
) -> list[ErasedData]:
    """Refuse within a second what was signed for them."""
    if not dry_run:
        for person in persons:
            if person.startswith("acc_"):
                await end_sessions(uow, person, "account-erased")
    return outcomes
