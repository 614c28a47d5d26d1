"""Who holds an access token, and what it may do: from the claims and what the process knows."""

from __future__ import annotations

from dataclasses import replace

from pss_api.key_holder import opened_by
from pss_kernel.auth import Actor
from pss_kernel.auth._rights import rights_of
from pss_kernel.auth._tokens import Claims
from pss_kernel.errors import Forbidden, Unauthorised
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant

__all__ = ["bearer_of", "label_of"]


def label_of(claims: Claims) -> str:
    """Whose token it is, whether or not it is let in: as an actor's label."""
    return f"{'key' if claims.sid is None else 'user'}:{claims.sub}"


def bearer_of(installation: Installation, tenant: Tenant, claims: Claims, address: str) -> Actor:
    """The person, with its roles, or the API key that a token was signed for.

    Raises Forbidden for a token of another tenant, Unauthorised for one that was cut off.
    """
    if claims.tenant != tenant.code:
        raise Forbidden("This token belongs to another tenant.", code="wrong-tenant")
    if claims.sid is None:
        return _client_of(installation, tenant, claims, address)
    if claims.sid in tenant.cutoffs:
        raise Unauthorised("This session has ended.", code="session-ended", mend="Sign in again.")
    cutoff = tenant.cutoffs.get(claims.sub)
    if cutoff is not None and claims.issued_at < cutoff:
        raise Unauthorised(
            "The access token was made before something about its holder changed.",
            code="token-expired",
            mend="Get another with the refresh token: POST /v1/sessions/refresh.",
        )
    rights = rights_of(installation.registry, tenant, claims.roles)
    scopes = rights.scopes
    if claims.scope is not None:
        scopes = narrowed(scopes, claims.scope.split())
    return Actor(
        "user",
        claims.sub,
        scopes,
        tuple(claims.roles),
        claims.sid,
        claims.authenticated_at,
        frozenset(claims.amr),
        claims.attributes,
        rights.rules,
    )


def _client_of(installation: Installation, tenant: Tenant, claims: Claims, address: str) -> Actor:
    """The key that a token was given to, as it is now: revoked since, it is refused at once."""
    key = installation.directory.key(claims.client_id)
    if key is None or key.expired or claims.sub != key.key_id:
        raise Unauthorised("These credentials are not known.", code="unknown-credentials")
    _, actor = opened_by(installation, tenant, key, address)
    if claims.scope is None:
        return actor
    return replace(actor, scopes=narrowed(actor.scopes, claims.scope.split()))


def narrowed(scopes: frozenset[str], wanted: list[str]) -> frozenset[str]:
    """Those of a holder's permissions that the wanted scopes include."""
    return frozenset(
        one for one in scopes if not {one, f"{one.partition(':')[0]}:*", "*"}.isdisjoint(wanted)
    )
