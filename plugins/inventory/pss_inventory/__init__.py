"""Schedules, dated flights and seats: what an airline has to sell."""

from pss_kernel import Permission, Plugin

from .settings import Settings

__all__ = ["plugin"]

plugin = Plugin(
    "inventory",
    version="0.1.0",
    summary="Schedules, dated flights, seats and availability",
    requires=[],
    settings=Settings,
    permissions=[
        Permission("inventory:shop", "See the markets on sale", guest=True),
        Permission("inventory:read", "See flights and their seats", level="user"),
        Permission(
            "inventory:manage", "Set how many seats each booking class may sell", level="manager"
        ),
    ],
    emits=[],
    modules=["availability", "holds", "flights", "routes", "files", "jobs", "commands"],
)
