"""Issuing, using and ending tickets on the database; reservation and payment are played."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select

from pss_kernel import Conflict, Money, NotFound, UnitOfWork
from pss_payment.contracts import Entry, PaymentCaptured
from pss_pricing.contracts import Conditions, PassengerPrice, PriceBreakdown, TaxLine
from pss_reservation.contracts import (
    Order,
    OrderCancelled,
    OrderCancelledProblem,
    OrderPassenger,
    OrderSegment,
    OrderSlice,
)
from pss_ticketing import issue, jobs, reconciliation
from pss_ticketing.contracts import CouponUsed, coupon_of, move_coupon, tickets_of_order
from pss_ticketing.handlers import end_documents, issue_documents, note_payment
from pss_ticketing.models import ticket

Begin = Callable[[Any], AbstractAsyncContextManager[UnitOfWork]]

RANGE = {"accounting_code": "991", "first_serial": 2400000001, "last_serial": 2400000100}
CAPTURED = PaymentCaptured(order_id="ord_1", payment_id="pay_1", amount_minor=22400, currency="EUR")
CANCELLED = OrderCancelled(order_id="ord_1", refund_minor=20000, penalty_minor=2400, currency="EUR")
DEPARTURE = datetime(2026, 11, 23, 6, tzinfo=UTC)


def segment(number: int) -> OrderSegment:
    """Give a segment of the order."""
    return OrderSegment(
        id=f"seg_{number}",
        flight_id=f"flt_{number}",
        flight=f"Q1{number}",
        carrier="Q1",
        flight_number=str(number),
        flight_date=date(2026, 11, 23),
        origin="VIE",
        destination="LHR",
        departing_at=DEPARTURE,
        departing_at_utc=DEPARTURE,
        departing_time_zone="UTC",
        arriving_at=DEPARTURE,
        arriving_at_utc=DEPARTURE,
        arriving_time_zone="UTC",
        aircraft_type="320",
        cabin="economy",
        booking_class="K",
        fare_basis="KLIGHT",
    )


def order() -> Order:
    """Two adults on five segments, for 224.00 EUR, 24.00 of them taxes."""
    tax = TaxLine(code="AT", country="AT", description="", amount=Money.of(1200, "EUR"))
    price = PassengerPrice(
        type="adult",
        count=2,
        base=Money.of(10000, "EUR"),
        taxes=[tax],
        total=Money.of(11200, "EUR"),
    )
    return Order(
        id="ord_1",
        booking_reference="ABC234",
        status="confirmed",
        total=Money.of(22400, "EUR"),
        payment_required_by=None,
        created_at=DEPARTURE,
        passengers=[
            OrderPassenger(id=f"pax_{name}", type="adult", given_name=name, family_name="Muster")
            for name in ("Ida", "Max")
        ],
        slices=[
            OrderSlice(origin="VIE", destination="LHR", segments=[segment(n) for n in range(1, 6)])
        ],
        brand="Light",
        brand_code="LIGHT",
        price_breakdown=PriceBreakdown(
            base=Money.of(20000, "EUR"),
            taxes=Money.of(2400, "EUR"),
            total=Money.of(22400, "EUR"),
            passengers=[price],
        ),
        conditions=Conditions(
            refundable=True,
            cancellation_fee=None,
            changeable=False,
            change_fee=None,
            checked_bags=0,
            seat_selection="paid",
        ),
    )


@dataclass
class Others:
    """What reservation and payment are told, and how they answer."""

    order: Order = field(default_factory=order)
    cancelled_meanwhile: bool = False
    postings: list[list[Entry]] = field(default_factory=list)
    flagged: list[str] = field(default_factory=list)
    posted_lately: bool = False

    async def order_by_id(self, _uow: UnitOfWork, _order_id: str) -> Order:
        return self.order

    async def stored_offer_of(self, _uow: UnitOfWork, _order_id: str) -> SimpleNamespace:
        return SimpleNamespace(fares=[])

    async def mark_ticketed(self, _uow: UnitOfWork, _order_id: str) -> None:
        if self.cancelled_meanwhile:
            raise OrderCancelledProblem

    async def mark_needs_attention(self, _uow: UnitOfWork, _order_id: str, reason: str) -> None:
        self.flagged.append(reason)

    async def post_entries(
        self, _uow: UnitOfWork, _order_id: str, _reason: str, _currency: str, entries: list[Entry]
    ) -> None:
        self.postings.append(entries)

    async def balance_of_order(self, _uow: UnitOfWork, _order_id: str) -> dict[str, int]:
        balance = {"gateway_clearing": 22400, "customer_deposits": -22400}
        for entry in (entry for entries in self.postings for entry in entries):
            before = balance.get(entry.account, 0)
            balance[entry.account] = before + entry.debit_minor - entry.credit_minor
        return balance

    async def posted_within(self, _uow: UnitOfWork, _order_id: str, _period: timedelta) -> bool:
        return self.posted_lately


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Others:
    """Play the other plugins."""
    played = Others()
    for name in (
        "order_by_id",
        "stored_offer_of",
        "mark_ticketed",
        "mark_needs_attention",
        "post_entries",
    ):
        monkeypatch.setattr(issue, name, getattr(played, name))
    monkeypatch.setattr(jobs, "mark_needs_attention", played.mark_needs_attention)
    monkeypatch.setattr(reconciliation, "balance_of_order", played.balance_of_order)
    monkeypatch.setattr(reconciliation, "posted_within", played.posted_within)
    return played


async def airline(make_tenant: Any, **settings: Any) -> Any:
    """Make a tenant with a range of ticket numbers."""
    return await make_tenant(plugins=["ticketing"], settings={"ticketing": RANGE | settings})


async def pay(unit_of_work: Begin, tenant: Any) -> None:
    """Deliver the event of the capture."""
    async with unit_of_work(tenant) as uow:
        await issue_documents(uow, CAPTURED)


async def disagreements(unit_of_work: Begin, tenant: Any) -> list[str]:
    """List the orders that the reconciliation reports."""
    async with unit_of_work(tenant) as uow:
        checked = await reconciliation.check_sales(uow, 100)
    return [order_id for order_id, found in checked if found is not None]


async def test_a_paid_order_gets_tickets_in_conjunction(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """Five segments: for each passenger a ticket of four coupons and one of one, in sequence."""
    tenant = await airline(make_tenant)
    await pay(unit_of_work, tenant)
    async with unit_of_work(tenant) as uow:
        tickets = await tickets_of_order(uow, "ord_1")
    shown = [(t.number, t.passenger_name, t.conjunction, len(t.coupons)) for t in tickets]
    expected = [
        ("9912400000001", "MUSTER/IDA", 1, 4),
        ("9912400000002", "MUSTER/IDA", 2, 1),
        ("9912400000003", "MUSTER/MAX", 1, 4),
        ("9912400000004", "MUSTER/MAX", 2, 1),
    ]
    assert expected == shown
    assert await disagreements(unit_of_work, tenant) == []


async def test_an_event_delivered_many_times_issues_once(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """Concurrent and repeated deliveries give one set of tickets and one posting."""
    tenant = await airline(make_tenant)
    await asyncio.gather(*(pay(unit_of_work, tenant) for _ in range(8)))
    async with unit_of_work(tenant) as uow:
        count = await uow.scalar(select(func.count()).select_from(ticket))
    assert (count, len(others.postings)) == (4, 1)


async def test_numbers_are_never_issued_twice(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """Many takers at once share a range without overlap or gap."""
    tenant = await airline(make_tenant)

    async def take() -> list[str]:
        async with unit_of_work(tenant) as uow:
            return await issue.take_numbers(uow, 3)

    taken = [
        number
        for numbers in await asyncio.gather(*(take() for _ in range(12)))
        for number in numbers
    ]
    assert [f"991{serial}" for serial in range(2400000001, 2400000037)] == sorted(taken)


async def test_documents_end_a_moment_after_the_money(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """A cancellation that the ledger has just settled is no disagreement; one left so is."""
    tenant = await airline(make_tenant)
    await pay(unit_of_work, tenant)
    others.postings.append(
        [
            Entry(account=entry.account, debit_minor=entry.credit_minor, credit_minor=0)
            for entry in others.postings[0]
            if entry.account in {"ticket_revenue", "tax_payable"}
        ]
    )
    others.posted_lately = True
    assert [] == await disagreements(unit_of_work, tenant)
    others.posted_lately = False
    assert ["ord_1"] == await disagreements(unit_of_work, tenant)


async def test_a_range_used_up_leaves_nothing_half_issued(
    make_tenant: Any, unit_of_work: Begin, others: Others, run_job: Any
) -> None:
    """Four tickets from three numbers: none is issued, the order waits, the job tries again."""
    tenant = await airline(make_tenant, last_serial=2400000003)
    await pay(unit_of_work, tenant)
    async with unit_of_work(tenant) as uow:
        assert await tickets_of_order(uow, "ord_1") == []
        assert len(await issue.take_numbers(uow, 3)) == 3
    assert (len(others.flagged), others.postings) == (1, [])
    assert await disagreements(unit_of_work, tenant) == ["ord_1"]
    await run_job(tenant, "ticketing", "reconcile")
    assert len(others.flagged) == 2


async def test_the_job_issues_what_the_event_could_not(
    make_tenant: Any, unit_of_work: Begin, others: Others, run_job: Any
) -> None:
    """A payment that was only noted gets its tickets from the job."""
    tenant = await airline(make_tenant)
    async with unit_of_work(tenant) as uow:
        await note_payment(uow, CAPTURED)
    await run_job(tenant, "ticketing", "reconcile")
    async with unit_of_work(tenant) as uow:
        assert len(await tickets_of_order(uow, "ord_1")) == 4


async def test_a_payment_of_another_amount_is_put_before_the_staff(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """Tickets are issued for exactly what they are worth."""
    tenant = await airline(make_tenant)
    others.order.price_breakdown.passengers[0].taxes.clear()
    await pay(unit_of_work, tenant)
    async with unit_of_work(tenant) as uow:
        assert await tickets_of_order(uow, "ord_1") == []
    assert len(others.flagged) == 1


async def test_without_an_accounting_code_nothing_is_issued(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """The staff are told which setting is missing."""
    tenant = await airline(make_tenant, accounting_code="")
    await pay(unit_of_work, tenant)
    assert ["accounting_code" in reason for reason in others.flagged] == [True]


async def test_an_order_cancelled_during_the_issue_gets_no_tickets(
    make_tenant: Any, unit_of_work: Begin, others: Others, run_job: Any
) -> None:
    """The issue is rolled back whole; the cancellation then ends the sale for good."""
    tenant = await airline(make_tenant)
    async with unit_of_work(tenant) as uow:
        await note_payment(uow, CAPTURED)
    others.cancelled_meanwhile = True
    with pytest.raises(OrderCancelledProblem):
        await pay(unit_of_work, tenant)
    await run_job(tenant, "ticketing", "reconcile")
    async with unit_of_work(tenant) as uow:
        await end_documents(uow, CANCELLED)
    others.cancelled_meanwhile = False
    await pay(unit_of_work, tenant)
    async with unit_of_work(tenant) as uow:
        assert await tickets_of_order(uow, "ord_1") == []
    assert (others.flagged, others.postings) == ([], [])


async def test_a_cancellation_before_the_payment_event_prevents_the_issue(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """Events may come in either order."""
    tenant = await airline(make_tenant)
    async with unit_of_work(tenant) as uow:
        await end_documents(uow, CANCELLED)
    await pay(unit_of_work, tenant)
    async with unit_of_work(tenant) as uow:
        assert await tickets_of_order(uow, "ord_1") == []


async def test_a_cancelled_order_s_coupons_are_refunded_but_flown_ones(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """Open and checked-in coupons end; a flown one stays flown. Again does nothing."""
    tenant = await airline(make_tenant)
    await pay(unit_of_work, tenant)
    async with unit_of_work(tenant) as uow:
        await move_coupon(uow, "9912400000001", 1, "open", "checked_in")
        await move_coupon(uow, "9912400000001", 1, "checked_in", "flown")
        await move_coupon(uow, "9912400000001", 2, "open", "checked_in")
    for _ in range(2):
        async with unit_of_work(tenant) as uow:
            await end_documents(uow, CANCELLED)
    async with unit_of_work(tenant) as uow:
        first, *rest = await tickets_of_order(uow, "ord_1")
    statuses = [coupon.status for coupon in first.coupons]
    assert statuses == ["flown", "refunded", "refunded", "refunded"]
    assert {"refunded"} == {one.status for one in rest}


async def test_a_coupon_is_used_once(make_tenant: Any, unit_of_work: Begin, others: Others) -> None:
    """Of many that check one coupon in at the same time, one succeeds."""
    tenant = await airline(make_tenant)
    await pay(unit_of_work, tenant)

    async def check_in() -> bool:
        try:
            async with unit_of_work(tenant) as uow:
                found = await coupon_of(uow, "pax_Max", "seg_5")
                await move_coupon(
                    uow, found.ticket_number, found.coupon_number, "open", "checked_in"
                )
        except CouponUsed:
            return False
        return True

    assert sum(await asyncio.gather(*(check_in() for _ in range(8)))) == 1


async def test_steps_that_are_refused(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """An impossible step, an unknown coupon and an unknown passenger each have their error."""
    tenant = await airline(make_tenant)
    await pay(unit_of_work, tenant)
    async with unit_of_work(tenant) as uow:
        with pytest.raises(Conflict, match="can't go from open to flown"):
            await move_coupon(uow, "9912400000001", 1, "open", "flown")
        with pytest.raises(CouponUsed):
            await move_coupon(uow, "9912400000001", 1, "checked_in", "flown")
        with pytest.raises(NotFound):
            await move_coupon(uow, "9912400000002", 4, "open", "checked_in")
        with pytest.raises(NotFound):
            await coupon_of(uow, "pax_unknown", "seg_1")
