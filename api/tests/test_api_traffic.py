"""Each tenant's requests are counted, with what failed and how long it took."""

from __future__ import annotations

from typing import Any

import httpx

from pss_api import create_app
from pss_api.traffic import TrafficCounter
from pss_kernel import Permission, Plugin, UnitOfWork
from pss_kernel.installation import Installation
from pss_kernel.registry import Registry
from pss_kernel.rollout._traffic import Traffic, busiest, fared
from pss_kernel.testing import TestKit


def _plugin() -> Plugin:
    plugin = Plugin(
        "answers",
        version="1",
        package="pss_kernel.testing",  # a package without migrations
        permissions=[Permission("answers:see", "See", guest=True)],
    )

    @plugin.get("/answers/{kind:str}", permission="answers:see")
    async def answer(uow: UnitOfWork, kind: str) -> dict[str, str]:
        """Answer, or fail."""
        if kind == "failing":
            raise ZeroDivisionError
        return {"kind": kind}

    return plugin


async def test_requests_are_counted(installation: Installation) -> None:
    """Those that were admitted, for their tenant; a plain 404 of nobody's counts nowhere."""
    beside = Installation(installation.config, Registry([_plugin()]), installation.cells)
    await beside.directory.refresh()
    tenant = await TestKit(beside).make_tenant(plugins=["answers"])
    counter = TrafficCounter(beside)
    application: Any = create_app(beside, counter)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application, raise_app_exceptions=False),
        base_url="http://test.invalid",
        headers={"PSS-Tenant": tenant.code},
    ) as client:
        for path in ("answers/well", "answers/well", "answers/failing", "nothing"):
            await client.get(f"/v1/{path}")
    await counter.flush()
    await counter.flush()  # nothing is counted twice
    assert {tenant.code: 3} == await busiest(beside.database, [tenant.code])
    before, after = await fared(beside.database, [tenant.code])
    before.merge(after)
    assert (3, 1, 3) == (before.requests, before.errors, sum(before.latency))


def test_a_histogram() -> None:
    """The bound that 95 of 100 requests did not exceed."""
    traffic = Traffic()
    assert traffic.p95 is None
    for milliseconds in [3] * 94 + [80] * 5 + [900]:
        traffic.note(200, milliseconds / 1000)
    assert (100, 0, 100) == (traffic.requests, traffic.errors, traffic.p95)
    traffic.note(503, 1_000_000)
    assert (1, 60_000) == (traffic.errors, Traffic(1, 0, [0] * 11 + [1]).p95)
