"""Where each plugin has a database role of its own, the airline goes on as before."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from pss_kernel.testing import TestKit
from pss_outside.openapi import operations, sent_to, targets

pytestmark = [pytest.mark.xdist_group("security")]


_SILENT = {
    "DELETE /v1/accounts/{account_id}/sessions": "there was none to end",
    "POST /v1/refunds/{refund_id}/retry": "it was paid back long ago, so nothing was tried",
    "POST /v1/flights/{flight_id}/boardings": "each scan is a row of boarding_scan, by whom too",
}


async def _entries(side: Any) -> int:
    """How long the airline's audit trail is."""
    async with side.kit.installation.cell(side.tenant).owner() as owner:
        found: int = await owner.fetchval(f"SELECT count(*) FROM {side.tenant.schema}.audit_entry")
        return found


async def test_everything_is_answered(strict: Any) -> None:
    """Orders were sold to every stage; every operation, job and event finds its tables."""
    side, sold = strict
    kit: TestKit = side.kit
    assert side.tenant.strict_plugins
    document = (await side.guest.get("/docs/openapi.json")).json()
    wrong = []
    silent = []
    async with side.super_admin() as person:
        # What reads comes first; whoever signs out is refused afterwards for that alone.
        for operation in sorted(
            operations(document),
            key=lambda one: (one.method != "GET", one.path == "/v1/sessions/current"),
        ):
            path = next(targets(operation, sold.named))
            sent = sent_to(operation, document, sold.named)
            client = person if operation.plugin == "identity" else side.staff
            before = await _entries(side)
            answer = await client.request(operation.method, path, **sent)
            reads = operation.method == "GET"
            privileged = not (reads or operation.guest)
            if privileged and answer.is_success and before == await _entries(side):
                silent.append(str(operation))
            if answer.status_code != 200 if reads else answer.status_code >= 500:
                wrong.append((str(operation), answer.status_code, answer.text))
    assert [] == wrong
    assert sorted(_SILENT) == sorted(
        silent
    )  # what only some may do is in the audit trail, whatever plugin does it
    await kit.deliver(side.tenant)
    for name, plugin in kit.installation.registry.plugins.items():
        for job in plugin.jobs if name in side.tenant.enabled else ():
            await kit.run_job(side.tenant, name, job.name)


@pytest.mark.parametrize(
    ("plugin", "table"),
    [("meals", "orders"), ("pricing", "payment"), ("boarding", "ledger_entry"), ("dcs", "event")],
)
async def test_a_plugin_that_reaches_into_anothers_tables(
    strict: Any, plugin: str, table: str
) -> None:
    """The database refuses it."""
    side, _ = strict
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with side.kit.installation.unit_of_work(side.tenant, plugin=plugin) as uow:
            await uow.hot(f"SELECT * FROM {table}")
