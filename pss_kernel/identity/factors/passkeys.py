"""Passkeys: whether what a browser answers holds (WebAuthn Level 3, 7.1 and 7.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from webauthn import verify_authentication_response, verify_registration_response
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.registration.verify_registration_response import VerifiedRegistration

from pss_kernel.errors import BadRequest
from pss_kernel.identity.factors.methods import MFA
from pss_kernel.identity.factors.passkey_options import ALGORITHMS, REGISTRATION, relying_party
from pss_kernel.identity.factors.steps import Step, take_step

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "NewPasskey",
    "PasskeyAssertion",
    "Proved",
    "check_passkey",
    "register_passkey",
]

# What reading and verifying raises for bytes that somebody made up: beside its own exceptions,
# those of what it indexes, slices and hands to cryptography.
_UNREADABLE = (
    WebAuthnException,
    UnsupportedAlgorithm,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
)

_FIND = """
SELECT factor_id, account_id, public_key FROM factor
WHERE credential_id = $1 AND kind = 'passkey' AND confirmed_at IS NOT NULL
"""
# An authenticator that counts counts up; one that does not always says 0 (WebAuthn, 6.1.1).
_COUNT = """
UPDATE factor SET sign_count = $2, used_at = now()
WHERE factor_id = $1 AND (sign_count < $2 OR (sign_count = 0 AND $2 = 0)) RETURNING factor_id
"""

Encoded = msgspec.Meta(max_length=16_384, pattern=r"^[A-Za-z0-9_-]*={0,2}$")


class PasskeyAssertion(msgspec.Struct, frozen=True, kw_only=True):
    """What ``credential.toJSON()`` of the browser gives; of ``response`` what is needed is read."""

    id: str
    rawId: str  # noqa: N815 - the browser's names (WebAuthn, 5.1)
    type: str
    response: dict[str, Any]


class NewPasskey(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey that the browser has made."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    synced: bool


@dataclass(frozen=True, slots=True)
class Proved:
    """A passkey's proof. ``cloned``: it counted backwards, so there are two of it, and it fails."""

    account_id: str
    factor_id: str
    methods: frozenset[str]
    step: Step
    cloned: bool = False


async def register_passkey(
    uow: UnitOfWork, account_id: str, answer: PasskeyAssertion
) -> NewPasskey:
    """The passkey that the browser has made for this account. Raises BadRequest."""
    challenge = _challenge_of(answer)
    step = await take_step(uow, REGISTRATION, challenge) if challenge else None
    if step is None or step.account_id != account_id:
        raise _refused("The challenge is not known, was used or has ended.")
    party = relying_party(uow)
    try:
        found: VerifiedRegistration = verify_registration_response(
            credential=msgspec.to_builtins(answer),
            expected_challenge=challenge,
            expected_rp_id=party.domain,
            expected_origin=party.origins,
            supported_pub_key_algs=ALGORITHMS,
        )
    except _UNREADABLE as error:
        raise _refused("The passkey could not be verified.") from error
    return NewPasskey(
        credential_id=found.credential_id,
        public_key=found.credential_public_key,
        sign_count=found.sign_count,
        synced=found.credential_device_type.value == "multi_device",
    )


async def check_passkey(uow: UnitOfWork, purpose: str, answer: PasskeyAssertion) -> Proved | None:
    """Whose passkey it is that has signed our challenge; None for whatever does not hold.

    The challenge is used, and the count moved on, when this commits.
    """
    challenge = _challenge_of(answer)
    step = await take_step(uow, purpose, challenge) if challenge else None
    if step is None:
        return None
    credential_id = _decoded(answer.rawId)
    rows = await uow.hot(_FIND, credential_id)
    if not rows or (step.account_id and rows[0]["account_id"] != step.account_id):
        return None
    (row,) = rows
    alone = step.account_id is None
    party = relying_party(uow)
    try:
        found = verify_authentication_response(
            credential=msgspec.to_builtins(answer),
            expected_challenge=challenge,
            expected_rp_id=party.domain,
            expected_origin=party.origins,
            credential_public_key=row["public_key"],
            credential_current_sign_count=0,  # compared by the statement that moves it on
            require_user_verification=alone,
        )
    except _UNREADABLE:
        return None
    if not _is_handle(answer, row["account_id"], needed=alone):
        return None
    counted = await uow.hot(_COUNT, row["factor_id"], found.new_sign_count)
    return Proved(
        account_id=row["account_id"],
        factor_id=row["factor_id"],
        methods=_methods(found),
        step=step,
        cloned=not counted,
    )


def _methods(found: VerifiedAuthentication) -> frozenset[str]:
    """In the words of RFC 8176: a key in hardware, or one that is synced between devices."""
    kind = "swk" if found.credential_device_type.value == "multi_device" else "hwk"
    return frozenset({kind, "user", MFA})


def _challenge_of(answer: PasskeyAssertion) -> bytes:
    """The challenge that the browser says it has signed; nothing where it can't be read."""
    text = answer.response.get("clientDataJSON")
    try:
        said = msgspec.json.decode(_decoded(text), type=dict[str, Any])
        return _decoded(said.get("challenge"))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return b""


def _is_handle(answer: PasskeyAssertion, account_id: str, *, needed: bool) -> bool:
    """Whether the authenticator knows the passkey as this account's (WebAuthn, 7.2, step 6)."""
    handle = answer.response.get("userHandle")
    if handle is None:
        return not needed
    return _decoded(handle) == account_id.encode()


def _decoded(text: object) -> bytes:
    try:
        return base64url_to_bytes(text) if isinstance(text, str) else b""
    except ValueError:
        return b""


def _refused(detail: str) -> BadRequest:
    return BadRequest(detail, code="passkey-refused", mend="Ask for options again.")
