"""Payments of orders, their refunds and the double-entry ledger behind both."""

from pss_kernel import Permission, Plugin, UpTo

from .contracts import PaymentCaptured, PaymentRefunded
from .settings import Settings

__all__ = ["plugin"]

plugin = Plugin(
    "payment",
    version="0.1.0",
    summary="Payments, refunds and the ledger of each order",
    requires=["reservation>=0.1"],
    settings=Settings,
    permissions=[
        Permission(
            "payment:pay", "Pay for an order and see that payment", level="agent", guest=True
        ),
        Permission("payment:read", "See the ledger of an order", level="agent"),
        Permission(
            "payment:refund",
            "Retry a refund that the gateway has refused",
            level="manager",
            step_up=True,
            rules=(UpTo("what is given back"),),
        ),
    ],
    emits=[PaymentCaptured, PaymentRefunded],
    modules=["services", "routes", "handlers", "jobs"],
)
