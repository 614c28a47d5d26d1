"""The code that a person brings back, and the ID token that the provider gives for it.

OpenID Connect Core 1.0, sections 3.1.2 and 3.1.3; RFC 9700 (best current practice), section 2.1.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import msgspec
from authlib.oauth2.client import OAuth2Client
from authlib.oauth2.rfc6749.parameters import prepare_token_request
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError

from pss_kernel.errors import Unauthorised
from pss_kernel.identity.sign_on.provider import Provider, client_of, provider_of

if TYPE_CHECKING:
    from pss_kernel.identity.sign_on.settings import SignOn
    from pss_kernel.persistence import Work

__all__ = ["Trip", "begin_trip", "claims_of"]

# What the header of a token says is taken from this list only: neither "none" nor a signature
# made with a secret (HS256), which anybody who has the public key could pass off as one.
_ALGORITHMS = [
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
]
_LEEWAY = 30
"""Seconds that two clocks may differ by."""


class Trip(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of somebody while they are at the provider."""

    issuer: str
    redirect_uri: str
    state: str
    nonce: str
    verifier: str


class _Answer(msgspec.Struct, frozen=True):
    """What the token endpoint says."""

    id_token: str
    access_token: str | None = None


def begin_trip(sign_on: SignOn, provider: Provider, redirect_uri: str) -> tuple[str, Trip]:
    """Where to send somebody, and what to remember of it."""
    trip = Trip(
        issuer=sign_on.issuer,
        redirect_uri=redirect_uri,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
    )
    url, _ = _client(sign_on, redirect_uri).create_authorization_url(
        provider.metadata.authorization_endpoint,
        state=trip.state,
        code_verifier=trip.verifier,
        nonce=trip.nonce,
    )
    return str(url), trip


async def claims_of(work: Work, sign_on: SignOn, trip: Trip, code: str) -> dict[str, Any]:
    """The claims of the ID token that the code is worth. No unit of work may be open.

    Raises Unauthorised (``sign-on-refused``), whose ``mend`` says why, for the audit trail.
    """
    provider = await provider_of(work, sign_on)
    answer = await _exchanged(work, sign_on, provider, trip, code)
    claims = await _checked(work, sign_on, trip, answer)
    if answer.access_token is not None and not _told(sign_on, claims):
        claims = await _completed(work, provider, answer.access_token, claims)
    return claims


def _told(sign_on: SignOn, claims: dict[str, Any]) -> bool:
    """Whether the ID token says all that is needed; some providers keep it short."""
    role = sign_on.role_claim.partition(".")[0]
    return "email" in claims and (not role or role in claims)


async def _completed(
    work: Work, provider: Provider, access_token: str, claims: dict[str, Any]
) -> dict[str, Any]:
    """With what the provider tells of the same person beside it (OpenID Connect Core, 5.3)."""
    endpoint = provider.metadata.userinfo_endpoint
    if not endpoint:
        return claims
    given = await client_of(work).get(
        endpoint, headers={"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
    )
    try:
        told = msgspec.json.decode(given.content, type=dict[str, Any]) if given.ok else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = {}
    if told.get("sub") != claims["sub"]:  # section 5.3.2: or it may be another one's
        return claims
    return told | claims


async def _exchanged(
    work: Work, sign_on: SignOn, provider: Provider, trip: Trip, code: str
) -> _Answer:
    client = _client(sign_on, trip.redirect_uri)
    body = prepare_token_request(
        "authorization_code",
        "",
        redirect_uri=trip.redirect_uri,
        code=code,
        code_verifier=trip.verifier,
    )
    supported = provider.metadata.token_endpoint_auth_methods_supported
    method = "none"
    if sign_on.client_secret is not None:
        basic = "client_secret_basic" in supported
        method = "client_secret_basic" if basic else "client_secret_post"
    url, headers, body = client.client_auth(method).prepare(
        "POST",
        provider.metadata.token_endpoint,
        {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
        body,
    )
    given = await client_of(work).post(url, headers=headers, content=body.encode())
    if not given.ok:
        raise _refused("the provider did not take the code")
    try:
        return msgspec.json.decode(given.content, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _refused("the provider gave no ID token") from None


async def _checked(work: Work, sign_on: SignOn, trip: Trip, answer: _Answer) -> dict[str, Any]:
    """Signature and claims. Raises Unauthorised."""
    try:
        header = jws.extract_compact(answer.id_token.encode()).headers()
        key_id = header.get("kid")
        provider = await provider_of(
            work, sign_on, key_id=key_id if isinstance(key_id, str) else None
        )
        token = jwt.decode(answer.id_token, provider.keys, algorithms=_ALGORITHMS)
        claims = CodeIDToken(
            token.claims,
            token.header,
            options={
                "iss": {"essential": True, "value": trip.issuer},
                "aud": {"essential": True, "value": sign_on.client_id},
                "sub": {"essential": True},
                "nonce": {"essential": True, "value": trip.nonce},
                "exp": {"essential": True},
                "iat": {"essential": True},
            },
            params={
                "nonce": trip.nonce,
                "client_id": sign_on.client_id,
                "access_token": answer.access_token,
            },
        )
        claims.validate(leeway=_LEEWAY)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        # The library's own words tell which claim, and nothing of its value.
        raise _refused(f"the ID token does not hold ({type(error).__name__}: {error})") from error
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:  # noqa: PLR2004 - OpenID Connect Core, section 2
        raise _refused("the ID token names nobody")
    return dict(claims)


def _client(sign_on: SignOn, redirect_uri: str) -> OAuth2Client:
    secret = sign_on.client_secret
    scopes = dict.fromkeys(("openid", *sign_on.scopes))
    return OAuth2Client(
        session=None,
        client_id=sign_on.client_id,
        client_secret=secret.reveal() if secret is not None else None,
        scope=" ".join(scopes),
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
    )


def _refused(why: str) -> Unauthorised:
    return Unauthorised(
        "The identity provider's answer does not let you in.", code="sign-on-refused", mend=why
    )
