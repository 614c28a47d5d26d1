"""Who is calling, for which tenant, and whether they may do this."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar.connection import ASGIConnection

from pss_api.bearer import bearer_of
from pss_kernel.auth import Actor, match_api_key, scopes_of
from pss_kernel.auth._tokens import looks_like_token
from pss_kernel.errors import (
    BadRequest,
    Forbidden,
    PluginNotEnabled,
    PluginQuarantined,
    TenantMoving,
    TenantUnknown,
    Unauthorised,
)
from pss_kernel.installation import Installation
from pss_kernel.plugin import Permission
from pss_kernel.tenancy import Tenant

__all__ = ["admit", "identify", "resolve_tenant"]

Connection = ASGIConnection[Any, Any, Any, Any]
_SAFE = {"GET", "HEAD", "OPTIONS"}  # RFC 9110: they ask, and change nothing


def resolve_tenant(installation: Installation, request: Connection) -> Tenant:
    """The tenant of the host name, else of the header ``PSS-Tenant``.

    Raises TenantUnknown where neither names one, BadRequest where they name different ones, Gone
    for one that is being deleted.
    """
    tenant = _named(installation, request)
    tenant.refuse_leaving()
    return tenant


def _named(installation: Installation, request: Connection) -> Tenant:
    headers = request.headers
    by_host = installation.directory.by_host(headers.get("host", ""))
    named = headers.get("pss-tenant")
    if named is None:
        if by_host is None:
            raise TenantUnknown(
                "This host name belongs to no tenant.",
                mend="Use a tenant's own host name, or send the header PSS-Tenant.",
            )
        return by_host
    tenant = installation.directory.by_code(named)
    if by_host is not None and by_host.code != tenant.code:
        raise BadRequest(
            "The header PSS-Tenant names another tenant than the host name.",
            code="tenant-mismatch",
        )
    return tenant


async def identify(installation: Installation, tenant: Tenant, request: Connection) -> Actor:
    """The holder of the token or key in ``Authorization``, or a guest where there is none.

    Raises Unauthorised for credentials that are not known, Forbidden for those of another tenant.
    """
    address = str(request.scope.get("pss_client", ""))
    user_agent = request.headers.get("user-agent", "")
    header = request.headers.get("authorization")
    if header is None:
        return Actor("guest", address=address, user_agent=user_agent)
    kind, _, credential = header.partition(" ")
    credential = credential.strip()
    if kind.lower() == "bearer" and looks_like_token(credential):
        claims = await installation.tokens.read(credential)
        actor = bearer_of(installation, tenant, claims)
    else:
        actor = _holder(installation, tenant, credential if kind.lower() == "bearer" else "")
    return replace(actor, address=address, user_agent=user_agent)


def _holder(installation: Installation, tenant: Tenant, credential: str) -> Actor:
    """The holder of an API key."""
    key = match_api_key(credential, installation.directory.key)
    if key is None or key.expired:
        raise Unauthorised("These credentials are not known.", code="unknown-credentials")
    if key.tenant != tenant.code:
        raise Forbidden("This key belongs to another tenant.", code="wrong-tenant")
    scopes = scopes_of(installation.registry, tenant, key.scopes)
    return Actor("key", key.key_id, scopes)


async def admit(
    installation: Installation,
    request: Connection,
    plugin: str,
    permission: Permission,
) -> tuple[Tenant, Actor]:
    """Tenant, identity, enablement, permission: in that order, without touching the database."""
    tenant = resolve_tenant(installation, request)
    actor = await identify(installation, tenant, request)
    if plugin in tenant.quarantined:
        raise PluginQuarantined(plugin)
    if plugin not in tenant.enabled:
        raise PluginNotEnabled(f"{tenant.name} has not enabled {plugin!r}.")
    if not permission.guest and not actor.may(permission.name):
        if actor.kind == "guest":
            raise Unauthorised("Credentials are needed for this.")
        raise Forbidden(
            f"You do not have the permission {permission.name!r}.",
            code="missing-permission",
        )
    if tenant.placement == "moving" and request.scope.get("method") not in _SAFE:
        raise TenantMoving(
            f"{tenant.name} is being moved and can't be changed for the moment.",
            mend="Send the same request again in a moment.",
        )
    return tenant, actor
