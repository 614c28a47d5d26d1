"""What an identity provider says of itself: its endpoints and its keys.

OpenID Connect Discovery 1.0. Both are kept for minutes; a key that is not among them has them
fetched anew, not more often than once a minute.
"""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pss_kernel.config import IDENTITY
from pss_kernel.errors import Problem, UpstreamUnavailable
from pss_kernel.outgoing import CallLimits, OutgoingClient

if TYPE_CHECKING:
    from pss_kernel.identity.sign_on.settings import SignOn
    from pss_kernel.installation import Installation
    from pss_kernel.persistence import Work

__all__ = ["Metadata", "Provider", "provider_of"]

_TARGET = "identity-provider"
_LIMITS = CallLimits(total_seconds=8.0, largest_answer=300_000)
_KEPT_SECONDS = 600.0
_AGAIN_SECONDS = 60.0
_MOST_PROVIDERS = 1000
_MOST_KEYS = 50
# Signatures that only the provider can make. What a shared secret signs is not among them.
_KEY_TYPES = {"RSA", "EC", "OKP"}
_NO_KEYS = (JoseError, ValueError, KeyError, TypeError)
"""What the library says of keys with members that are missing, or of another form."""


class Metadata(msgspec.Struct, frozen=True):
    """The parts of the discovery document that are used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False
    """RFC 9207: it names itself when it sends people back."""


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class Provider:
    """A tenant's identity provider, as it was found lately."""

    def __init__(self, metadata: Metadata, keys: list[dict[str, Any]]) -> None:
        self.metadata = metadata
        self.keys = KeySet.import_key_set({"keys": keys})
        self.key_ids = {key.get("kid") for key in keys}
        self.found = time.monotonic()

    @property
    def fresh(self) -> bool:
        """Whether it needs not be asked again."""
        return time.monotonic() - self.found < _KEPT_SECONDS

    @property
    def just_found(self) -> bool:
        """Whether asking again would be too soon."""
        return time.monotonic() - self.found < _AGAIN_SECONDS


_Found = dict[tuple[str, str], Provider]
_found: MutableMapping[Installation, _Found] = WeakKeyDictionary()


def client_of(work: Work) -> OutgoingClient:
    """A caller of the provider, whose endpoints may be on several hosts."""
    return work.installation.outgoing.client(
        work.tenant.code, IDENTITY, _TARGET, base_url="", limits=_LIMITS
    )


async def provider_of(work: Work, sign_on: SignOn, *, key_id: str | None = None) -> Provider:
    """The tenant's provider; asked again where it doesn't have that key yet.

    No unit of work may be open. Raises UpstreamUnavailable.
    """
    known = _found.setdefault(work.installation, {})
    place = (work.tenant.code, sign_on.issuer)
    provider = known.get(place)
    if provider is not None and provider.fresh:
        missing = key_id is not None and key_id not in provider.key_ids
        if not missing or provider.just_found:
            return provider
    provider = await _discovered(client_of(work), sign_on.issuer)
    if len(known) >= _MOST_PROVIDERS:
        known.pop(next(iter(known)))
    known[place] = provider
    return provider


async def _discovered(client: OutgoingClient, issuer: str) -> Provider:
    found = await client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    metadata = found.decode(Metadata) if found.ok else None
    # OpenID Connect Discovery 1.0, section 4.3: or somebody else could speak for it.
    if metadata is None or metadata.issuer != issuer:
        raise _unusable("It does not give the discovery document of that issuer.")
    for endpoint in (
        *(metadata.authorization_endpoint, metadata.token_endpoint),
        metadata.jwks_uri,
    ):
        client.check(endpoint)
    answer = await client.get(metadata.jwks_uri)
    if not answer.ok:
        raise _unusable("It does not give its keys.")
    given = answer.decode(_Keys).keys[:_MOST_KEYS]
    keys = [one for one in given if one.get("kty") in _KEY_TYPES and one.get("use") != "enc"]
    try:
        return Provider(metadata, keys)
    except _NO_KEYS as error:
        raise _unusable("Its keys can't be read.") from error


def _unusable(why: str) -> Problem:
    return UpstreamUnavailable(
        f"The identity provider can't be used. {why}",
        code="upstream-answer",
        mend="Compare the setting 'sign_on' of 'identity' with the provider's own pages.",
        retryable=False,
    )
