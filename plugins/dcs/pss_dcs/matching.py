"""From a scanned barcode to the check-in it stands for."""

from collections.abc import Iterable

from pss_inventory.contracts import Flight, Leg, flight_by_id
from pss_kernel import Invalid, UnitOfWork
from pss_reservation.contracts import passengers_on_segment

from . import bcbp, store
from .contracts import BcbpMatch, CheckIn

__all__ = ["match_barcode"]


async def match_barcode(
    uow: UnitOfWork, flight_id: str, text: str, board_point: str | None
) -> BcbpMatch:
    """Whose barcode this is on the flight; see the service `check_in_of_bcbp`."""
    flight = await flight_by_id(uow, flight_id)
    try:
        read = bcbp.read(text, reference=flight.flight_date)
    except Invalid as refusal:
        return BcbpMatch(reason="unreadable", detail=refusal.detail)
    name = read.passenger_name
    warnings = read.warnings
    same_flight = [leg for leg in read.legs if _is_flight(leg, flight, board_point)]
    if not same_flight:
        return BcbpMatch(
            reason="wrong_flight",
            detail=f"This boarding pass is for {_flights(read.legs)}.",
            passenger_name=name,
            warnings=warnings,
        )
    for leg in same_flight:
        if leg.day_of_year in _days(flight, leg.origin):
            return await _match_leg(uow, flight, leg, read)
    return BcbpMatch(
        reason="wrong_date",
        detail=f"This boarding pass is for {_flights(same_flight)} of another day.",
        passenger_name=name,
        warnings=warnings,
    )


async def _match_leg(uow: UnitOfWork, flight: Flight, leg: bcbp.Leg, read: bcbp.Bcbp) -> BcbpMatch:
    family_name = read.passenger_name.partition("/")[0]
    sequence = leg.sequence_number
    found: list[CheckIn] = []
    if sequence is not None and sequence < 1 << 31:
        found = await store.check_ins_at(
            uow, flight.id, leg.origin, sequence, leg.booking_reference
        )
    for one in found:
        if not _same_family(one.family_name, family_name):
            continue
        if one.offloaded_at is None:
            return BcbpMatch(
                reason="checked_in",
                detail="Checked in.",
                check_in=one,
                passenger_name=read.passenger_name,
                warnings=read.warnings,
            )
        return BcbpMatch(
            reason="offloaded",
            detail="This check-in was taken back; a newer boarding pass may exist.",
            check_in=one,
            passenger_name=read.passenger_name,
            warnings=read.warnings,
        )
    booked = await passengers_on_segment(uow, flight.id, leg.origin)
    known = any(
        one.booking_reference == leg.booking_reference
        and _same_family(one.family_name, family_name)
        for one in booked
    )
    return BcbpMatch(
        reason="not_checked_in" if known else "unknown_passenger",
        detail=(
            "The passenger is booked, but not checked in with this boarding pass."
            if known
            else "Nobody on this flight has this booking reference and name."
        ),
        passenger_name=read.passenger_name,
        warnings=read.warnings,
    )


def _is_flight(leg: bcbp.Leg, flight: Flight, board_point: str | None) -> bool:
    return (
        leg.carrier == flight.carrier
        and leg.flight_number.lstrip("0") == flight.flight_number.lstrip("0")
        and (board_point is None or leg.origin == board_point)
    )


def _days(flight: Flight, origin: str) -> set[int]:
    """List the flight's date and the local day of departure here: airlines print either."""
    local: Iterable[Leg] = (leg for leg in flight.legs if leg.origin == origin)
    days = {leg.departing_at.timetuple().tm_yday for leg in local}
    return days | {flight.flight_date.timetuple().tm_yday}


def _same_family(booked: str, printed: str) -> bool:
    """Whether the barcode's family name, which may be cut, is the booked one."""
    name = bcbp.transliterate(booked) or "X"
    scanned = bcbp.transliterate(printed)
    shortest = 16  # a barcode leaves at least that many letters of a long family name
    return scanned == name or (len(scanned) >= shortest and name.startswith(scanned))


def _flights(legs: Iterable[bcbp.Leg]) -> str:
    return ", ".join(
        f"{leg.carrier}{leg.flight_number.lstrip('0')} {leg.origin}-{leg.destination}"
        for leg in legs
    )
