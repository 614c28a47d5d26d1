"""Who is calling, for which tenant, and whether they may do this."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection

from pss_kernel.auth import Actor, match_api_key, scopes_of
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


def identify(installation: Installation, tenant: Tenant, request: Connection) -> Actor:
    """The holder of the key in ``Authorization``, or a guest where there is none.

    Raises Unauthorised for a key that is not known, Forbidden for one of another tenant.
    """
    address = str(request.scope.get("pss_client", ""))
    header = request.headers.get("authorization")
    if header is None:
        return Actor("guest", address=address)
    kind, _, credential = header.partition(" ")
    text = credential.strip() if kind.lower() == "bearer" else ""
    key = match_api_key(text, installation.directory.key)
    if key is None or key.expired:
        raise Unauthorised("These credentials are not known.", code="unknown-credentials")
    if key.tenant != tenant.code:
        raise Forbidden("This key belongs to another tenant.", code="wrong-tenant")
    scopes = scopes_of(installation.registry, tenant, key.scopes)
    return Actor("key", key.key_id, scopes, address=address)


def admit(
    installation: Installation,
    request: Connection,
    plugin: str,
    permission: Permission,
) -> tuple[Tenant, Actor]:
    """Tenant, identity, enablement, permission: in that order, without touching the database."""
    tenant = resolve_tenant(installation, request)
    actor = identify(installation, tenant, request)
    if plugin in tenant.quarantined:
        raise PluginQuarantined(plugin)
    if plugin not in tenant.enabled:
        raise PluginNotEnabled(f"{tenant.name} has not enabled {plugin!r}.")
    if not permission.guest and not actor.may(permission.name):
        if actor.kind == "guest":
            raise Unauthorised("Credentials are needed for this.")
        raise Forbidden(
            f"This key does not have the permission {permission.name!r}.",
            code="missing-permission",
        )
    if tenant.placement == "moving" and request.scope.get("method") not in _SAFE:
        raise TenantMoving(
            f"{tenant.name} is being moved and can't be changed for the moment.",
            mend="Send the same request again in a moment.",
        )
    return tenant, actor
