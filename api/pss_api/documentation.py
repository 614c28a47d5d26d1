"""The OpenAPI document and its page, which works without reaching anything outside."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.router import Router
from litestar.static_files import create_static_files_router

from pss_api.versions import Change
from pss_kernel._version import __version__
from pss_kernel.api_versions import NEWEST, VERSIONS

__all__ = ["openapi_assets", "openapi_config"]

_ASSETS = "/docs-assets"
_DESCRIPTION = """\
The HTTP interface of an airline. The tenant is the host name's, or the one named in the header
`PSS-Tenant`. Operations open to guests need no key; for the others press *Authorize* and paste
an API key (`pss apikey create`) or an access token (`POST /v1/sessions`). Every POST takes an
`Idempotency-Key`.
"""


def openapi_config(changes: tuple[Change, ...]) -> OpenAPIConfig:
    """The document at ``/docs/openapi.json``, the page at ``/docs``."""
    return OpenAPIConfig(
        title="Passenger service system",
        version=__version__,
        description=f"{_DESCRIPTION}\n{_versions(changes)}",
        path="/docs",
        render_plugins=[
            SwaggerRenderPlugin(
                path="/",
                js_url=f"{_ASSETS}/swagger-ui-bundle.js",
                css_url=f"{_ASSETS}/swagger-ui.css",
                standalone_preset_js_url=f"{_ASSETS}/swagger-ui-standalone-preset.js",
                favicon=f'<link rel="icon" type="image/png" href="{_ASSETS}/favicon-32x32.png">',
            ),
            JsonRenderPlugin(path="/openapi.json"),
        ],
        components=Components(
            security_schemes={
                "key": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    description="An API key, `pss_…`, or an access token",
                )
            }
        ),
        use_handler_docstrings=True,
    )


def _versions(changes: tuple[Change, ...]) -> str:
    lines = ["This document describes the version that the header `PSS-Version` calls"]
    lines.append(f"`{NEWEST}`. What the versions before it have otherwise:\n")
    for version in reversed(VERSIONS[1:]):
        lines += [f"* `{version}`: {one.summary}" for one in changes if one.version == version]
    return "\n".join(lines)


def openapi_assets() -> Router:
    """The page's script and style, from the installed package that brings them."""
    # Found, not imported: only its files are of use here.
    found = find_spec("swagger_ui")
    assert found is not None, "swagger-ui-py is a dependency of this distribution"
    assert found.origin is not None
    return create_static_files_router(
        path=_ASSETS, directories=[Path(found.origin).parent / "static"], include_in_schema=False
    )
