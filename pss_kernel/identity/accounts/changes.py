"""What is done to accounts by those who manage them; each change stands in the audit trail.

Names and addresses stay out of the trail: it can't be erased.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pss_kernel.config import IDENTITY
from pss_kernel.errors import Conflict
from pss_kernel.identity.accounts.addresses import checked_address
from pss_kernel.identity.accounts.authority import refuse_own, refuse_wider
from pss_kernel.identity.accounts.events import InvitationRequested, PasswordResetRequested
from pss_kernel.identity.accounts.links import end_links
from pss_kernel.identity.accounts.lockout import forget_attempts
from pss_kernel.identity.accounts.store import Account, account_of
from pss_kernel.identity.roles.escalation import check_roles, refuse_above
from pss_kernel.identity.sessions.ending import end_sessions, renew_tokens
from pss_kernel.ids import new_id

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "disable",
    "enable",
    "invite",
    "invite_again",
    "request_reset",
    "set_facts",
    "set_roles",
    "unlock",
]

_INSERT = """
INSERT INTO account (account_id, email, email_key, name, kind, roles, attributes, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8)
ON CONFLICT (email_key) DO NOTHING RETURNING account_id
"""
_ROLES = "UPDATE account SET roles = $2, changed_at = now() WHERE account_id = $1"
_FACTS = """
UPDATE account SET name = $2, attributes = $3::text::jsonb, changed_at = now()
WHERE account_id = $1
"""
_DISABLE = """
UPDATE account SET state = 'disabled', new_email = NULL, new_email_key = NULL, changed_at = now()
WHERE account_id = $1
"""
# As it was before: somebody who had never come in is still only invited.
_ENABLE = """
UPDATE account a SET changed_at = now(), state = CASE
  WHEN password_hash IS NULL AND email_verified_at IS NULL
    AND NOT EXISTS (SELECT FROM sign_on_link s WHERE s.account_id = a.account_id)
  THEN 'invited' ELSE 'active' END
WHERE account_id = $1
"""


async def invite(
    uow: UnitOfWork,
    *,
    email: str,
    name: str,
    roles: Sequence[str] = (),
    attributes: Mapping[str, Any] | None = None,
    kind: Literal["staff", "passenger"] = "staff",
    by_mail: bool = True,
) -> Account:
    """Make an account for somebody, who gets it by accepting the invitation that is sent.

    Raises Conflict (``email-taken``), Invalid, Forbidden (``role-above-own``).
    """
    address, key = checked_address(email)
    wanted = await check_roles(uow, roles, attributes or {})
    refuse_wider(uow, attributes or {})
    account_id = new_id("acc")
    facts = msgspec.json.encode(attributes or {}).decode()
    async with uow.acting(IDENTITY):
        made = await uow.hot(
            _INSERT, account_id, address, key, name, kind, wanted, facts, uow.actor.label
        )
    if not made:
        raise Conflict("Somebody has an account with this e-mail address.", code="email-taken")
    uow.audit("account.invited", account_id, after={"kind": kind, "roles": wanted})
    if by_mail:
        uow.emit(InvitationRequested(account_id=account_id), stream=account_id)
    return await account_of(uow, account_id)


async def invite_again(uow: UnitOfWork, account_id: str, *, by_mail: bool = True) -> Account:
    """Send the invitation once more; its earlier link ends. Raises Conflict, Forbidden."""
    account = await _changeable(uow, account_id)
    refuse_accepted(account)
    uow.audit("account.invited-again", account_id)
    if by_mail:
        uow.emit(InvitationRequested(account_id=account_id), stream=account_id)
    return account


def refuse_accepted(account: Account) -> None:
    """Raises Conflict where there is no open invitation."""
    if account.state != "invited":
        raise Conflict(
            "The invitation was accepted, or the account is disabled.",
            code="not-invited",
            mend="Somebody who has forgotten the password asks for a new one by mail.",
        )


async def request_reset(uow: UnitOfWork, account: Account, *, by_mail: bool = True) -> bool:
    """Send a link for a new password, where the account has a password and is in use."""
    if account.state != "active" or not account.has_password:
        return False
    uow.audit("account.password-reset-requested", account.account_id)
    if by_mail:
        uow.emit(PasswordResetRequested(account_id=account.account_id), stream=account.account_id)
    return True


async def set_roles(uow: UnitOfWork, account_id: str, roles: Sequence[str]) -> Account:
    """Give the account these roles and no others. Raises Forbidden, Invalid."""
    account = await _changeable(uow, account_id)
    refuse_own(uow, account)
    wanted = await check_roles(uow, roles, account.attributes)
    if wanted == list(account.roles):
        return account
    async with uow.acting(IDENTITY):
        await uow.hot(_ROLES, account_id, wanted)
    await renew_tokens(uow, account_id)
    uow.audit(
        "account.roles-changed",
        account_id,
        before={"roles": list(account.roles)},
        after={"roles": wanted},
    )
    return await account_of(uow, account_id)


async def set_facts(
    uow: UnitOfWork,
    account_id: str,
    *,
    name: str | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Account:
    """Change the name, or all attributes at once; None leaves them. Raises Forbidden."""
    account = await _changeable(uow, account_id)
    if attributes is not None:
        refuse_own(uow, account)  # data rules look at them
        refuse_wider(uow, attributes)
    given = account.attributes if attributes is None else attributes
    facts = msgspec.json.encode(given).decode()
    async with uow.acting(IDENTITY):
        await uow.hot(_FACTS, account_id, account.name if name is None else name, facts)
    if given != account.attributes:
        await renew_tokens(uow, account_id)
    uow.audit(
        "account.changed",
        account_id,
        before={"attributes": account.attributes},
        after={"attributes": given, "renamed": name not in {None, account.name}},
    )
    return await account_of(uow, account_id)


async def disable(uow: UnitOfWork, account_id: str, *, reason: str = "") -> Account:
    """Let the account be of no use: sessions and links end. Raises Forbidden."""
    account = await _changeable(uow, account_id)
    refuse_own(uow, account)
    if account.state == "disabled":
        return account
    async with uow.acting(IDENTITY):
        await uow.hot(_DISABLE, account_id)
    await end_sessions(uow, account_id, "account-disabled")
    await end_links(uow, account_id)
    uow.audit("account.disabled", account_id, before={"state": account.state}, reason=reason)
    return await account_of(uow, account_id)


async def enable(uow: UnitOfWork, account_id: str) -> Account:
    """Let a disabled account be used again. Raises Forbidden."""
    account = await _changeable(uow, account_id)
    refuse_own(uow, account)
    if account.state != "disabled":
        return account
    async with uow.acting(IDENTITY):
        await uow.hot(_ENABLE, account_id)
    enabled = await account_of(uow, account_id)
    uow.audit("account.enabled", account_id, after={"state": enabled.state})
    return enabled


async def unlock(uow: UnitOfWork, account_id: str) -> Account:
    """Forget wrong passwords; the next one is looked at again. Raises Forbidden."""
    account = await _changeable(uow, account_id)
    async with uow.acting(IDENTITY):
        await forget_attempts(uow, account_id)
    uow.audit(
        "account.unlocked",
        account_id,
        before={
            "failed_attempts": account.failed_attempts,
            "refused_attempts": account.refused_attempts,
        },
    )
    return await account_of(uow, account_id)


async def _changeable(uow: UnitOfWork, account_id: str) -> Account:
    """The account, unless it may more than whoever wants to change it. Raises NotFound."""
    account = await account_of(uow, account_id)
    await refuse_above(uow, account.roles, account.attributes)
    return account
