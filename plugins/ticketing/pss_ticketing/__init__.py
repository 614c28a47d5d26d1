"""Electronic tickets: issued once for every paid passenger, used once, refunded with the money."""

from pss_kernel import Permission, Plugin

from .contracts import CouponMoved, TicketIssued
from .privacy import PERSONAL
from .settings import Settings

__all__ = ["plugin"]

plugin = Plugin(
    "ticketing",
    version="0.1.0",
    summary="Electronic tickets and their coupons",
    requires=["pricing>=0.1", "reservation>=0.1", "payment>=0.1"],
    settings=Settings,
    permissions=[
        Permission("ticketing:read", "Read tickets, coupons and the reconciliation", level="agent"),
    ],
    emits=[TicketIssued, CouponMoved],
    personal=PERSONAL,
    modules=["services", "handlers", "hooks", "jobs", "routes"],
)
