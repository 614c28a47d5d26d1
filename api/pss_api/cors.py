"""Which web pages may call the interface: those of the tenant's own domains, and no others.

Tokens travel in a header, so a browser never sends credentials of its own, and none are allowed
(https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.errors import Problem
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant

if TYPE_CHECKING:
    from litestar.types import HTTPScope

__all__ = ["cors_headers", "is_preflight"]

_METHODS = "GET, POST, PUT, PATCH, DELETE"
_ALLOWED = (
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, PSS-Position, PSS-Request-Id, "
    "PSS-Tenant, PSS-Version, traceparent, tracestate"
)
_EXPOSED = (
    "ETag, Idempotent-Replayed, PSS-Mode, PSS-Position, PSS-Request-Id, PSS-Version, RateLimit, "
    "RateLimit-Policy, Retry-After"
)
_SECONDS = "600"


def is_preflight(scope: HTTPScope) -> bool:
    """Whether a browser asks before it sends the request itself."""
    names = {name for name, _ in scope["headers"]}
    return scope["method"] == "OPTIONS" and {b"origin", b"access-control-request-method"} <= names


def cors_headers(installation: Installation, scope: HTTPScope) -> dict[str, str]:
    """What allows the page that asks; nothing where it is not one of the tenant's."""
    origins = [value for name, value in scope["headers"] if name == b"origin"]
    if len(origins) != 1:
        return {}
    tenant = _tenant_of(installation, scope)
    origin = origins[0].decode("latin-1")
    if tenant is None or origin not in _origins_of(installation, tenant):
        return {}
    headers = {"Access-Control-Allow-Origin": origin}
    if is_preflight(scope):
        return headers | {
            "Access-Control-Allow-Methods": _METHODS,
            "Access-Control-Allow-Headers": _ALLOWED,
            "Access-Control-Max-Age": _SECONDS,
        }
    return headers | {"Access-Control-Expose-Headers": _EXPOSED}


def _origins_of(installation: Installation, tenant: Tenant) -> set[str]:
    named = installation.settings_of(tenant, IdentitySettings).web_origins
    return {f"https://{domain}" for domain in tenant.domains} | set(named)


def _tenant_of(installation: Installation, scope: HTTPScope) -> Tenant | None:
    """Of the host name, else of ``PSS-Tenant``, which no preflight brings."""
    given = {name: value.decode("latin-1") for name, value in scope["headers"]}
    try:
        tenant = installation.directory.by_host(given.get(b"host", ""))
        if tenant is None and b"pss-tenant" in given:
            tenant = installation.directory.by_code(given[b"pss-tenant"])
    except Problem:
        return None
    return tenant
