"""Building the application from what is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from litestar import Litestar, Request, get
from litestar.router import Router
from litestar.types import ASGIApp

from pss_api.admission import identify
from pss_api.documentation import openapi_assets, openapi_config
from pss_api.endpoint import handler_of
from pss_api.gateway import Gateway
from pss_api.limits import draw
from pss_api.oauth import token_endpoint
from pss_api.pages import account_pages
from pss_api.problems import HANDLERS
from pss_api.traffic import TrafficCounter
from pss_api.versions import Change
from pss_api.versions_changes import CHANGES
from pss_api.well_known import well_known
from pss_kernel._version import __version__
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.keys._refusals import refuse_insecure
from pss_kernel.observability import configure_logging
from pss_kernel.registry import Registry
from pss_kernel.tenancy._absent import report_absent

__all__ = ["application", "build", "create_app"]


class TenantAnswer(msgspec.Struct, frozen=True):
    """What a front end needs to dress as the airline and to know what it can offer."""

    code: str
    name: str
    brand: dict[str, Any]
    locales: list[str]
    currency: str
    time_zone: str
    plugins: list[str]
    mode: Literal["live", "test"]


class Health(msgspec.Struct, frozen=True):
    """``ok`` while requests can be served; ``degraded`` names what is done without."""

    status: str
    version: str
    degraded: list[str] = []


def create_app(
    installation: Installation,
    traffic: TrafficCounter | None = None,
    changes: tuple[Change, ...] = CHANGES,
) -> ASGIApp:
    """The application for an installation that is already open, behind the gateway."""
    return Gateway(build(installation, changes), installation, traffic)


def build(installation: Installation, changes: tuple[Change, ...] = CHANGES) -> Litestar:
    """The Litestar application alone: its routes and its OpenAPI document."""

    @get("/tenant", tags=["tenant"], summary="Who this is", operation_id="tenant_show")
    async def show_tenant(request: Request[Any, Any, Any]) -> TenantAnswer:
        """The tenant's code, name, brand, locales, currency and enabled plugins.

        `mode`: `test` where these are test data: with a test key, say.
        """
        tenant, actor = await identify(installation, request)
        await draw(installation, request.scope, tenant, actor, "read")
        return TenantAnswer(
            tenant.code,
            tenant.name,
            tenant.brand,
            list(tenant.locales),
            tenant.currency,
            tenant.time_zone,
            sorted(tenant.enabled & installation.registry.plugins.keys()),
            tenant.mode,
        )

    @get("/health", tags=["operations"], summary="Liveness", operation_id="health")
    async def health() -> Health:
        """Answers while the process lives; touches nothing else."""
        return Health("ok", __version__)

    @get("/ready", tags=["operations"], summary="Readiness", operation_id="ready")
    async def ready() -> Health:
        """``ok`` while the database answers, else 503; ``degraded`` names what else is away."""
        await installation.directory.refresh()
        shared = await installation.limiter.buckets.look()
        return Health("ok", __version__, [] if shared else ["redis"])

    handlers = [
        handler_of(installation, declared, changes)
        for plugin in installation.registry.plugins.values()
        for declared in plugin.routes
    ]
    return Litestar(
        route_handlers=[
            Router("/v1", route_handlers=[show_tenant, token_endpoint(installation), *handlers]),
            *well_known(installation),
            *account_pages(installation),
            health,
            ready,
            openapi_assets(),
        ],
        exception_handlers=HANDLERS,
        request_max_body_size=installation.config.max_body_bytes,
        openapi_config=openapi_config(changes),
        debug=False,
        logging_config=None,
    )


def application() -> Any:
    """For the server: an ASGI application that opens its installation when it starts."""
    config = Config.from_environment()
    configure_logging(config)
    refuse_insecure(config)  # whoever runs it: 'pss serve' has looked already
    return _Opening(config)


class _Opening:
    """Opens the installation in the server's own event loop, then serves the application."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            async with self._opened():
                await self._lifespan(receive, send)
            return
        assert self._app is not None
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        registry = Registry.discover()
        registry.report_broken()
        async with open_installation(self._config, registry) as installation:
            report_absent(installation)
            traffic = TrafficCounter(installation)
            self._app = create_app(installation, traffic)
            async with traffic.running():
                yield

    @staticmethod
    async def _lifespan(receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
