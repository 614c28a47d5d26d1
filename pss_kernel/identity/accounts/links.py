"""Links that are sent by mail: what they carry is random, used once, and ends soon.

256 random bits, of which only a digest is kept. A link is good for the address that it went to: it
ends when the account has another one. A new link ends older ones for the same purpose.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pss_kernel.config import IDENTITY
from pss_kernel.errors import Gone
from pss_kernel.identity.accounts.addresses import email_key
from pss_kernel.identity.accounts.store import Account, account_of
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "Purpose",
    "end_links",
    "link_not_usable",
    "look_at_link",
    "make_link",
    "sent_lately",
    "use_link",
]

Purpose = Literal["invitation", "reset", "verification"]

_LOCK = "SELECT account_id FROM account WHERE account_id = $1 FOR UPDATE"
_END = """
UPDATE account_link SET used_at = now()
WHERE account_id = $1 AND used_at IS NULL AND ($2::text IS NULL OR purpose = $2)
"""
_MAKE = """
INSERT INTO account_link (digest, account_id, purpose, email_key, expires_at)
VALUES ($1, $2, $3, $4, now() + $5)
"""
_GOOD = """
    l.digest = $1 AND l.purpose = $2 AND l.used_at IS NULL AND l.expires_at > clock_timestamp()
AND a.account_id = l.account_id AND a.state <> 'disabled'
AND l.email_key IN (a.email_key, a.new_email_key)
"""
_LATELY = """
SELECT 1 FROM account_link
WHERE account_id = $1 AND purpose = $2 AND created_at > now() - interval '1 minute'
"""
_LOOK = f"SELECT l.account_id FROM account_link l, account a WHERE {_GOOD}"  # noqa: S608 - ours
_USE = f"""
UPDATE account_link l SET used_at = now() FROM account a WHERE {_GOOD}
RETURNING l.account_id, l.email_key
"""  # noqa: S608 - ours


async def make_link(uow: UnitOfWork, account: Account, purpose: Purpose, address: str) -> str:
    """The token of a new link to that address; the only time that it can be read."""
    settings = uow.settings(IdentitySettings)
    lasts = {
        "invitation": timedelta(days=settings.invitation_days),
        "reset": timedelta(minutes=settings.reset_minutes),
        "verification": timedelta(hours=settings.verification_hours),
    }[purpose]
    token = f"pss_link_{secrets.token_urlsafe(32)}"
    async with uow.acting(IDENTITY):
        await uow.hot(_LOCK, account.account_id)  # of two at once, the later one ends the other
        await uow.hot(_END, account.account_id, purpose)
        await uow.hot(_MAKE, _digest(token), account.account_id, purpose, email_key(address), lasts)
    return token


async def look_at_link(uow: UnitOfWork, token: str, purpose: Purpose) -> Account:
    """Whose link it is, without using it. Raises Gone."""
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_LOOK, _digest(token), purpose)
    if not rows:
        raise link_not_usable()
    return await account_of(uow, rows[0]["account_id"])


async def use_link(uow: UnitOfWork, token: str, purpose: Purpose) -> tuple[Account, str]:
    """Whose link it was, and the key of the address that it had gone to. Raises Gone."""
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_USE, _digest(token), purpose)
    if not rows:
        raise link_not_usable()
    return await account_of(uow, rows[0]["account_id"]), rows[0]["email_key"]


async def end_links(uow: UnitOfWork, account_id: str, purpose: Purpose | None = None) -> None:
    """Let the links of an account be of no use any more; all of them, or those for one purpose."""
    async with uow.acting(IDENTITY):
        await uow.hot(_END, account_id, purpose)


async def sent_lately(uow: UnitOfWork, account_id: str, purpose: Purpose) -> bool:
    """Whether such a link was sent within the last minute: nobody's mailbox is to be filled."""
    async with uow.acting(IDENTITY):
        return bool(await uow.hot(_LATELY, account_id, purpose))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def link_not_usable() -> Gone:
    """One answer for every link that is of no use."""
    return Gone(
        "This link can't be used: it is unknown, was used before, or its time is over.",
        code="link-not-usable",
        mend="Ask for a new one.",
    )
