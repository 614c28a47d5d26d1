"""The client on the real application: every call of a passenger and of the staff."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit
from pss_payment_sandbox.testing import running_network
from pss_sdk import ApiProblem, Client, Guest, Offer, Order, Passenger, StaffClient

pytestmark = [pytest.mark.xdist_group("sdk")]  # the airline's files are loaded once

PIPIT = Path(__file__).parents[3] / "tenants" / "pipit"
ADA = Passenger(type="adult", given_name="Ada", family_name="Example", email="ada@example.com")
BEN = Passenger(type="child", given_name="Ben", family_name="Example")


@dataclass
class Pipit:
    """A low-cost airline with its real files."""

    kit: TestKit
    code: str
    guest: Client
    staff: StaffClient
    transport: httpx.ASGITransport

    async def deliver(self) -> None:
        """Run the event handlers, as the worker does."""
        await self.kit.deliver(self.kit.installation.directory.by_code(self.code))

    async def offer(self) -> Offer:
        """Offer Ada and Ben a flight for which check-in is open."""
        now = datetime.now(UTC)
        for days in (1, 2):
            slices = [("NRT", "CTS", (now + timedelta(days=days)).date())]
            request = await self.guest.request_offers(slices, ["adult", "child"])
            for offer in request.offers:
                departure = offer.slices[0].segments[0].departing_at
                if now + timedelta(hours=2) < departure < now + timedelta(hours=71):
                    return offer
        raise AssertionError("no offer")

    async def ticketed(self) -> Order:
        """Sell them tickets."""
        order = await self.guest.create_order((await self.offer()).id, [ADA, BEN])
        payment = await self.guest.pay(order, "tok_visa")
        assert payment.status == "captured"
        await self.deliver()
        return await self.guest.wait_until_ticketed(order.id, order.guest)


@pytest.fixture(scope="module", autouse=True)
def _card_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("network")
    with running_network(folder) as network, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PSS_PAYMENT_SANDBOX_URL", network.url)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pipit(installation: Installation) -> AsyncIterator[Pipit]:
    """Open the airline once for all tests here."""
    kit = TestKit(installation)
    tenant = await kit.apply(PIPIT, code="sdk_pipit")
    key = await kit.api_key(tenant, ["*"])
    transport = httpx.ASGITransport(create_app(installation))
    at = "http://test.invalid"
    async with (
        Client(at, tenant=tenant.code, transport=transport) as guest,
        StaffClient(at, tenant=tenant.code, key=key, transport=transport) as staff,
    ):
        yield Pipit(kit, tenant.code, guest, staff, transport)


async def test_shopping(pipit: Pipit) -> None:
    """An airline, its markets and an offer are read."""
    tenant = await pipit.guest.tenant()
    assert (tenant.name, tenant.currency) == ("Pipit Air", "JPY")
    markets = await pipit.guest.markets()
    assert ("NRT", "CTS") in {(one.origin, one.destination) for one in markets}
    offer = await pipit.offer()
    assert (await pipit.guest.offer(offer.id)).total == offer.total
    assert (await pipit.guest.offer(offer.id, reprice=True)).total == offer.total
    assert offer.slices[0].route == "NRT-CTS"
    seat_map = (await pipit.guest.seat_map(offer_id=offer.id))[0]
    assert seat_map.cabins[0].rows[0].seats[0].seat == "1A"


async def test_the_whole_journey(pipit: Pipit) -> None:
    """From tickets through a seat and check-in to the gate, where nobody boards twice."""
    order = await pipit.ticketed()
    assert [document.type for document in order.documents] == ["ticket", "ticket"]
    assert (await pipit.guest.find_order(order.booking_reference, "example")).id == order.id
    segment, ada = order.slices[0].segments[0], order.passengers[0]
    free = next(
        seat.seat
        for cabin in (await pipit.guest.seat_map(order_id=order.id))[0].cabins
        for row in cabin.rows
        for seat in row.seats
        if seat.status == "available" and not row.exit_row
    )
    service = await pipit.guest.add_service(
        order.id,
        "seat",
        passenger_id=ada.id,
        segment_id=segment.id,
        seat=free,
        guest=order.guest,
    )
    assert (service.type, service.seat) == ("seat", free)
    passes = await pipit.guest.check_in(order.guest, segment_id=segment.id, bags={ada.id: 1})
    assert [one.passenger_id for one in passes] == [one.id for one in order.passengers]
    assert (passes[0].seat, len(passes[0].bag_tags)) == (free, 1)
    assert (await pipit.guest.boarding_pass_image(passes[0].id)).startswith(b"\x89PNG")
    assert (await pipit.guest.boarding_pass_document(passes[0].id)).startswith(b"%PDF")
    scans = [await pipit.staff.board(segment.flight_id, passes[0].bcbp) for _ in range(2)]
    assert [scan.result for scan in scans] == ["boarded", "already_boarded"]
    assert (scans[1].counts.checked_in, scans[1].counts.boarded) == (2, 1)
    ledger = await pipit.staff.ledger(order.id)
    assert (ledger.balanced, ledger.reconciled) == (True, True)


async def test_a_declined_card_is_an_answer(pipit: Pipit) -> None:
    """The payment says why it failed; it can be read again; the order can be cancelled."""
    order = await pipit.guest.create_order((await pipit.offer()).id, [ADA, BEN], hold=True)
    payment = await pipit.guest.pay(order, "tok_declined")
    assert payment.status == "failed"
    assert payment.failure is not None
    assert payment.failure.code == "card-declined"
    assert (await pipit.guest.payment(payment.id)).status == "failed"
    assert (await pipit.guest.cancel(order.id, order.guest)).status == "confirmed"
    assert (await pipit.guest.order(order.id, order.guest)).status == "cancelled"


async def test_a_challenge_is_an_answer(pipit: Pipit) -> None:
    """A card that wants its holder asked has an address to go to; until then nothing is taken."""
    order = await pipit.guest.create_order((await pipit.offer()).id, [ADA, BEN])
    payment = await pipit.guest.pay(
        order, "tok_requires_action", return_url="https://shop.example/back"
    )
    assert payment.status == "requires_action"
    assert payment.action is not None
    assert (await pipit.guest.confirm_payment(payment.id)).status == "requires_action"


async def test_the_same_key_makes_one_order(pipit: Pipit) -> None:
    """Two calls with one Idempotency-Key are one order."""
    offer = await pipit.offer()
    made = [
        await pipit.guest.create_order(offer.id, [ADA, BEN], idempotency_key="sdk-once")
        for _ in range(2)
    ]
    assert made[0].id == made[1].id


async def test_the_last_seat(pipit: Pipit) -> None:
    """Staff set what a booking class may sell; who comes second is refused with sold-out."""
    offers = [await pipit.offer() for _ in range(2)]
    segment = offers[0].slices[0].segments[0]
    levels = (await pipit.staff.authorisations(segment.flight_id))[0]
    taken = sum(levels.held.values()) + sum(levels.sold.values())
    wanted = dict.fromkeys(levels.authorised, taken + 2)
    changed = await pipit.staff.set_authorisations(segment.flight_id, segment.cabin, wanted)
    assert changed[0].authorised == wanted
    await pipit.guest.create_order(offers[0].id, [ADA, BEN])
    with pytest.raises(ApiProblem) as refused:
        await pipit.guest.create_order(offers[1].id, [ADA, BEN])
    assert (refused.value.status, refused.value.code) == (409, "sold-out")
    await pipit.staff.set_authorisations(segment.flight_id, segment.cabin, levels.authorised)


async def test_refusals_are_typed(pipit: Pipit) -> None:
    """Wrong fields are listed; what is not enabled, not allowed or not there has its code."""
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date()
    with pytest.raises(ApiProblem) as invalid:
        await pipit.guest.request_offers([("NRT", "ZZZ", yesterday)], ["child"])
    assert {"/slices/0/destination", "/slices/0/departure_date", "/passengers"} <= {
        error.pointer for error in invalid.value.errors
    }
    with pytest.raises(ApiProblem) as no_meals:
        await pipit.guest.meals()
    assert (no_meals.value.status, no_meals.value.code) == (404, "plugin-not-enabled")
    as_guest = StaffClient("http://test.invalid", tenant=pipit.code, transport=pipit.transport)
    async with as_guest:
        with pytest.raises(ApiProblem) as no_key:
            await as_guest.flights(yesterday)
    assert no_key.value.status == 401
    with pytest.raises(ApiProblem) as unknown:
        await pipit.guest.check_in(Guest("ABCDEF", "Nobody"))
    assert unknown.value.code == "not-found"


async def test_flights_of_a_day(pipit: Pipit) -> None:
    """Staff see the flights that leave an airport."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    flights = await pipit.staff.flights(tomorrow, origin="NRT")
    assert {flight.legs[0].origin for flight in flights} == {"NRT"}
    assert (await pipit.staff.flight(flights[0].id)).flight == flights[0].flight
