"""The gateway to the sandbox card network, and that network as a server of its own."""

import sys

from pss_kernel import Plugin

from .settings import Settings

__all__ = ["plugin"]

plugin = Plugin(
    "payment_sandbox",
    version="0.1.0",
    summary="Test payments against a card network that runs beside the application",
    requires=["payment>=0.1"],
    settings=Settings,
    modules=["hooks"],
)
plugin.sidecar(
    "payment-sandbox",
    argv=[sys.executable, "-m", "pss_payment_sandbox"],
    env_url="PSS_PAYMENT_SANDBOX_URL",
)
