"""How a tenant's staff sign in at its identity provider."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pss_kernel.keys._secret import Secret

__all__ = ["SignOn"]

_Url = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^https?://[^\s?#]+\Z")]
_Role = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_-]{0,62}\Z")]
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]


class SignOn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The setting ``sign_on`` of the plugin ``identity``."""

    issuer: _Url
    """The provider's issuer identifier, exactly as its discovery document says it."""
    client_id: _Text
    """What the provider knows this tenant as."""
    client_secret: Secret | None = None
    """None: a public client, protected by PKCE alone."""
    redirect_uris: Annotated[tuple[_Url, ...], msgspec.Meta(min_length=1, max_length=20)]
    """The pages that the provider may send people back to; the first where none is named."""
    scopes: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=20)] = (
        "openid",
        "email",
        "profile",
    )
    """What is asked for; ``openid`` always is."""
    email_domains: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=100)] = ()
    """Only people with a verified address in one of these domains; empty: whatever the domain."""
    create_accounts: bool = False
    """Whether somebody without an account gets one; else they must have been invited."""
    default_roles: Annotated[tuple[_Role, ...], msgspec.Meta(max_length=50)] = ()
    """Roles of accounts that are made, or that the provider's roles are added to."""
    role_claim: str = ""
    """The claim of the ID token that lists groups or roles, whose nested names are parted by
    dots; empty: roles are given here, by people."""
    role_mapping: dict[_Text, _Role] = msgspec.field(default_factory=dict)
    """Which role a value of that claim gives; other values give none."""
    trust_second_factor: bool = False
    """Whether a second factor that the provider has asked for counts here."""
    second_factor_acr: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=20)] = ()
    """With that: values of the claim ``acr`` that mean two factors, beside ``mfa`` in ``amr``."""
    only: bool = False
    """Whether staff may not sign in with a password any more."""
