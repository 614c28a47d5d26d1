"""Seeing, adding and taking away one's own factors."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pss_kernel.identity import plugin
from pss_kernel.identity.factors.events import tell
from pss_kernel.identity.factors.methods import MFA, OTP
from pss_kernel.identity.factors.own import (
    add_passkey,
    begin_totp,
    confirm_totp,
    locked_account,
    no_factor,
    person_of,
    remove_factor,
)
from pss_kernel.identity.factors.passkey_options import PasskeyOptions, options_to_register
from pss_kernel.identity.factors.passkeys import PasskeyAssertion, register_passkey
from pss_kernel.identity.factors.proof import Code
from pss_kernel.identity.factors.raising import RaisedToken, raise_session
from pss_kernel.identity.factors.recovery import make_recovery_codes, recovery_left
from pss_kernel.identity.factors.store import Factor, factors_of
from pss_kernel.identity.factors.totp import qr_code_of
from pss_kernel.persistence import UnitOfWork

__all__ = ["list_factors"]

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\S")]


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """All factors beside the password."""

    data: list[Factor]
    recovery_codes_left: int
    next_cursor: str | None = None


class NewTotp(msgspec.Struct, frozen=True, kw_only=True):
    """``name`` says which app or telephone it is."""

    name: Name = "Authenticator app"


class TotpSecret(msgspec.Struct, frozen=True, kw_only=True):
    """Shown this once: the secret, and the same for an app to read from a QR code."""

    id: str
    secret: str
    uri: str
    qr_code: str
    """The picture of `uri`: SVG as a `data:` URI, for a page that draws none itself."""


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """The code that the app shows now."""

    code: Code


class RegisteredPasskey(msgspec.Struct, frozen=True, kw_only=True):
    """What the browser made of the options."""

    credential: PasskeyAssertion
    name: Name = "Passkey"


class FactorAdded(msgspec.Struct, frozen=True, kw_only=True):
    """The factor, and an access token of the same session that says it was given."""

    factor: Factor
    token: RaisedToken


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """Shown this once; each signs in once, in place of a code of the app."""

    codes: list[str]


@plugin.get("/me/factors", permission="identity:self")
async def list_factors(uow: UnitOfWork) -> Factors:
    """The caller's second factors."""
    account_id = person_of(uow)
    return Factors(
        data=await factors_of(uow, account_id),
        recovery_codes_left=await recovery_left(uow, account_id),
    )


@plugin.post("/me/factors/totp", permission="identity:self", confidential=True)
async def add_totp(data: NewTotp, uow: UnitOfWork) -> TotpSecret:
    """Begin to use an authenticator app; it counts once it is confirmed, within 15 minutes."""
    factor_id, secret, uri = await begin_totp(uow, data.name.strip())
    return TotpSecret(id=factor_id, secret=secret, uri=uri, qr_code=qr_code_of(uri))


@plugin.post(
    "/me/factors/{factor_id:str}/confirm",
    permission="identity:self",
    status=200,
    confidential=True,
    limit="sign-in",
)
async def confirm(factor_id: str, data: Confirmation, uow: UnitOfWork) -> FactorAdded:
    """Confirm an authenticator app by its code; ends the caller's other sessions."""
    factor = await confirm_totp(uow, factor_id, data.code)
    token = await raise_session(uow, {OTP, MFA})
    return FactorAdded(factor=factor, token=token)


@plugin.post("/me/factors/passkeys/options", permission="identity:self", confidential=True)
async def passkey_to_make(uow: UnitOfWork) -> PasskeyOptions:
    """What the browser makes a passkey by; good for five minutes."""
    account = await locked_account(uow)
    return await options_to_register(uow, uow.actor.id, account["email"], account["name"])


@plugin.post("/me/factors/passkeys", permission="identity:self", confidential=True)
async def add_a_passkey(data: RegisteredPasskey, uow: UnitOfWork) -> FactorAdded:
    """Use a passkey; ends the caller's other sessions."""
    await locked_account(uow)
    passkey = await register_passkey(uow, uow.actor.id, data.credential)
    factor = await add_passkey(uow, data.name.strip(), passkey)
    token = await raise_session(uow, {"swk" if passkey.synced else "hwk", "user", MFA})
    return FactorAdded(factor=factor, token=token)


@plugin.delete("/me/factors/{factor_id:str}", permission="identity:self")
async def remove(factor_id: str, uow: UnitOfWork) -> Factor:
    """Take a factor away, with the last one the recovery codes; ends the other sessions."""
    return await remove_factor(uow, factor_id)


@plugin.post("/me/factors/recovery-codes", permission="identity:self", confidential=True)
async def make_codes(uow: UnitOfWork) -> RecoveryCodes:
    """Ten recovery codes in place of all earlier ones."""
    await locked_account(uow)
    account_id = uow.actor.id
    if not await factors_of(uow, account_id):
        raise no_factor()
    codes = await make_recovery_codes(uow, account_id)
    uow.audit("recovery-codes.made", account_id, after={"codes": len(codes)})
    tell(uow, account_id, "recovery-codes-made")
    return RecoveryCodes(codes=codes)
