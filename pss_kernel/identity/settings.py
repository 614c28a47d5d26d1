"""How a tenant wants its people to sign in."""

from typing import Annotated

import msgspec

from pss_kernel.identity.sign_on.settings import SignOn
from pss_kernel.limits import RateLimits

__all__ = ["IdentitySettings"]

RoleName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}\Z")]
Domain = Annotated[
    str,
    msgspec.Meta(
        max_length=253,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z",
    ),
]
Origin = Annotated[
    str,
    msgspec.Meta(
        max_length=280,
        pattern=r"^(https://[a-z0-9.-]+|http://([a-z0-9-]+\.)*localhost)(:[0-9]{1,5})?\Z",
    ),
]


class IdentitySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of the plugin ``identity``."""

    limits: RateLimits = RateLimits()
    """How many requests it answers; see docs/gateway.md."""
    web_origins: Annotated[tuple[Origin, ...], msgspec.Meta(max_length=50)] = ()
    """Origins of web pages that may call the interface (CORS), beside the tenant's own domains."""

    second_factor_roles: Annotated[tuple[RoleName, ...], msgspec.Meta(max_length=100)] = (
        "super_admin",
        "admin",
    )
    """Roles whose people may do nothing without a second factor, but enrol one."""
    step_up_minutes: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    """For how long a second factor that was given allows what needs a fresh one."""
    passkey_domain: Domain | None = None
    """What passkeys are bound to (the relying party id): the domain of the pages where people
    sign in, or one above. None: the first of the tenant's own domains, else its host name here.
    Passkeys that were made for another one stop working."""
    passkey_origins: Annotated[tuple[Origin, ...], msgspec.Meta(max_length=20)] = ()
    """The addresses of those pages, exactly: ``https://staff.example.com``. Empty: the
    ``passkey_domain`` with ``https://``."""
    # --- accounts: see docs/accounts.md
    password_min_length: Annotated[int, msgspec.Meta(ge=8, le=64)] = 12
    """Characters that a password has at the least."""
    lockout_attempts: Annotated[int, msgspec.Meta(ge=3, le=100)] = 5
    """So many wrong passwords in a row lock an account (NIST SP 800-63B: at most 100)."""
    lockout_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 30
    """How long it is locked the first time; each further wrong password doubles it."""
    lockout_max_seconds: Annotated[int, msgspec.Meta(ge=1, le=86400)] = 3600
    """The longest that it is locked for."""
    invitation_days: Annotated[int, msgspec.Meta(ge=1, le=30)] = 7
    """How long the link of an invitation can be used."""
    reset_minutes: Annotated[int, msgspec.Meta(ge=5, le=1440)] = 30
    """How long the link for a new password can be used."""
    verification_hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 24
    """How long the link that confirms an e-mail address can be used."""
    links_url: Annotated[str, msgspec.Meta(max_length=200, pattern=r"^(https?://[^\s#?]+)?$")] = ""
    """Where the pages are that links in mails lead to; empty: the tenant's own first domain."""
    self_registration: bool = msgspec.field(default=False, name="passenger_accounts")
    """Whether people outside the staff may make accounts for themselves."""
    token_minutes: Annotated[int, msgspec.Meta(ge=1, le=60)] = 10
    """How long an access token lives."""
    session_idle_hours: Annotated[int, msgspec.Meta(ge=1, le=720)] = 12
    """Who has not been heard of for so long signs in again."""
    session_days: Annotated[int, msgspec.Meta(ge=1, le=90)] = 7
    """After so long everybody signs in again."""
    sign_on: SignOn | None = None
    """Single sign-on for staff at an OpenID Connect provider; see docs/single-sign-on.md."""
