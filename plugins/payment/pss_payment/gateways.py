"""Opening a gateway: in test mode one that moves nobody's money, or none."""

from pss_kernel import Unavailable, UnitOfWork

from .contracts import Gateway, open_gateway

__all__ = ["gateway_for"]


async def gateway_for(uow: UnitOfWork, method_type: str, name: str | None = None) -> Gateway | None:
    """A gateway for the method ("card"), or the one of that name; None where there is none.

    Raises Unavailable ("live-gateway") where real money would be moved for test data.
    """
    gateway = await uow.call(open_gateway, method_type=method_type, gateway=name)
    if gateway is None or gateway.test or uow.tenant.test_of is None:
        return gateway
    await gateway.aclose()
    raise Unavailable(
        f"The gateway {gateway.name!r} moves real money: it is not used for test data.",
        code="live-gateway",
        mend="Enable payment_sandbox for the test data, or a gateway's own test account.",
        retryable=False,
    )
