"""Where each plugin has a database role of its own, the airline goes on as before."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from pss_kernel.testing import TestKit

pytestmark = [pytest.mark.xdist_group("security")]


async def test_the_whole_journey(strict: Any) -> None:
    """Orders were sold to every stage, and nothing waits that a plugin could not handle."""
    kit: TestKit = strict.kit
    assert strict.tenant.strict_plugins
    await kit.deliver(strict.tenant)
    for name, plugin in kit.installation.registry.plugins.items():
        for job in plugin.jobs if name in strict.tenant.enabled else ():
            await kit.run_job(strict.tenant, name, job.name)


async def test_what_staff_see(strict: Any) -> None:
    """Lists that staff look at are made of each plugin's own tables."""
    for path in ("/v1/orders/attention", "/v1/inventory/flights", "/v1/ticketing/reconciliation"):
        assert (await strict.staff.get(path)).status_code < 500


@pytest.mark.parametrize(
    ("plugin", "table"),
    [("meals", "orders"), ("pricing", "payment"), ("boarding", "ledger_entry"), ("dcs", "event")],
)
async def test_a_plugin_that_reaches_into_anothers_tables(
    strict: Any, plugin: str, table: str
) -> None:
    """The database refuses it."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with strict.kit.installation.unit_of_work(strict.tenant, plugin=plugin) as uow:
            await uow.hot(f"SELECT * FROM {table}")
