import os

from pss_kernel import CallLimits, Unavailable, UnitOfWork
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
    client = uow.outgoing(
        "card-network",
        base_url=url,
        internal=not settings.url,  # the variable is the operator's, the setting a tenant's
        headers={"Merchant": uow.tenant.code},
        limits=CallLimits(
            read_seconds=settings.timeout_seconds,
            total_seconds=settings.timeout_seconds,
            attempts=settings.connect_attempts,
            open_seconds=5.0,
        ),
    )
    return SandboxGateway(client)
