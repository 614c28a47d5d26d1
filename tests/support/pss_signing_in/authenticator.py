"""An authenticator in software: makes passkeys and signs with them as WebAuthn Level 3 says.

It answers what ``PublicKeyCredential.toJSON()`` of a browser would give.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import struct
from typing import Any, Literal

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256

__all__ = ["Authenticator", "decoded", "encoded"]

_PRESENT, _VERIFIED = 0x01, 0x04
_BACKUP_ELIGIBLE, _BACKED_UP = 0x08, 0x10
_ATTESTED = 0x40


def encoded(value: bytes) -> str:
    """In base64url without padding, as in the JSON of WebAuthn."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The bytes of base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """Holds one passkey. ``origin`` is the page that the browser believes to be on."""

    def __init__(
        self,
        origin: str,
        *,
        algorithm: Literal["ES256", "EdDSA"] = "ES256",
        counts: bool = True,
        synced: bool = False,
        verifies: bool = True,
    ) -> None:
        self.origin = origin
        self.count = 0
        self.counts = counts
        self.synced = synced
        self.verifies = verifies
        self.credential_id = secrets.token_bytes(32)
        self.user_handle = b""
        self.key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else ed25519.Ed25519PrivateKey.generate()
        )

    def create(self, options: dict[str, Any]) -> dict[str, Any]:
        """Make the passkey that the options ask for."""
        self.user_handle = decoded(options["user"]["id"])
        public_key = cbor2.dumps(self._cose_key())
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id
        data = self._data(options["rp"]["id"], _ATTESTED) + attested + public_key
        statement = {"fmt": "none", "attStmt": {}, "authData": data}
        return self._answer(
            clientDataJSON=self._client_data("webauthn.create", options["challenge"]),
            attestationObject=cbor2.dumps(statement),
        )

    def get(
        self, options: dict[str, Any], *, rp_id: str = "", challenge: str = "", kind: str = ""
    ) -> dict[str, Any]:
        """Sign the options' challenge; the names let it sign something else."""
        if self.counts:
            self.count += 1
        client_data = self._client_data(kind or "webauthn.get", challenge or options["challenge"])
        data = self._data(rp_id or options["rpId"])
        return self._answer(
            clientDataJSON=client_data,
            authenticatorData=data,
            signature=self._sign(data + hashlib.sha256(client_data).digest()),
            userHandle=self.user_handle,
        )

    def _answer(self, **response: bytes) -> dict[str, Any]:
        return {
            "id": encoded(self.credential_id),
            "rawId": encoded(self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {name: encoded(value) for name, value in response.items()},
        }

    def _client_data(self, kind: str, challenge: str) -> bytes:
        said = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(said).encode()

    def _data(self, rp_id: str, flags: int = 0) -> bytes:
        flags |= _PRESENT | (_VERIFIED if self.verifies else 0)
        flags |= (_BACKUP_ELIGIBLE | _BACKED_UP) if self.synced else 0
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _cose_key(self) -> dict[int, Any]:
        """The public key as COSE (RFC 9053)."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return {1: 1, 3: -8, -1: 6, -2: self.key.public_key().public_bytes_raw()}
        numbers = self.key.public_key().public_numbers()
        return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}

    def _sign(self, text: bytes) -> bytes:
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(text)
        return self.key.sign(text, ec.ECDSA(SHA256()))
