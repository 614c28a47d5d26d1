"""What a browser is asked for, to make a passkey or to prove one, and on whose behalf.

A challenge is a row of ``sign_in_step``, used once within five minutes. Attestation is not asked
for: nothing here depends on who built the authenticator.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from pss_kernel.config import host_of
from pss_kernel.identity.factors.steps import begin_step
from pss_kernel.identity.settings import IdentitySettings

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import UnitOfWork
    from pss_kernel.tenancy import Tenant

__all__ = [
    "ALGORITHMS",
    "REGISTRATION",
    "PasskeyOptions",
    "RelyingParty",
    "options_to_prove",
    "options_to_register",
    "relying_party",
    "relying_party_of",
]

REGISTRATION = "passkey-registration"
ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_SECONDS = 300

_CREDENTIALS = "SELECT credential_id FROM factor WHERE account_id = $1 AND kind = 'passkey'"


class PasskeyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser is asked for.

    ``PublicKeyCredential.parseCreationOptionsFromJSON(public_key)`` reads it to make a passkey,
    ``parseRequestOptionsFromJSON`` to prove one.
    """

    public_key: dict[str, Any]
    expires_at: datetime


class RelyingParty(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant's passkeys are bound to, and the pages that may ask for them."""

    domain: str
    origins: list[str]


def relying_party(uow: UnitOfWork) -> RelyingParty:
    """The one of the tenant that the unit of work is bound to."""
    return relying_party_of(uow.installation, uow.tenant)


def relying_party_of(installation: Installation, tenant: Tenant) -> RelyingParty:
    """The one of the tenant's setting, else of its first domain, else of its name here."""
    settings = installation.settings_of(tenant, IdentitySettings)
    base = installation.config.base_domain.lower()
    own = [*sorted(tenant.domains), host_of(tenant.code, base)]
    domain = settings.passkey_domain or own[0]
    return RelyingParty(
        domain=domain, origins=list(settings.passkey_origins) or [f"https://{domain}"]
    )


async def options_to_register(
    uow: UnitOfWork, account_id: str, email: str, name: str
) -> PasskeyOptions:
    """What a browser makes a passkey by; the account's id is the user handle."""
    challenge = secrets.token_bytes(32)
    options = generate_registration_options(
        rp_id=relying_party(uow).domain,
        rp_name=uow.tenant.name,
        user_id=account_id.encode(),
        user_name=email,
        user_display_name=name,
        challenge=challenge,
        timeout=_SECONDS * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED,
            user_verification=UserVerificationRequirement.PREFERRED,
        ),
        exclude_credentials=await _credentials(uow, account_id),
        supported_pub_key_algs=ALGORITHMS,
    )
    _, expires_at = await begin_step(
        uow, REGISTRATION, account_id=account_id, seconds=_SECONDS, token=challenge
    )
    return PasskeyOptions(
        public_key=msgspec.json.decode(options_to_json(options)), expires_at=expires_at
    )


async def options_to_prove(
    uow: UnitOfWork, purpose: str, *, account_id: str | None = None
) -> PasskeyOptions:
    """What a browser proves a passkey by: one of the account, or whichever the person has here.

    Without an account nothing is known but the passkey, so PIN or finger must be asked for.
    """
    challenge = secrets.token_bytes(32)
    options = generate_authentication_options(
        rp_id=relying_party(uow).domain,
        challenge=challenge,
        timeout=_SECONDS * 1000,
        allow_credentials=await _credentials(uow, account_id) if account_id else None,
        user_verification=UserVerificationRequirement.PREFERRED
        if account_id
        else UserVerificationRequirement.REQUIRED,
    )
    _, expires_at = await begin_step(
        uow, purpose, account_id=account_id, seconds=_SECONDS, token=challenge
    )
    return PasskeyOptions(
        public_key=msgspec.json.decode(options_to_json(options)), expires_at=expires_at
    )


async def _credentials(uow: UnitOfWork, account_id: str) -> list[PublicKeyCredentialDescriptor]:
    rows = await uow.hot(_CREDENTIALS, account_id)
    return [PublicKeyCredentialDescriptor(id=row["credential_id"]) for row in rows]
