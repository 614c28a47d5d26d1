"""Orders: from an accepted offer to a paid, ticketed or cancelled journey."""

from pss_kernel import Permission, Plugin, UpTo

from .contracts import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderExpired,
    OrderTicketed,
    ServiceAdded,
)
from .privacy import PERSONAL
from .settings import Settings

__all__ = ["plugin"]

plugin = Plugin(
    "reservation",
    version="0.1.0",
    summary="Orders, holds, services and cancellations",
    requires=["inventory>=0.1", "pricing>=0.1"],
    settings=Settings,
    permissions=[
        Permission("reservation:book", "Make orders from offers", level="agent", guest=True),
        Permission(
            "reservation:read", "See orders; a guest: the own order", level="agent", guest=True
        ),
        Permission(
            "reservation:change",
            "Add services, ask what cancelling gives back; a guest: the own order",
            level="agent",
            guest=True,
        ),
        Permission(
            "reservation:cancel",
            "Cancel an order as quoted; a guest: the own order",
            level="agent",
            guest=True,
            rules=(UpTo("what is given back"),),
        ),
        Permission(
            "reservation:special",
            "See what passengers chose that tells of health or belief, such as meals",
            level="admin",
            special=True,
        ),
        Permission(
            "reservation:manage", "See histories and work the attention queue", level="manager"
        ),
    ],
    emits=[
        OrderCreated,
        OrderConfirmed,
        OrderTicketed,
        OrderCancelled,
        OrderExpired,
        ServiceAdded,
    ],
    personal=PERSONAL,
    modules=["routes", "services", "jobs", "persons"],
)
