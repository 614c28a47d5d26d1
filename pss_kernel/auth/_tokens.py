"""Access tokens: signed, short-lived, of one tenant (RFC 9068); read without the database.

What a token says is taken for granted only after its signature, with EdDSA and a key of ours; and
whoever has signed out, or been shut out, is known from the tenant's cutoffs.
"""

from __future__ import annotations

import json
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import jwt
import msgspec

from pss_kernel.auth._signing import LONGEST_TOKEN, SigningKeys
from pss_kernel.config import host_of
from pss_kernel.errors import Unauthorised
from pss_kernel.ids import new_id

if TYPE_CHECKING:
    from pss_kernel.tenancy import Tenant

__all__ = ["FIRST_PARTY", "LEEWAY_SECONDS", "Claims", "Tokens", "looks_like_token"]

ALGORITHM = "EdDSA"
LEEWAY_SECONDS = 30
"""So far the clocks of two machines may be apart."""
LONGEST_CHARACTERS = 4096
"""Anything longer is refused before it is looked at."""
FIRST_PARTY = "pss"
"""The ``client_id`` of people who sign in here themselves."""
_TYPES = {"at+jwt", "application/at+jwt"}
_FORM = re.compile(r"[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]{86}", re.ASCII)
_KEPT = 4096
"""Tokens whose signature a process remembers to have verified."""


class Claims(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token says. Times are seconds since 1970 (RFC 7519)."""

    iss: str
    aud: str
    sub: str
    """The account (``acc_…``), or the API key that it was given to."""
    client_id: str
    """``pss`` for a person; the API key for an integrator's program."""
    tenant: str
    iat: float
    """Exact to the microsecond: what was signed before a cutoff is told from what came after."""
    exp: int
    jti: str
    sid: str | None = None
    """Of a person: the session (``ses_…``)."""
    roles: list[str] = []
    attributes: dict[str, Any] = {}
    """Facts about the person that data rules look at."""
    scope: str | None = None
    """Where the token may less than its holder: permissions, separated by spaces."""
    auth_time: int | None = None
    amr: list[str] = []
    """How the person proved who it is (RFC 8176)."""

    @property
    def issued_at(self) -> datetime:
        """The moment of signing."""
        return datetime.fromtimestamp(self.iat, UTC)

    @property
    def authenticated_at(self) -> datetime | None:
        """The moment of the proof."""
        return None if self.auth_time is None else datetime.fromtimestamp(self.auth_time, UTC)


@dataclass(frozen=True, slots=True)
class _Verified:
    key_id: str
    claims: Claims


def issuer_of(tenant: str, base_domain: str) -> str:
    """Who signs for a tenant: its name under the base domain, which never changes."""
    return f"https://{host_of(tenant, base_domain)}"


def audience_of(tenant: str) -> str:
    """Whom a tenant's tokens are for: its interface."""
    return f"urn:pss:{tenant}"


def looks_like_token(credential: str) -> bool:
    """Whether it has a token's form, and not an API key's."""
    return credential.count(".") == 2  # noqa: PLR2004 - header, claims, signature


class Tokens:
    """Signs tokens and verifies them."""

    def __init__(self, keys: SigningKeys, base_domain: str) -> None:
        self.keys = keys
        self._base_domain = base_domain
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def sign(
        self, tenant: Tenant, subject: str, issued_at: datetime, seconds: int, **claims: Any
    ) -> str:
        """A token for that long. Raises KeyMissing, Unavailable where no key can be opened."""
        assert 0 < seconds <= LONGEST_TOKEN.total_seconds()
        key_id, private = await self.keys.current()
        said = Claims(
            iss=issuer_of(tenant.code, self._base_domain),
            aud=audience_of(tenant.code),
            sub=subject,
            tenant=tenant.code,
            iat=issued_at.timestamp(),
            exp=int(issued_at.timestamp()) + seconds,
            jti=new_id("tok"),
            **claims,
        )
        payload = msgspec.to_builtins(said)
        return jwt.encode(
            payload, private, algorithm=ALGORITHM, headers={"typ": "at+jwt", "kid": key_id}
        )

    async def read(self, token: str) -> Claims:
        """What a token says, once it is known to be ours and of now.

        Raises Unauthorised: ``token-expired``, or ``unknown-credentials`` for whatever else.
        """
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._verified.get(digest)
        if known is None or self.keys.known(known.key_id) is None:
            known = await self._verify(token)
            self._verified[digest] = known
            if len(self._verified) > _KEPT:
                self._verified.popitem(last=False)
        self._refuse_untimely(known.claims)
        return known.claims

    async def _verify(self, token: str) -> _Verified:
        if len(token) > LONGEST_CHARACTERS or not _FORM.fullmatch(token):
            raise _unknown()
        try:
            key_id = _key_id_of(token)
            public = await self.keys.public(key_id)
            if public is None:
                raise _unknown()
            found = jwt.PyJWS().decode_complete(token, public, algorithms=[ALGORITHM])
            claims = msgspec.convert(_object_of(found["payload"]), Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError, ValueError) as error:
            raise _unknown() from error
        expected = (issuer_of(claims.tenant, self._base_domain), audience_of(claims.tenant))
        if (claims.iss, claims.aud) != expected:
            raise _unknown()
        return _Verified(key_id, claims)

    @staticmethod
    def _refuse_untimely(claims: Claims) -> None:
        now = time.time()
        if claims.iat > now + LEEWAY_SECONDS or claims.exp - claims.iat > (
            LONGEST_TOKEN.total_seconds()
        ):
            raise _unknown()
        if claims.exp + LEEWAY_SECONDS <= now:
            raise Unauthorised(
                "The access token has expired.",
                code="token-expired",
                mend="Get another with the refresh token: POST /v1/sessions/refresh.",
            )


def _key_id_of(token: str) -> str:
    """The key that the header names, where that is all that it says beside algorithm and type.

    A header with anything else (``crit``, ``jwk``, ``jku``, ``x5u``, …) is none of ours.
    """
    header = _object_of(jwt.utils.base64url_decode(token.partition(".")[0]))
    if header.keys() != {"alg", "typ", "kid"}:
        raise ValueError("header")
    key_id = header["kid"]
    if (
        header["alg"] != ALGORITHM
        or not isinstance(header["typ"], str)
        or header["typ"].lower() not in _TYPES
        or not isinstance(key_id, str)
    ):
        raise ValueError("header")
    return key_id


def _object_of(text: bytes) -> dict[str, Any]:
    """A JSON object in which no name stands twice: two readers could take different ones."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("duplicate")
        return found

    def finite(name: str) -> float:
        raise ValueError(name)

    found = json.loads(text, object_pairs_hook=once, parse_constant=finite)
    if not isinstance(found, dict):
        raise ValueError("object")  # noqa: TRY004 - as for whatever else is wrong with it
    return found


def _unknown() -> Unauthorised:
    return Unauthorised("These credentials are not known.", code="unknown-credentials")
