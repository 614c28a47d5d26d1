import os

from pss_kernel import Unavailable, UnitOfWork
from pss_payment.contracts import open_gateway

from . import plugin
from .gateway import NAME, SandboxGateway
from .settings import Settings

__all__: list[str] = []


@plugin.hook(open_gateway, order=1000)
async def open_sandbox(
    uow: UnitOfWork, method_type: str, gateway: str | None
) -> SandboxGateway | None:
    """Give the sandbox's gateway for cards, after any other plugin that takes them."""
    if method_type != "card" or gateway not in {None, NAME}:
        return None
    settings = uow.settings(Settings)
    url = settings.url or os.environ.get("PSS_PAYMENT_SANDBOX_URL", "")
    if not url:
        raise Unavailable(
            "The address of the sandbox card network is not known.",
            code="payment-sandbox-unconfigured",
            mend="Run 'pss serve', or set PSS_PAYMENT_SANDBOX_URL or the setting 'url'.",
        )
    return SandboxGateway(url, uow.tenant.code, settings.timeout_seconds, settings.connect_attempts)
