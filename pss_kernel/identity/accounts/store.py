"""Accounts in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import asyncpg

from pss_kernel.config import IDENTITY
from pss_kernel.errors import NotFound
from pss_kernel.identity.accounts.addresses import email_key

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "ACCOUNT_COLUMNS",
    "Account",
    "account_by_email",
    "account_from",
    "account_of",
    "accounts_page",
]

ACCOUNT_COLUMNS = """account_id, email, name, kind, state, roles, attributes, failed_attempts,
  refused_attempts, locked_until, new_email, signed_in_at, created_at, created_by, changed_at,
  password_hash IS NOT NULL AS has_password, password_changed_at, email_verified_at"""
_BY_ID = f"SELECT {ACCOUNT_COLUMNS} FROM account WHERE account_id = $1"  # noqa: S608 - ours
_PAGE = f"""
SELECT {ACCOUNT_COLUMNS} FROM account
WHERE account_id > $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR kind = $3)
ORDER BY account_id LIMIT $4
"""  # noqa: S608 - the columns are ours
_BY_KEY = f"SELECT {ACCOUNT_COLUMNS} FROM account WHERE email_key = $1"  # noqa: S608 - ours


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in, or will when the invitation has been accepted."""

    account_id: str
    email: str
    name: str
    kind: Literal["staff", "passenger"]
    state: Literal["invited", "active", "disabled"]
    roles: tuple[str, ...]
    attributes: Mapping[str, Any]
    """Facts that data rules look at: ``{"station": ["VIE"]}``."""
    has_password: bool
    """Not where single sign-on is the only way in, or before the invitation was accepted."""
    failed_attempts: int
    """Wrong passwords since the last right one."""
    refused_attempts: int
    """Passwords that were not looked at, as the account was locked."""
    locked_until: datetime | None
    new_email: str | None
    """An address that takes the place of ``email`` once it has been confirmed."""
    email_verified_at: datetime | None
    password_changed_at: datetime | None
    signed_in_at: datetime | None
    created_at: datetime
    created_by: str
    changed_at: datetime


def account_from(row: asyncpg.Record) -> Account:
    """The account that a row with ``ACCOUNT_COLUMNS`` tells of."""
    facts = {name: row[name] for name in Account.__slots__}
    return Account(**facts | {"roles": tuple(row["roles"])})


async def account_of(uow: UnitOfWork, account_id: str) -> Account:
    """The account with that id. Raises NotFound."""
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_BY_ID, account_id)
    if not rows:
        raise NotFound(f"There is no account {account_id[:40]!r}.")
    return account_from(rows[0])


async def account_by_email(uow: UnitOfWork, email: str) -> Account | None:
    """The account with that e-mail address, however it is written."""
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_BY_KEY, email_key(email))
    return account_from(rows[0]) if rows else None


async def accounts_page(
    uow: UnitOfWork,
    *,
    state: str | None = None,
    kind: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> list[Account]:
    """Accounts in the order in which they were made, from the one behind ``after`` on."""
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_PAGE, after or "", state, kind, limit)
    return [account_from(row) for row in rows]
