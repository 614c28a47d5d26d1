"""What programs find at ``/.well-known``: the keys that verify tokens, and where to get tokens."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler

from pss_api.admission import resolve_tenant
from pss_api.client import Proxies
from pss_kernel.auth._signing import jwks
from pss_kernel.auth._tokens import issuer_of
from pss_kernel.installation import Installation

__all__ = ["well_known"]

_JSON = "application/json"
_KEPT = "public, max-age=300"
"""Half as long as a key is published before it signs; see auth/_signing_rotation.py."""


def well_known(installation: Installation) -> list[HTTPRouteHandler]:
    """The handlers."""
    proxies = Proxies(installation.config.trusted_proxies)

    @get(
        "/.well-known/jwks.json",
        tags=["identity"],
        summary="The keys that verify access tokens (RFC 7517)",
        operation_id="identity_jwks",
        media_type="application/jwk-set+json",
    )
    async def show_keys(request: Request[Any, Any, Any]) -> Response[Any]:
        """The next, the current, and those whose tokens may be good still. Keep it 5 minutes."""
        await installation.tokens.keys.current()  # made, where nobody has needed one yet
        body = msgspec.json.encode(jwks(installation.tokens.keys.published))
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"Cache-Control": _KEPT, "ETag": tag, "Access-Control-Allow-Origin": "*"}
        given = {one.strip() for one in request.headers.get("if-none-match", "").split(",")}
        if tag in given or f"W/{tag}" in given:
            return Response(b"", status_code=304, headers=headers)
        return Response(body, media_type="application/jwk-set+json", headers=headers)

    @get(
        "/.well-known/oauth-authorization-server",
        tags=["identity"],
        summary="Where and how to get tokens (RFC 8414)",
        operation_id="identity_oauth_metadata",
    )
    async def show_server(request: Request[Any, Any, Any]) -> dict[str, Any]:
        """Of the tenant that the host name belongs to."""
        tenant = resolve_tenant(installation, request)
        issuer = issuer_of(tenant.code, installation.config.base_domain)
        host = request.headers.get("host", "")
        by_host = installation.directory.by_host(host)
        base = issuer
        if by_host is not None and by_host.code == tenant.code:
            base = f"{_scheme(request, proxies)}://{host}"
        return {
            "issuer": issuer,
            "token_endpoint": f"{base}/v1/oauth/token",
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": sorted(installation.registry.permissions),
        }

    return [show_keys, show_server]


def _scheme(request: Request[Any, Any, Any], proxies: Proxies) -> str:
    """As the client wrote it, as far as that can be believed."""
    said = request.headers.get("x-forwarded-proto", "").lower()
    if said in {"http", "https"} and proxies.believes(request.scope):
        return said
    return request.url.scheme
