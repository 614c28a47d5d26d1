"""Two airlines side by side: one attacks, the other has something to lose."""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit
from pss_outside.airlines import AURELIS, trimmed
from pss_outside.processes import free_port, network
from pss_outside.traveller import Traveller, credentials
from pss_signing_in.people import make_person

_DAYS = 4  # of flights
_FAMILY = "Kanarienvogel"  # nobody else has this name


@dataclass
class Side:
    """One airline: its guests, its staff, and a key that may do nothing."""

    tenant: Tenant
    kit: TestKit
    guest: httpx.AsyncClient
    staff: httpx.AsyncClient
    powerless: httpx.AsyncClient

    @asynccontextmanager
    async def super_admin(self) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody new who may do all, signed in just now with a second factor."""
        person = await make_person(self.kit, self.tenant, "super_admin")
        await person.sign_in({"pwd", "otp", "mfa"})
        async with self.kit.http(self.tenant) as client:
            client.headers.update(person.headers)
            yield client


@dataclass
class Belongings:
    """What an airline has: ids by the name of the field they stand in, and every secret text.

    ``secrets`` are the texts that nobody of another airline may ever be told.
    """

    named: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)


@pytest.fixture(scope="session")
def tenants_folder() -> Iterator[Path]:
    """The airline's files, with a card network that runs."""
    with tempfile.TemporaryDirectory(prefix="pss-security-") as name:
        folder, port = Path(name), free_port()
        with network(folder, port):
            yield trimmed(
                folder / "tenants",
                days=_DAYS,
                airlines=(AURELIS,),
                settings={"payment_sandbox": f'url = "http://127.0.0.1:{port}"'},
                through_fares=False,
            )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sides(installation: Any, tenants_folder: Path) -> AsyncIterator[tuple[Side, Side]]:
    """The attacker and the victim: twins, so that what is not secret looks alike."""
    kit = TestKit(installation)
    async with AsyncExitStack() as stack:
        made = []
        for code in ("attacker", "victim"):
            tenant = await kit.apply(tenants_folder / AURELIS, code=code)
            clients = [
                await stack.enter_async_context(kit.http(tenant, scopes))
                for scopes in (None, ["*"], ["meals:read"])
            ]
            made.append(Side(tenant, kit, *clients))
        yield (made[0], made[1])


@pytest.fixture(scope="session")
def attacker(sides: tuple[Side, Side]) -> Side:
    """Whose credentials are used."""
    return sides[0]


@pytest.fixture(scope="session")
def victim(sides: tuple[Side, Side]) -> Side:
    """Whose ids are used."""
    return sides[1]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def document(attacker: Side) -> dict[str, Any]:
    """The interface as it describes itself: new routes are in it by themselves."""
    found: dict[str, Any] = (await attacker.guest.get("/docs/openapi.json")).json()
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def belongings(victim: Side) -> Belongings:
    """An order at each stage at the victim, and every id of everything about it."""
    return await _sold(victim)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def strict(installation: Any, tenants_folder: Path) -> AsyncIterator[tuple[Side, Belongings]]:
    """A third airline, whose plugins have database roles of their own, and all stages of orders."""
    kit = TestKit(installation)
    folder = tenants_folder.parent / "strict"
    shutil.copytree(tenants_folder / AURELIS, folder)
    file = folder / "tenant.toml"
    file.write_text(file.read_text().replace("[tenant]", "[tenant]\nstrict_plugins = true"))
    tenant = await kit.apply(folder, code="strict")
    async with kit.http(tenant) as guest, kit.http(tenant, ["*"]) as staff:
        side = Side(tenant, kit, guest, staff, guest)
        yield side, await _sold(side)


@pytest.fixture(scope="session")
def sell() -> Any:
    """Give the function that sells an order to each stage at an airline."""

    async def sold(kit: TestKit, tenant: Tenant) -> Belongings:
        async with kit.http(tenant) as guest, kit.http(tenant, ["*"]) as staff:
            return await _sold(Side(tenant, kit, guest, staff, guest))

    return sold


