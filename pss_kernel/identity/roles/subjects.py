"""Whose rights are asked about: a guest, the holder of an account, or of an API key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pss_kernel.errors import NotFound
from pss_kernel.identity.accounts.store import account_by_email, account_of

if TYPE_CHECKING:
    from pss_kernel.auth import ApiKey
    from pss_kernel.identity.accounts.store import Account
    from pss_kernel.persistence import UnitOfWork

__all__ = ["Subject", "find_subject", "subject_of_account", "subject_of_key"]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose rights are asked about; ``barred`` and ``notes`` are sentences about the subject."""

    kind: Literal["guest", "user", "key"]
    id: str = ""
    name: str = ""
    roles: tuple[str, ...] = ()
    scopes: frozenset[str] = frozenset()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    barred: tuple[str, ...] = ()
    """Why it can't do anything at all now."""
    notes: tuple[str, ...] = ()


async def find_subject(uow: UnitOfWork, who: str) -> Subject:
    """The one that an e-mail address, the id of an account or of a key, or ``guest`` means.

    Raises NotFound, also for a key that was revoked: nothing is left of its rights.
    """
    if who == "guest":
        return Subject("guest")
    if "@" in who:
        account = await account_by_email(uow, who)
        if account is None:
            raise NotFound(f"There is no account with the address {who[:80]!r}.")
        return subject_of_account(account, await uow.now())
    if who.startswith("acc_"):
        return subject_of_account(await account_of(uow, who), await uow.now())
    key = uow.installation.directory.key(who)
    if key is None or key.tenant != uow.tenant.code:
        raise NotFound(
            f"There is no account and no key {who[:40]!r} here.",
            mend="Give an e-mail address, the id of an account or of a key, or 'guest'.",
        )
    return subject_of_key(key)


def subject_of_account(account: Account, now: datetime) -> Subject:
    """The holder of an account, and whether it can be used."""
    barred, notes = [], []
    if account.state == "disabled":
        barred.append("The account is disabled.")
    elif account.state == "invited":
        barred.append("The invitation has not been accepted yet.")
    if account.locked_until is not None and account.locked_until > now:
        notes.append(
            f"The account is locked until {account.locked_until:%Y-%m-%d %H:%M:%S} UTC after "
            f"{account.failed_attempts} wrong passwords: nobody can sign in to it, and sessions "
            "that are open go on."
        )
    return Subject(
        "user",
        account.account_id,
        account.email,
        account.roles,
        attributes=account.attributes,
        barred=tuple(barred),
        notes=tuple(notes),
    )


def subject_of_key(key: ApiKey) -> Subject:
    """The holder of an API key."""
    barred = ("The key has expired.",) if key.expired else ()
    return Subject("key", key.key_id, key.name or key.key_id, scopes=key.scopes, barred=barred)
