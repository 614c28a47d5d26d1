"""Serving the pages: whose they are is the host name's to say, and nothing else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Request, Response, get
from litestar.datastructures import CacheControlHeader
from litestar.handlers import HTTPRouteHandler
from litestar.router import Router
from litestar.static_files import create_static_files_router

from pss_api.headers import page_policy
from pss_api.limits import draw, note_limits
from pss_api.pages.brand import logo_of, style_of
from pss_kernel.auth import Actor
from pss_kernel.errors import Problem, TenantUnknown, TooManyRequests
from pss_kernel.identity.factors.passkey_options import relying_party_of
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.installation import Installation
from pss_kernel.limits import Taken
from pss_kernel.tenancy import Tenant

__all__ = ["account_pages"]

_PAGES = {
    "/account": "account",
    "/account/sign-in": "sign-in",
    "/account/signed-on": "sign-in",  # the way back from the identity provider
    "/account/invitation": "invitation",
    "/account/password-reset": "password-reset",
    "/account/verification": "verification",
}
"""Path to template. The last three are where links in mails lead: see accounts/letters.py."""

_HERE = Path(__file__).parent
_NEVER_KEPT = {"Cache-Control": "no-store"}
_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def account_pages(installation: Installation) -> list[HTTPRouteHandler | Router]:
    """The handlers, none of which is part of the interface that is described."""

    @get("/account/brand.css", include_in_schema=False, media_type="text/css")
    async def show_style(request: Request[Any, Any, Any]) -> Response[str]:
        """The tenant's colours."""
        tenant = await _tenant(installation, request)
        return Response(style_of(tenant.brand), media_type="text/css", headers=_NEVER_KEPT)

    pages = [_page(installation, path, template) for path, template in _PAGES.items()]
    assets = create_static_files_router(
        path="/account/assets",
        directories=[_HERE / "assets"],
        include_in_schema=False,
        cache_control=CacheControlHeader(no_cache=True),  # asked for again, answered 304
    )
    return [*pages, show_style, assets]


def _page(installation: Installation, path: str, template: str) -> HTTPRouteHandler:
    @get(path, include_in_schema=False, media_type="text/html")
    async def show_page(request: Request[Any, Any, Any]) -> Response[bytes]:
        """A page without anybody's data."""
        try:
            tenant = await _tenant(installation, request)
        except Problem as problem:
            if isinstance(problem, TooManyRequests) and isinstance(problem.taken, Taken):
                note_limits(request.scope, problem.taken)
            return _refused(problem)
        return _html(f"{template}.html", 200, **_facts(installation, tenant))

    return show_page


async def _tenant(installation: Installation, request: Request[Any, Any, Any]) -> Tenant:
    """The tenant of the host name. Raises TenantUnknown, Gone, TooManyRequests."""
    tenant = installation.directory.by_host(request.headers.get("host", ""))
    if tenant is None:
        raise TenantUnknown("Nobody has pages at this address.")
    tenant.refuse_leaving()
    guest = Actor("guest", address=str(request.scope.get("pss_client", "")))
    await draw(installation, request.scope, tenant, guest, "read")
    return tenant


def _facts(installation: Installation, tenant: Tenant) -> dict[str, Any]:
    """What a page knows of its tenant, all of it public."""
    settings = installation.settings_of(tenant, IdentitySettings)
    support = tenant.brand.get("support_email")
    return {
        "name": tenant.name,
        "logo": logo_of(tenant.brand),
        "support": support if isinstance(support, str) else None,
        "least": settings.password_min_length,
        # Where passkeys and single sign-on work: the script compares its own address with these.
        "passkey_origins": relying_party_of(installation, tenant).origins,
        "redirect_uris": settings.sign_on.redirect_uris if settings.sign_on else (),
    }


def _refused(problem: Problem) -> Response[bytes]:
    """For people, who can't read a problem document; nobody's colours, for it is nobody's page."""
    title = "There is nothing here" if isinstance(problem, TenantUnknown) else problem.title
    answer = _html("refused.html", problem.status, title=title, detail=problem.detail)
    if problem.retryable:
        answer.headers["Retry-After"] = str(problem.retry_after)
    return answer


def _html(template: str, status: int, **facts: Any) -> Response[bytes]:
    body = _templates.get_template(template).render(facts).encode()
    headers = _NEVER_KEPT | {"Content-Security-Policy": page_policy(body)}
    return Response(body, status_code=status, media_type="text/html", headers=headers)
