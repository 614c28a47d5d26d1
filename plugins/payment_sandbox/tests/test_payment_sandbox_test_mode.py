"""Which gateways are opened for test data."""

from typing import Any

import pytest

from pss_kernel import Unavailable
from pss_kernel.tenancy._test_mode import enable_test_mode
from pss_kernel.testing import TestKit
from pss_payment.gateways import gateway_for
from pss_payment_sandbox.gateway import NAME, SandboxGateway


@pytest.mark.parametrize("name", [None, NAME])
async def test_a_live_gateway_is_refused(
    kit: TestKit, network: Any, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    """Test data are paid for through a gateway that only plays; live data through any."""
    live = await kit.make_tenant(settings={"payment_sandbox": {"url": network.url}})
    twin = await enable_test_mode(kit.installation, live.code)
    for plays, tenant in ((True, live), (True, twin), (False, live)):
        monkeypatch.setattr(SandboxGateway, "test", plays)
        async with kit.unit_of_work(tenant) as uow:
            gateway = await gateway_for(uow, "card", name)
        assert gateway is not None
        await gateway.aclose()
    async with kit.unit_of_work(twin) as uow:
        with pytest.raises(Unavailable) as refused:
            await gateway_for(uow, "card", name)
        assert ("live-gateway", False) == (refused.value.code, refused.value.retryable)
        assert await gateway_for(uow, "cash", name) is None
