"""The gate on the database; departure control, reservation and ticketing are played."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from pss_boarding import gate, store
from pss_boarding.contracts import Counts
from pss_boarding.routes import BoardingRequest
from pss_dcs.contracts import BcbpMatch, CheckIn
from pss_kernel import UnitOfWork
from pss_reservation.contracts import PassengerOnSegment
from pss_ticketing.contracts import CouponUsed

Begin = Callable[[Any], AbstractAsyncContextManager[UnitOfWork]]


def check_in(number: int, origin: str = "VIE") -> CheckIn:
    """Make a check-in with that sequence number."""
    return CheckIn(
        id=f"chk_{number}",
        order_id="ord_1",
        booking_reference="ABC234",
        passenger_id=f"pax_{number}",
        passenger_type="adult",
        title=None,
        given_name=f"Given{number}",
        family_name="Muster",
        infant_of=None,
        segment_id="seg_1",
        flight_id="flt_1",
        flight="Q1101",
        flight_date=date(2026, 11, 23),
        origin=origin,
        destination="LHR",
        leg_ids=[1],
        cabin="economy",
        booking_class="K",
        seat=f"{number}A",
        sequence=number,
        ticket_number=f"991240000000{number}",
        coupon_number=1,
        boarding_pass_id=f"bp_{number}",
        bag_tags=[f"099100000{number}"],
        checked_in_at=datetime(2026, 11, 23, 6, tzinfo=UTC),
        offloaded_at=None,
    )


def expected(number: int, origin: str = "VIE") -> PassengerOnSegment:
    """Make a passenger with a ticket."""
    return PassengerOnSegment(
        order_id="ord_1",
        booking_reference="ABC234",
        passenger_id=f"pax_{number}",
        segment_id="seg_1",
        type="adult",
        title=None,
        given_name=f"Given{number}",
        family_name="Muster",
        infant_of=None,
        flight_id="flt_1",
        origin=origin,
        destination="LHR",
        cabin="economy",
        booking_class="K",
        leg_ids=[1],
    )


@dataclass
class Others:
    """A flight with three passengers, two of them checked in; barcodes are check-in ids."""

    check_ins: list[CheckIn] = field(default_factory=lambda: [check_in(1), check_in(2)])
    reason: str | None = None
    refunded: bool = False
    moves: list[str] = field(default_factory=list)

    async def check_in_of_bcbp(
        self, _uow: UnitOfWork, _flight_id: str, bcbp: str, _board_point: str | None = None
    ) -> BcbpMatch:
        for one in self.check_ins:
            if one.id == bcbp:
                return BcbpMatch(reason="checked_in", detail="", check_in=one)
        reason = msgspec.convert(self.reason or "unreadable", BcbpMatch.__annotations__["reason"])
        return BcbpMatch(
            reason=reason, detail=f"Not for this flight: {bcbp}", passenger_name="DOE/JO"
        )

    async def manifest(self, _uow: UnitOfWork, _flight_id: str) -> list[CheckIn]:
        return self.check_ins

    async def passengers_on_segment(
        self, _uow: UnitOfWork, _flight_id: str, _origin: str | None = None
    ) -> list[PassengerOnSegment]:
        return [expected(1), expected(2), expected(3)]

    async def move_coupon(
        self, _uow: UnitOfWork, ticket_number: str, _coupon: int, *_statuses: str
    ) -> None:
        if self.refunded:
            raise CouponUsed
        self.moves.append(ticket_number)


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Others:
    """Play the other plugins."""
    played = Others()
    for name in ("check_in_of_bcbp", "manifest", "passengers_on_segment", "move_coupon"):
        monkeypatch.setattr(gate, name, getattr(played, name))
    return played


async def scan(unit_of_work: Begin, tenant: Any, bcbp: str) -> str:
    """Scan in a transaction of its own."""
    async with unit_of_work(tenant) as uow:
        return (await gate.scan(uow, "flt_1", bcbp, None)).result


async def test_a_passenger_boards_once(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """The first scan boards and flies the coupon; the second is told so."""
    tenant = await make_tenant(plugins=["boarding"])
    results = [await scan(unit_of_work, tenant, "chk_1") for _ in range(2)]
    assert results == ["boarded", "already_boarded"]
    assert others.moves == ["9912400000001"]


async def test_of_gates_scanning_one_pass_at_once_exactly_one_boards(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """Eight scans of one pass at the same moment: one boarded, seven already boarded."""
    tenant = await make_tenant(plugins=["boarding"])
    results = await asyncio.gather(*(scan(unit_of_work, tenant, "chk_1") for _ in range(8)))
    assert sorted(results) == ["already_boarded"] * 7 + ["boarded"]
    assert others.moves == ["9912400000001"]


async def test_a_coupon_taken_back_keeps_the_passenger_off(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """A coupon refunded or offloaded since check-in: nobody is on board."""
    tenant = await make_tenant(plugins=["boarding"])
    others.refunded = True
    assert await scan(unit_of_work, tenant, "chk_1") == "offloaded"
    async with unit_of_work(tenant) as uow:
        assert await store.boarded_on(uow, "flt_1") == []


@pytest.mark.parametrize(
    "reason",
    [
        "unreadable",
        "wrong_flight",
        "wrong_date",
        "unknown_passenger",
        "not_checked_in",
        "offloaded",
    ],
)
async def test_every_refusal_is_answered_and_recorded(
    make_tenant: Any, unit_of_work: Begin, others: Others, reason: str
) -> None:
    """What departure control finds wrong is the result of the scan, and stands in its list."""
    tenant = await make_tenant(plugins=["boarding"])
    others.reason = reason
    assert await scan(unit_of_work, tenant, "\ud800 no barcode \x00") == reason
    async with unit_of_work(tenant) as uow:
        recorded = await store.scans_of(uow, "flt_1", None, 10)
    found = [(row["result"], row["detail"]) for row in recorded]
    assert [(reason, "Not for this flight: ? no barcode \ufffd")] == found


async def test_counts_and_no_shows(make_tenant: Any, unit_of_work: Begin, others: Others) -> None:
    """Three expected, two checked in, one on board; the two others are missing, one with a bag."""
    tenant = await make_tenant(plugins=["boarding"])
    await scan(unit_of_work, tenant, "chk_1")
    async with unit_of_work(tenant) as uow:
        roll = await gate.roll_of(uow, "flt_1")
    assert Counts(expected=3, checked_in=2, boarded=1) == roll.counts
    assert [(one.passenger_id, one.status, one.bag_tags) for one in roll.no_shows()] == [
        ("pax_2", "checked_in", ["0991000002"]),
        ("pax_3", "not_checked_in", []),
    ]


async def test_counts_of_one_board_point(
    make_tenant: Any, unit_of_work: Begin, others: Others
) -> None:
    """At a later stop only those who join there are counted."""
    tenant = await make_tenant(plugins=["boarding"])
    others.check_ins.append(check_in(3, origin="LHR"))
    await scan(unit_of_work, tenant, "chk_1")
    async with unit_of_work(tenant) as uow:
        roll = await gate.roll_of(uow, "flt_1", "LHR")
    assert (roll.counts.checked_in, roll.counts.boarded) == (1, 0)


def test_a_scan_has_an_end() -> None:
    """No barcode holds as much as is refused; every shorter text is answered."""
    msgspec.convert({"bcbp": "M" * 4000}, BoardingRequest)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"bcbp": "M" * 4001}, BoardingRequest)
