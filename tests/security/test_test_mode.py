"""Test and live data of one airline never mix, whatever key is used and whatever is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from pss_kernel.tenancy._file import load_tenant
from pss_kernel.tenancy._plan import apply_tenant
from pss_kernel.tenancy._test_mode import twin_of_definition
from pss_outside.airlines import AURELIS
from pss_outside.openapi import operations, sent_to, targets

pytestmark = [pytest.mark.xdist_group("security")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def twin(victim: Any, tenants_folder: Path) -> Any:
    """The victim's test data, made of the same folder."""
    installation = victim.kit.installation
    wanted = load_tenant(tenants_folder / AURELIS, installation.registry)
    live = msgspec.structs.replace(wanted, code=victim.tenant.code, domains=[])
    await apply_tenant(installation, twin_of_definition(live))
    return installation.directory.by_code(f"{victim.tenant.code}_test")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def test_key(victim: Any, twin: Any) -> dict[str, str]:
    """Credentials for the test data, sent to the airline itself."""
    key = await victim.kit.api_key(twin, ["*"])
    return {"PSS-Tenant": victim.tenant.code, "Authorization": f"Bearer {key}"}


async def test_a_test_key_sees_nothing_live(
    victim: Any, belongings: Any, test_key: dict[str, str]
) -> None:
    """With a test key every id of live data is 404, and no answer holds a live secret."""
    document = (await victim.guest.get("/docs/openapi.json")).json()
    wrong, by_ids = [], 0
    for operation in operations(document):
        if operation.method != "GET":
            continue
        path = next(targets(operation, belongings.named))
        sent = sent_to(operation, document, belongings.named)
        arguments = sent | {"headers": sent.get("headers", {}) | test_key}
        answer = await victim.guest.request("GET", path, **arguments)
        asked = {text for text in belongings.secrets if text in str(answer.request.url)}
        told = {text for text in belongings.secrets - asked if text in answer.text}
        if "test" != answer.headers.get("PSS-Mode") or told:
            wrong.append((str(operation), answer.status_code, sorted(told)))
        if asked and "{" in operation.path:
            by_ids += 1
            if answer.status_code != 404:
                wrong.append((str(operation), answer.status_code, answer.text[:200]))
    assert [] == wrong
    assert by_ids > 5


async def test_a_live_key_sees_nothing_of_the_test_data(victim: Any, twin: Any, sell: Any) -> None:
    """With a live key every id of test data is 404; the twin itself can't be named with it."""
    tried = await sell(victim.kit, twin)
    # Test keys themselves are looked after from the live side: they are no test data.
    tried.secrets.discard(tried.named.pop("key_id"))
    document = (await victim.guest.get("/docs/openapi.json")).json()
    wrong, by_ids = [], 0
    for operation in operations(document):
        if operation.method != "GET" or "{" not in operation.path:
            continue
        path = next(targets(operation, tried.named))
        arguments = sent_to(operation, document, tried.named)
        answer = await victim.staff.get(path, **arguments)
        asked = {text for text in tried.secrets if text in str(answer.request.url)}
        by_ids += bool(asked)
        if asked and (answer.status_code != 404 or "PSS-Mode" in answer.headers):
            wrong.append((str(operation), answer.status_code, answer.text[:200]))
        named = arguments.get("headers", {}) | {"PSS-Tenant": twin.code}
        answer = await victim.staff.get(path, **(arguments | {"headers": named}))
        if (403, "wrong-mode") != (answer.status_code, answer.json()["code"]):
            wrong.append((str(operation), answer.status_code, answer.text[:200]))
    assert [] == wrong
    assert by_ids > 5


async def test_writing_with_a_test_key(
    victim: Any, twin: Any, belongings: Any, test_key: dict[str, str]
) -> None:
    """What is sold with a test key is sold in the twin's tables; the live ones stay as they are."""
    assert belongings.named

    async def orders(tenant: Any) -> int:
        async with victim.kit.unit_of_work(tenant) as uow:
            ((count,),) = await uow.hot("SELECT count(*) FROM orders")
        return int(count)

    before = await orders(victim.tenant), await orders(twin)
    day = str((datetime.now(UTC) + timedelta(days=2)).date())
    offers = await victim.guest.post(
        "/v1/offer-requests",
        json={
            "slices": [{"origin": "VIE", "destination": "LHR", "departure_date": day}],
            "passengers": [{"type": "adult"}],
        },
        headers=test_key,
    )
    offer = offers.json()["offers"][0]
    person = {"type": "adult", "given_name": "Test", "family_name": "Mode"}
    answer = await victim.guest.post(
        "/v1/orders",
        json={"offer_id": offer["id"], "passengers": [person], "hold": True},
        headers=test_key,
    )
    assert (201, "test") == (answer.status_code, answer.headers["PSS-Mode"]), answer.text
    assert (before[0], before[1] + 1) == (await orders(victim.tenant), await orders(twin))
