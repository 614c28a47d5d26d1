"""What is written to people about their accounts.

The token of a link stands behind a ``#``: no browser sends it to a server, so that it gets into no
log, and the page gives it to the interface in the body of a POST.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from pss_kernel.config import host_of
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.mail import Letter

if TYPE_CHECKING:
    from pss_kernel.identity.accounts.links import Purpose
    from pss_kernel.identity.accounts.store import Account
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = [
    "email_change",
    "email_change_notice",
    "invitation",
    "link_to",
    "password_notice",
    "registration",
    "registration_repeated",
    "reset",
]

_PAGES: dict[Purpose, str] = {
    "invitation": "invitation",
    "reset": "password-reset",
    "verification": "verification",
}
_NOT_ASKED = "If you didn't expect this, you need do nothing: nobody gets in without this mail."


def link_to(installation: Installation, tenant: Tenant, purpose: Purpose, token: str) -> str:
    """The page of the tenant that the link is for, with the token where no server sees it."""
    base = installation.settings_of(tenant, IdentitySettings).links_url
    if not base and tenant.domains:
        base = f"https://{tenant.domains[0]}"
    elif not base:
        domain = installation.config.base_domain
        scheme = "http" if domain == "localhost" else "https"
        base = f"{scheme}://{host_of(tenant.code, domain)}"
    return f"{base.rstrip('/')}/account/{_PAGES[purpose]}#token={quote(token, safe='')}"


def invitation(tenant: Tenant, account: Account, url: str, days: int) -> Letter:
    """To somebody who shall have an account."""
    return Letter(
        account.email,
        tenant.name,
        f"Your account at {tenant.name}",
        [
            (
                f"Hello {account.name}, you have been invited to an account at {tenant.name}. "
                "Choose a password to begin."
            ),
            f"The link can be used once, within {days} day{'s' if days != 1 else ''}.",
            _NOT_ASKED,
        ],
        ("Accept the invitation", url),
    )


def registration(tenant: Tenant, account: Account, url: str, days: int) -> Letter:
    """To somebody who has asked for an account; without the name, which anybody may have typed."""
    return Letter(
        account.email,
        tenant.name,
        f"Your account at {tenant.name}",
        [
            (
                f"Somebody, hopefully you, asked for an account at {tenant.name} with this "
                "address. Confirm it by choosing a password."
            ),
            f"The link can be used once, within {days} day{'s' if days != 1 else ''}.",
            _NOT_ASKED,
        ],
        ("Choose a password", url),
    )


def registration_repeated(tenant: Tenant, account: Account) -> Letter:
    """To somebody who has asked for an account and has one."""
    return Letter(
        account.email,
        tenant.name,
        f"You already have an account at {tenant.name}",
        [
            (
                f"Somebody, hopefully you, asked for an account at {tenant.name} with this "
                "address. There is one already: sign in with it, or ask for a new password if you "
                "have forgotten yours."
            ),
            "If it wasn't you, you need do nothing.",
        ],
    )


def reset(tenant: Tenant, account: Account, url: str, minutes: int) -> Letter:
    """To somebody who has forgotten the password."""
    return Letter(
        account.email,
        tenant.name,
        f"A new password for {tenant.name}",
        [
            f"Somebody, hopefully you, asked for a new password for your account at {tenant.name}.",
            (
                f"The link can be used once, within {minutes} minutes. Whoever is signed in with "
                "your account is signed out when you have chosen the new password."
            ),
            _NOT_ASKED,
        ],
        ("Choose a new password", url),
    )


def email_change(tenant: Tenant, account: Account, url: str, hours: int) -> Letter:
    """To the new address of somebody."""
    assert account.new_email is not None
    return Letter(
        account.new_email,
        tenant.name,
        f"Confirm your address for {tenant.name}",
        [
            f"Somebody, hopefully you, wants to use this address for an account at {tenant.name}.",
            (
                f"The link can be used once, within {hours} hour{'s' if hours != 1 else ''}. Until "
                "then the former address stays."
            ),
            "If it wasn't you, you need do nothing.",
        ],
        ("Confirm the address", url),
    )


def email_change_notice(tenant: Tenant, account: Account) -> Letter:
    """To the address of somebody that shall be replaced."""
    return Letter(
        account.email,
        tenant.name,
        f"Your address at {tenant.name} is about to change",
        [
            (
                f"Somebody, hopefully you, wants to use another address for your account at "
                f"{tenant.name}. It changes when the new one has been confirmed."
            ),
            "If it wasn't you, change your password now and tell whoever runs your accounts.",
        ],
    )


def password_notice(tenant: Tenant, account: Account) -> Letter:
    """To somebody whose password has been changed."""
    return Letter(
        account.email,
        tenant.name,
        f"Your password at {tenant.name} was changed",
        [
            f"The password of your account at {tenant.name} was changed just now.",
            "If it wasn't you, ask for a new password at once and tell whoever runs your accounts.",
        ],
    )
