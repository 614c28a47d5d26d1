"""Whose account an identity at the provider is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import structlog

from pss_kernel.auth._rights import LEVELS
from pss_kernel.errors import Forbidden, Invalid
from pss_kernel.identity.accounts.addresses import checked_address
from pss_kernel.identity.accounts.store import Account, account_by_email, account_of
from pss_kernel.identity.roles.escalation import assignable
from pss_kernel.identity.sessions.ending import renew_tokens
from pss_kernel.ids import new_id

if TYPE_CHECKING:
    from pss_kernel.identity.sign_on.settings import SignOn
    from pss_kernel.persistence import UnitOfWork

__all__ = ["account_for", "methods_of", "roles_of"]

_log = structlog.get_logger("pss.identity")

_LINKED = "SELECT account_id FROM sign_on_link WHERE issuer = $1 AND subject = $2"
_LINK = """
INSERT INTO sign_on_link (issuer, subject, account_id) VALUES ($1, $2, $3)
ON CONFLICT (issuer, subject) DO NOTHING RETURNING account_id
"""
_MAKE = """
INSERT INTO account (account_id, email, email_key, name, kind, state, roles, email_verified_at,
                     created_by)
VALUES ($1, $2, $3, $4, 'staff', 'active', $5, now(), 'sign-on')
ON CONFLICT (email_key) DO NOTHING RETURNING account_id
"""
_ACTIVE = """
UPDATE account SET state = 'active', email_verified_at = coalesce(email_verified_at, now()),
  changed_at = now()
WHERE account_id = $1 AND state = 'invited' RETURNING account_id
"""
_ROLES = "UPDATE account SET roles = $2, changed_at = now() WHERE account_id = $1"
_LONGEST_NAME = 200
# RFC 8176, section 2: what a provider may say that we hand on.
_METHODS = {
    *("face", "fpt", "geo", "hwk", "iris", "kba", "mca", "mfa", "otp", "pin", "pop", "pwd"),
    *("rba", "retina", "sc", "sms", "swk", "tel", "user", "vbm", "wia"),
}


async def account_for(uow: UnitOfWork, sign_on: SignOn, claims: Mapping[str, Any]) -> Account:
    """The account of whom the provider vouches for; linked by issuer and subject for ever.

    An address leads to an account once, and only where the provider has verified it: whoever may
    write any address into the provider's directory could take any account otherwise. Raises
    Forbidden (``no-account``, ``account-disabled``, ``email-not-allowed``).
    """
    _check_domain(sign_on, claims)
    rows = await uow.hot(_LINKED, sign_on.issuer, claims["sub"])
    if rows:
        account = await account_of(uow, rows[0]["account_id"])
    else:
        account = await _found_by_address(uow, sign_on, claims)
        await _link(uow, sign_on, claims, account)
    if account.kind != "staff" or account.state == "disabled":
        raise Forbidden("This account may not be used.", code="account-disabled")
    if account.state == "invited" and await uow.hot(_ACTIVE, account.account_id):
        uow.audit("account.accepted", account.account_id)
    return await _with_roles(uow, sign_on, claims, account)


async def _found_by_address(uow: UnitOfWork, sign_on: SignOn, claims: Mapping[str, Any]) -> Account:
    email = _verified(claims)
    account = await account_by_email(uow, email) if email else None
    if account is not None:
        return account
    if email and sign_on.create_accounts:
        return await _made(uow, sign_on, claims, email)
    raise Forbidden(
        "You have no account here.", code="no-account", mend="Ask an administrator to invite you."
    )


async def _link(
    uow: UnitOfWork, sign_on: SignOn, claims: Mapping[str, Any], account: Account
) -> None:
    if account.kind != "staff" or account.state == "disabled":
        raise Forbidden("This account may not be used.", code="account-disabled")
    if await uow.hot(_LINK, sign_on.issuer, claims["sub"], account.account_id):
        uow.audit("sign-on.linked", account.account_id, after={"issuer": sign_on.issuer})


async def _made(uow: UnitOfWork, sign_on: SignOn, claims: Mapping[str, Any], email: str) -> Account:
    try:
        address, key = checked_address(email)
    except Invalid as error:
        raise Forbidden("The provider gives no usable address.", code="no-account") from error
    name = claims.get("name")
    name = name[:_LONGEST_NAME] if isinstance(name, str) and name.isprintable() else address
    account_id, roles = new_id("acc"), await _given_roles(uow, sign_on, claims)
    if not await uow.hot(_MAKE, account_id, address, key, name, roles):
        raise Forbidden("Sign in once more.", code="no-account", retryable=True)
    uow.audit("account.created", account_id, after={"kind": "staff", "roles": roles})
    return await account_of(uow, account_id)


async def _with_roles(
    uow: UnitOfWork, sign_on: SignOn, claims: Mapping[str, Any], account: Account
) -> Account:
    """The account with the roles that the provider says, where it is the one to say them."""
    if not sign_on.role_claim:
        return account
    roles = await _given_roles(uow, sign_on, claims)
    if sorted(account.roles) == roles:
        return account
    await uow.hot(_ROLES, account.account_id, roles)
    await renew_tokens(uow, account.account_id)
    uow.audit(
        "account.roles-changed",
        account.account_id,
        before={"roles": list(account.roles)},
        after={"roles": roles},
        reason="as the identity provider says",
    )
    return await account_of(uow, account.account_id)


async def _given_roles(uow: UnitOfWork, sign_on: SignOn, claims: Mapping[str, Any]) -> list[str]:
    """Those of the roles that there are, and none of them is deleted until this ends.

    A name that means nothing now must not begin to mean something when somebody uses it.
    """
    tenant = await assignable(uow)
    roles = roles_of(sign_on, claims)
    given = [one for one in roles if one in LEVELS or one in tenant.roles]
    if given != roles:
        gone = sorted(set(roles) - set(given))
        _log.warning("sign_on_role_unknown", tenant=tenant.code, roles=gone)
    return given


def roles_of(sign_on: SignOn, claims: Mapping[str, Any]) -> list[str]:
    """The roles that somebody gets: the default ones and those of the claim's known values."""
    value: Any = claims if sign_on.role_claim else None
    for name in sign_on.role_claim.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    values = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    mapped = {
        sign_on.role_mapping[one]
        for one in values
        if isinstance(one, str) and one in sign_on.role_mapping
    }
    return sorted({*sign_on.default_roles, *mapped})


def methods_of(sign_on: SignOn, claims: Mapping[str, Any]) -> frozenset[str]:
    """How somebody has proved who it is (RFC 8176): elsewhere, and what is believed of that."""
    if not sign_on.trust_second_factor:
        return frozenset({"fed"})
    said = claims.get("amr")
    methods = {one for one in said if isinstance(one, str)} if isinstance(said, list) else set()
    if claims.get("acr") in sign_on.second_factor_acr:
        methods.add("mfa")
    return frozenset({"fed", *(methods & _METHODS)})


def _check_domain(sign_on: SignOn, claims: Mapping[str, Any]) -> None:
    """Raises Forbidden where only some domains are let in, and this is none of them."""
    if not sign_on.email_domains:
        return
    domain = _verified(claims).rpartition("@")[2].lower()
    if domain not in {one.lower() for one in sign_on.email_domains}:
        raise Forbidden("Your address is not one that may sign in here.", code="email-not-allowed")


def _verified(claims: Mapping[str, Any]) -> str:
    """The address, where the provider says that it is theirs; else empty."""
    email = claims.get("email")
    verified = claims.get("email_verified") is True
    return email if verified and isinstance(email, str) else ""
