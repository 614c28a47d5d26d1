"""Filed fares, taxes and priced offers."""

from pss_kernel import Permission, Plugin

from .settings import Settings

__all__ = ["plugin"]

plugin = Plugin(
    "pricing",
    version="0.1.0",
    summary="Filed fares, taxes and priced offers",
    requires=["inventory>=0.1"],
    settings=Settings,
    permissions=[Permission("pricing:shop", "Ask for offers and read them", guest=True)],
    emits=[],
    modules=["files", "services", "routes", "jobs"],
)
