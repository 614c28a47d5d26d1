"""What happens at the gate: a scan is answered, a passenger boards once, the rest is counted."""

from collections.abc import Iterable

from msgspec import Struct

from pss_dcs.contracts import CheckIn, check_in_of_bcbp, manifest
from pss_kernel import NotFound, UnitOfWork
from pss_reservation.contracts import PassengerOnSegment, passengers_on_segment
from pss_ticketing.contracts import CouponUsed, move_coupon

from . import store
from .contracts import BoardedPassenger, Counts, NoShow, PassengerBoarded, ScanResult

__all__ = ["Roll", "Scan", "roll_of", "scan"]


class Scan(Struct, kw_only=True, frozen=True):
    """What came of one scan; `check_in` is there when the barcode's passenger was found."""

    result: ScanResult
    detail: str
    passenger_name: str | None = None
    check_in: CheckIn | None = None


class Roll(Struct, kw_only=True, frozen=True):
    """Everybody of a flight (or of one of its board points) at one moment."""

    expected: list[PassengerOnSegment]
    checked_in: list[CheckIn]
    boarded: list[BoardedPassenger]

    @property
    def counts(self) -> Counts:
        """The three numbers that a gate shows."""
        return Counts(
            expected=len(self.expected),
            checked_in=len(self.checked_in),
            boarded=len(self.boarded),
        )

    def no_shows(self) -> list[NoShow]:
        """List those with a ticket who are not on board, by name."""
        on_board = {(one.passenger_id, one.segment_id) for one in self.boarded}
        check_ins = {(one.passenger_id, one.segment_id): one for one in self.checked_in}
        missing = [
            _no_show(passenger, check_ins.get((passenger.passenger_id, passenger.segment_id)))
            for passenger in self.expected
            if (passenger.passenger_id, passenger.segment_id) not in on_board
        ]
        return sorted(missing, key=lambda one: (one.board_point, one.name, one.passenger_id))


async def scan(uow: UnitOfWork, flight_id: str, bcbp: str, board_point: str | None) -> Scan:
    """Answer a scan and record it; board the passenger if the barcode is good for this flight.

    Raises NotFound for an unknown flight, for nothing else.
    """
    found = await _answer(uow, flight_id, bcbp, board_point)
    await store.insert_scan(
        uow,
        flight_id=flight_id,
        bcbp=bcbp,
        board_point=board_point,
        result=found.result,
        detail=found.detail,
        passenger_id=found.check_in.passenger_id if found.check_in else None,
    )
    return found


async def _answer(uow: UnitOfWork, flight_id: str, bcbp: str, board_point: str | None) -> Scan:
    match = await check_in_of_bcbp(uow, flight_id, bcbp, board_point)
    if match.reason != "checked_in" or match.check_in is None:
        result: ScanResult = "not_checked_in" if match.reason == "checked_in" else match.reason
        return Scan(
            result=result,
            detail=match.detail,
            passenger_name=match.passenger_name,
            check_in=match.check_in,
        )
    name = _name(match.check_in.family_name, match.check_in.given_name)
    result, detail = await _board(uow, match.check_in, name)
    return Scan(result=result, detail=detail, passenger_name=name, check_in=match.check_in)


async def _board(uow: UnitOfWork, check_in: CheckIn, name: str) -> tuple[ScanResult, str]:
    try:
        async with uow.savepoint():
            if not await store.insert_boarding(uow, check_in, name):
                return "already_boarded", f"{name} is on board already."
            await move_coupon(
                uow, check_in.ticket_number, check_in.coupon_number, "checked_in", "flown"
            )
    except (CouponUsed, NotFound):
        # Checked in a moment ago, but the coupon was taken back since: offloaded or refunded.
        return "offloaded", f"The ticket of {name} can't be used for this flight any more."
    boarded = PassengerBoarded(
        order_id=check_in.order_id,
        check_in_id=check_in.id,
        passenger_id=check_in.passenger_id,
        segment_id=check_in.segment_id,
        flight_id=check_in.flight_id,
        seat=check_in.seat,
        sequence=check_in.sequence,
    )
    uow.emit(boarded, stream=check_in.id)
    return "boarded", f"{name} may board."


async def roll_of(uow: UnitOfWork, flight_id: str, board_point: str | None = None) -> Roll:
    """Read everybody of the flight, of one board point only where it is given."""
    expected = await passengers_on_segment(uow, flight_id, board_point)
    checked_in = await manifest(uow, flight_id)
    boarded = await store.boarded_on(uow, flight_id)
    if board_point is not None:
        checked_in = [one for one in checked_in if one.origin == board_point]
        boarded = [one for one in boarded if one.board_point == board_point]
    return Roll(
        expected=_unique(expected),
        checked_in=checked_in,
        boarded=boarded,
    )


def _unique(passengers: Iterable[PassengerOnSegment]) -> list[PassengerOnSegment]:
    return list({(one.passenger_id, one.segment_id): one for one in passengers}.values())


def _no_show(passenger: PassengerOnSegment, check_in: CheckIn | None) -> NoShow:
    return NoShow(
        passenger_id=passenger.passenger_id,
        segment_id=passenger.segment_id,
        booking_reference=passenger.booking_reference,
        name=_name(passenger.family_name, passenger.given_name),
        status="checked_in" if check_in else "not_checked_in",
        board_point=passenger.origin,
        seat=check_in.seat if check_in else None,
        sequence=check_in.sequence if check_in else None,
        bag_tags=list(check_in.bag_tags) if check_in else [],
    )


def _name(family_name: str, given_name: str) -> str:
    return f"{family_name}/{given_name}".upper()
