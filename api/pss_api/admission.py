"""Who is calling, for which tenant, and whether they may do this."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from litestar.connection import ASGIConnection

from pss_api.bearer import bearer_of, label_of
from pss_api.denials import note_who
from pss_api.key_holder import known_key, opened_by, refuse_key_in_url
from pss_api.versions import version_of
from pss_kernel.auth import Actor
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
from pss_kernel.identity.factors.step_up import check_factors
from pss_kernel.installation import Installation
from pss_kernel.plugin import Permission
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._test_mode import admitted_to

__all__ = ["admit", "identify"]

Connection = ASGIConnection[Any, Any, Any, Any]
_SAFE = {"GET", "HEAD", "OPTIONS"}  # RFC 9110: they ask, and change nothing


def resolve_tenant(installation: Installation, request: Connection) -> Tenant:
    """The tenant of the host name, else of the header ``PSS-Tenant``.

    At a tenant's own host name the header may name its test data. Raises TenantUnknown where
    neither names one, BadRequest where they name different ones, Gone for one that is being
    deleted.
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
    if by_host is not None and by_host.code not in {tenant.code, tenant.test_of}:
        raise BadRequest(
            "The header PSS-Tenant names another tenant than the host name.",
            code="tenant-mismatch",
        )
    return tenant


async def identify(installation: Installation, request: Connection) -> tuple[Tenant, Actor]:
    """The tenant, and the holder of the token or key in ``Authorization``, else a guest.

    Credentials for test data lead to the tenant that has them. Raises as ``resolve_tenant``,
    Unauthorised for credentials that are not known, Forbidden for those of another tenant.
    """
    refuse_key_in_url(request.scope["query_string"])
    tenant = resolve_tenant(installation, request)
    note_who(request.scope, tenant.code)
    address = str(request.scope.get("pss_client", ""))
    user_agent = request.headers.get("user-agent", "")
    header = request.headers.get("authorization")
    if header is None:
        actor = Actor("guest")
    else:
        kind, _, credential = header.partition(" ")
        credential = credential.strip() if kind.lower() == "bearer" else ""
        if looks_like_token(credential):
            claims = await installation.tokens.read(credential)
            note_who(request.scope, tenant.code, label_of(claims))
            tenant = admitted_to(installation.directory, tenant, claims.tenant)
            actor = bearer_of(installation, tenant, claims, address)
        else:
            key = known_key(installation, credential)
            note_who(request.scope, tenant.code, f"key:{key.key_id}")
            tenant, actor = opened_by(installation, tenant, key, address)
        tenant.refuse_leaving()
    note_who(request.scope, tenant.code, actor.label)
    request.scope["pss_mode"] = tenant.mode  # type: ignore[typeddict-unknown-key]
    version = version_of(installation, actor, request.headers.get("pss-version"))
    request.scope["pss_version"] = version  # type: ignore[typeddict-unknown-key]
    return tenant, replace(actor, address=address, user_agent=user_agent)


async def admit(
    installation: Installation,
    request: Connection,
    plugin: str,
    permission: Permission,
) -> tuple[Tenant, Actor]:
    """Tenant, identity, enablement, permission: in that order, without touching the database."""
    tenant, actor = await identify(installation, request)
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
    check_factors(installation, tenant, actor, permission)
    if tenant.placement == "moving" and request.scope.get("method") not in _SAFE:
        raise TenantMoving(
            f"{tenant.name} is being moved and can't be changed for the moment.",
            mend="Send the same request again in a moment.",
        )
    return tenant, actor