async def _sold(side: Side) -> Belongings:
    """Sell an order to each stage; gives what there is of it."""
    kit, tenant = side.kit, side.tenant
    guest = Traveller(side.guest, settle=lambda: kit.deliver(tenant))
    staff = Traveller(side.staff)
    offer = await guest.bookable("LHR", "ATH", "adult", "child", segments=2)
    order = await guest.ticketed(offer, family_name=_FAMILY)
    service = {
        "type": "meal",
        "code": "VGML",
        "passenger_id": order["passengers"][0]["id"],
        "segment_id": order["slices"][0]["segments"][0]["id"],
    }
    ordered = await guest.post(f"/orders/{order['id']}/services", service, **credentials(order))
    assert 201 == ordered.status_code, ordered.text
    bags = [{"passenger_id": order["passengers"][0]["id"], "pieces": 1}]
    answer = await guest.check_in(order, bags=bags)
    passes = answer.json()["boarding_passes"]
    flight = order["slices"][0]["segments"][0]["flight_id"]
    gate = f"/flights/{flight}/boardings"
    assert "boarded" == (await staff.post(gate, {"bcbp": passes[0]["bcbp"]})).json()["result"]
    day = datetime.now(UTC) + timedelta(days=2)
    second_offer = (await guest.offers(("VIE", "LHR", day.date())))[0]
    second = await guest.ticketed(second_offer, family_name=_FAMILY)
    quote = await guest.post(f"/orders/{second['id']}/cancellations", **credentials(second))
    held = await guest.book(second_offer, family_name=_FAMILY)
    refunded = await _refunded(guest, await guest.bookable("VIE", "LHR", refundable=True))
    ledger = await staff.get("/payments/ledger", order_id=order["id"])
    ticket = order["documents"][0]["number"]
    person = {"email": f"{secrets.token_hex(4)}@example.org", "name": f"Person {_FAMILY}"}
    account = await staff.post("/accounts", person)
    assert 201 == account.status_code, account.text
    somebody = await make_person(kit, tenant, "super_admin")
    async with kit.http(tenant) as theirs:
        await somebody.enrol(theirs)
    role = {"name": f"desk_{secrets.token_hex(4)}", "permissions": ["meals:read"]}
    made = await staff.post("/roles", role)
    assert 201 == made.status_code, made.text
    found = Belongings()
    found.named = {
        "session_id": somebody.session_id,
        "factor_id": somebody.factor_id,
        "person_id": somebody.account_id,
        "role_name": role["name"],
        "account_id": account.json()["id"],
        "order_id": order["id"],
        "held_order_id": held["id"],
        "refund_id": (await staff.get("/payments/ledger", order_id=refunded))["refunds"][0]["id"],
        "offer_id": second_offer["id"],
        "payment_id": ledger["payments"][0]["id"],
        "cancellation_id": quote.json()["id"],
        "flight_id": flight,
        "segment_id": order["slices"][0]["segments"][0]["id"],
        "passenger_id": order["passengers"][0]["id"],
        "pass_id": passes[0]["id"],
        "check_in_id": passes[0]["segments"][0]["check_in_id"],
        "number": ticket,
        "booking_reference": order["booking_reference"],
        "family_name": _FAMILY,
        "bcbp": passes[0]["bcbp"],
        "service_id": ordered.json()["id"],
        "bag_tag": passes[0]["bag_tags"][0],
    }
    desk = await staff.post("/api-keys", {"name": "desk", "scopes": ["meals:read"]})
    assert 201 == desk.status_code, desk.text
    found.named["key_id"] = desk.json()["id"]
    public = {found.named["number"], found.named["bag_tag"]}  # twins issue the same numbers
    found.secrets = {*found.named.values()} - public
    for one in (order, second, held):
        found.secrets |= {one["id"], one["booking_reference"]}
        found.secrets |= {person["id"] for person in one["passengers"]}
        found.secrets |= {segment["id"] for part in one["slices"] for segment in part["segments"]}
    found.secrets |= {one["bcbp"] for one in passes} | {one["id"] for one in passes}
    return found


async def _refunded(guest: Traveller, offer: dict[str, Any]) -> str:
    """Sell and cancel an order; gives its id."""
    order = await guest.ticketed(offer, family_name=_FAMILY)
    known = credentials(order)
    quote = await guest.post(f"/orders/{order['id']}/cancellations", **known)
    done = await guest.post(f"/cancellations/{quote.json()['id']}/confirm", **known)
    assert 200 == done.status_code, done.text
    await guest.awaited(order, "cancelled")
    return str(order["id"])
