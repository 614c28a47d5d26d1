"""The holder of an API key: which tenant's data it reaches, and from where it may be used."""

from __future__ import annotations

import re

from pss_kernel.auth import Actor, ApiKey, match_api_key, scopes_of
from pss_kernel.errors import BadRequest, Forbidden, Unauthorised
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._test_mode import admitted_to

__all__ = ["known_key", "opened_by", "refuse_key_in_url"]

_KEY_IN_URL = re.compile(rb"pss_(?:live_|test_)?[0-9a-f]{16}_[A-Za-z0-9_-]{43}")


def known_key(installation: Installation, credential: str) -> ApiKey:
    """The key whose text that is. Raises Unauthorised for one that is not known, or expired."""
    key = match_api_key(credential, installation.directory.key)
    if key is None or key.expired:
        raise Unauthorised("These credentials are not known.", code="unknown-credentials")
    return key


def opened_by(
    installation: Installation, named: Tenant, key: ApiKey, address: str
) -> tuple[Tenant, Actor]:
    """The tenant that a key opens, and its holder.

    A test key opens the test data of the tenant that was asked for. Raises Forbidden for a key of
    another tenant or mode, or used from a network that it isn't for.
    """
    tenant = admitted_to(installation.directory, named, key.tenant)
    if key.mode != tenant.mode:
        raise Forbidden(
            f"This is a {key.mode} key, and these are {tenant.mode} data.", code="wrong-mode"
        )
    if not key.may_come_from(address):
        raise Forbidden(
            f"This key may not be used from the address {address}.",
            code="network-not-allowed",
            mend="Use it from the networks that it was made for, or let these be changed.",
        )
    scopes = scopes_of(installation.registry, tenant, key.scopes)
    return tenant, Actor("key", key.key_id, scopes)


def refuse_key_in_url(query: bytes) -> None:
    """Raises BadRequest where the query holds a key: URLs are written into logs and histories."""
    if _KEY_IN_URL.search(query):
        raise BadRequest(
            "A key stands in the URL, where logs and histories keep it.",
            code="key-in-url",
            mend="Send it in the header Authorization: Bearer …; rotate this one, as others may "
            "have read it.",
        )
