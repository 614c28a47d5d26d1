"""The Litestar application: gateway, tenant resolution, plugin routes, OpenAPI."""

from pss_api.app import create_app

__all__ = ["create_app"]
