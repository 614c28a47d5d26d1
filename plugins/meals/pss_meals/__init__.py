"""Special meals: a menu, passengers' choices, and the list for the caterer."""

from pss_kernel import Permission, Plugin

from .contracts import CateringListed
from .privacy import PERSONAL
from .settings import Settings

__all__ = ["plugin"]

plugin = Plugin(
    "meals",
    version="0.1.0",
    summary="Special meals on board",
    requires=["reservation>=0.1"],
    settings=Settings,
    permissions=[
        Permission("meals:read", "See the menu; a guest: the meals of the own order", guest=True),
        Permission("meals:special", "See which passenger eats what", level="admin", special=True),
    ],
    emits=[CateringListed],
    personal=PERSONAL,
    modules=["routes", "hooks", "handlers", "jobs"],
)
