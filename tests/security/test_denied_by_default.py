"""Nothing is open that nobody declared: a route without a permission fails here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from litestar import get
from litestar.handlers import BaseRouteHandler

from pss_api.app import build
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit

_PUBLIC = {
    ("GET", "/v1/tenant"): "who answers here, with its brand: what every web page of it shows",
    ("POST", "/v1/oauth/token"): "where a client gives its credentials, so it has none before",
    ("GET", "/.well-known/oauth-authorization-server"): "says where that is (RFC 8414)",
    ("GET", "/.well-known/jwks.json"): "the public halves of the signing keys",
    ("GET", "/health"): "a probe of the machine's own; says that the process lives",
    ("GET", "/ready"): "a probe of the machine's own; says whether the database answers",
    **{
        ("GET", f"/account{page}"): "a page for people, the same for everybody: no data in it"
        for page in (
            "",
            "/sign-in",
            "/signed-on",
            "/invitation",
            "/password-reset",
            "/verification",
        )
    },
    ("GET", "/account/brand.css"): "the airline's colours for those pages",
    ("GET", "/account/assets/{file_path}"): "their scripts and style",
    ("GET", "/docs"): "the page that describes the interface",
    ("GET", "/docs/openapi.json"): "the description itself: the same for every caller",
    ("GET", "/docs/{path}"): "the same page",
    ("GET", "/docs/oauth2-redirect.html"): "a part of that page",
    ("GET", "/docs-assets/{file_path}"): "its script and style",
}
"""Every operation that asks for no permission, with the reason. None of them may show data."""

_IMPLIED = {"HEAD", "OPTIONS"}  # Litestar answers these itself, from the operation's own


def _operations(application: Any) -> Iterator[tuple[str, str, BaseRouteHandler]]:
    """Each method and path that the application serves, wherever it is mounted."""
    for route in application.routes:
        handlers = getattr(route, "route_handlers", None) or [route.route_handler]
        for handler in handlers:
            for method in getattr(handler, "http_methods", {"GET", "POST"}):
                if method not in _IMPLIED:
                    yield str(method), route.path_format, handler


def _undeclared(installation: Installation, application: Any) -> set[tuple[str, str]]:
    known = installation.registry.permissions
    return {
        (method, path)
        for method, path, handler in _operations(application)
        if not (handler.opt.get("permission") in known and handler.guards)
    }


def test_every_route_declares_a_permission(installation: Installation) -> None:
    """What asks for no permission stands on the list of public operations, with its reason."""
    assert set(_PUBLIC) == _undeclared(installation, build(installation))


def test_an_undeclared_route_is_found(installation: Installation) -> None:
    """The look sees a route that somebody adds beside the plugins."""

    @get("/v1/forgotten")
    async def forgotten() -> str:
        return "open"

    application = build(installation)
    application.register(forgotten)
    assert {("GET", "/v1/forgotten")} == _undeclared(installation, application) - set(_PUBLIC)


async def test_guests_are_refused_everywhere_else(kit: TestKit) -> None:
    """Each operation whose permission is not for guests answers a guest 401, whatever is sent."""
    registry = kit.installation.registry
    tenant = await kit.make_tenant(plugins=[one for one in registry.plugins if one != "demo"])
    refused, open_to_guests = {}, []
    async with kit.http(tenant) as guest:
        for plugin in registry.plugins.values():
            for route in plugin.routes:
                if plugin.name not in tenant.enabled:
                    continue
                if registry.permissions[route.permission].guest:
                    open_to_guests.append(route)
                    continue
                path = "/v1" + re.sub(r"{\w+(:\w+)?}", "1", route.path)
                answer = await guest.request(route.method, path, content=b"{not json")
                refused[route.method, route.path] = answer.status_code
    assert {401} == set(refused.values()), refused
    assert open_to_guests
