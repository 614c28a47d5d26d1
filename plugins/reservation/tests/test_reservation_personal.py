"""Personal facts of passengers: sealed in the tables, gone for good once they are erased."""

import json
from typing import Any

import pytest

from pss_kernel.tenancy import Tenant

Fixture = Any

PRIVATE = {
    "born_on": "1980-05-17",
    "email": "ada.keller@example.org",
    "phone": "+43 1 2345678",
    "documents": [{"type": "passport", "number": "P1234567", "issuing_country": "AT"}],
}
TEXTS = ("1980-05-17", "ada.keller", "2345678", "P1234567")


async def _tables(kit: Fixture, tenant: Tenant) -> dict[str, str]:
    """The raw contents of each table of the airline."""
    found = {}
    async with kit.installation.cell(tenant).owner() as owner:
        names = await owner.fetch(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1", tenant.schema
        )
        for (name,) in names:
            rows = await owner.fetch(f'SELECT r::text FROM "{tenant.schema}"."{name}" r')
            found[name] = "\n".join(row[0] for row in rows)
    # Answers that are kept for repeated requests are bytes.
    async with kit.installation.cell(tenant).owner() as owner:
        bodies = await owner.fetch(f'SELECT body FROM "{tenant.schema}".idempotency')
    found["idempotency"] = b"\n".join(row[0] or b"" for row in bodies).decode("latin-1")
    return found


def _with(tables: dict[str, str], *texts: str) -> set[str]:
    return {name for name, rows in tables.items() if any(text in rows for text in texts)}


async def _ordered(
    airline: Fixture, accept: Fixture, http: Fixture
) -> tuple[dict[str, Any], Fixture]:
    """An order with personal facts, and what sends the same request again."""
    staff = await http(airline.tenant, ["reservation:read", "reservation:book"])
    body = accept(airline.offer("adult", "adult"))
    body["passengers"] = [body["passengers"][0] | PRIVATE, body["passengers"][1]]

    async def send() -> Any:
        return await staff.post("/v1/orders", json=body, headers={"Idempotency-Key": "once"})

    order: dict[str, Any] = (await send()).json()
    assert PRIVATE["email"] == order["passengers"][0]["email"]
    return order, send


async def test_sealed_then_erased(
    airline: Fixture, accept: Fixture, http: Fixture, kit: Fixture
) -> None:
    """No table of the plugins has them in clear; erased, the order shows that and goes on."""
    order, send = await _ordered(airline, accept, http)
    ada, other = order["passengers"]
    before = await _tables(kit, airline.tenant)
    assert ada["id"] in before["person_key"]
    assert other["id"] not in before["person_key"]
    assert set() == _with(before, *TEXTS)
    async with kit.unit_of_work(airline.tenant) as uow:
        assert [ada["id"]] == await uow.erase_persons(ada["id"])
    after = await _tables(kit, airline.tenant)
    assert set() == _with(after, *TEXTS)
    assert before["order_passenger"] == after["order_passenger"]  # the same, and nothing opens it
    staff = await http(airline.tenant, ["reservation:read", "reservation:book"])
    shown = (await staff.get(f"/v1/orders/{order['id']}")).json()["passengers"]
    expected = {"born_on": None, "email": None, "phone": None, "documents": [], "erased": True}
    assert ada | expected == shown[0]
    assert other == shown[1]
    guest = await http(airline.tenant)
    known = {"booking_reference": order["booking_reference"], "family_name": ada["family_name"]}
    found = await guest.get("/v1/orders", params=known)
    assert (200, True) == (found.status_code, found.json()["passengers"][0]["erased"])
    again = await send()
    assert (410, "person-erased") == (again.status_code, again.json()["code"])
    assert [] == [text for text in TEXTS if text in again.text]


async def test_on_the_tables_of_the_version_before(
    airline: Fixture, accept: Fixture, http: Fixture, kit: Fixture
) -> None:
    """Until an airline's tables are migrated, orders are made and read as they were before."""
    tenant = airline.tenant
    async with kit.installation.cell(tenant).owner() as owner, owner.transaction():
        await owner.execute(f'ALTER TABLE "{tenant.schema}".order_passenger DROP COLUMN personal')
        await owner.execute(
            "UPDATE pss.tenant_plugin SET revision = '0001' "
            "WHERE tenant = $1 AND plugin = 'reservation'",
            tenant.code,
        )
    await kit.installation.directory.refresh()
    order, _ = await _ordered(airline, accept, http)
    assert {"order_passenger"} == _with(await _tables(kit, tenant), *TEXTS)
    staff = await http(tenant, ["reservation:read"])
    shown = (await staff.get(f"/v1/orders/{order['id']}")).json()
    assert order["passengers"] == shown["passengers"]


@pytest.mark.parametrize("in_clear", [True, False])
async def test_what_an_earlier_version_wrote(
    airline: Fixture, accept: Fixture, http: Fixture, kit: Fixture, run_job: Fixture, in_clear: bool
) -> None:
    """Facts that stand in clear are read as they are, and sealed by a job."""
    order, _ = await _ordered(airline, accept, http)
    (ada, _) = order["passengers"]
    if in_clear:
        async with kit.unit_of_work(airline.tenant) as uow:
            await uow.hot(
                "UPDATE order_passenger SET personal = NULL, born_on = '1980-05-17', "
                "email = 'ada.keller@example.org', phone = '+43 1 2345678', "
                "documents = $2::text::jsonb WHERE id = $1",
                ada["id"],
                json.dumps(PRIVATE["documents"]),
            )
        assert "order_passenger" in _with(await _tables(kit, airline.tenant), *TEXTS)
    staff = await http(airline.tenant, ["reservation:read"])
    path = f"/v1/orders/{order['id']}"
    assert order["passengers"] == (await staff.get(path)).json()["passengers"]
    await run_job(airline.tenant, "reservation", "seal_passengers")
    assert set() == _with(await _tables(kit, airline.tenant), *TEXTS)
    assert order["passengers"] == (await staff.get(path)).json()["passengers"]
