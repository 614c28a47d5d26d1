"""Seat maps as a passenger sees them: which seats of the cabin are free now."""

from datetime import date
from typing import Literal

from msgspec import Struct

from pss_inventory.contracts import flights_of_legs
from pss_kernel import BadRequest, UnitOfWork, check_id
from pss_pricing.contracts import offer_to_order
from pss_reservation.contracts import order_by_id

from . import seats, store
from .journey import planned_segment
from .seat_map import CabinLayout, SeatMap

__all__ = ["SegmentSeatMap", "seat_maps"]


class SeatStatus(Struct, kw_only=True):
    """A seat, "12C". Characteristics: window, aisle, exit_row."""

    seat: str
    column: str
    status: Literal["available", "occupied", "blocked"]
    characteristics: list[str]


class SeatRow(Struct, kw_only=True):
    """A row of a cabin, left to right."""

    row: int
    exit_row: bool
    seats: list[SeatStatus]


class CabinRows(Struct, kw_only=True):
    """Rows with the same columns; a blank in `columns` is an aisle."""

    columns: str
    rows: list[SeatRow]


class SegmentSeatMap(Struct, kw_only=True):
    """The cabin of one segment; `cabins` is empty where no seats can be chosen."""

    segment_id: str
    flight: str
    flight_date: date
    origin: str
    destination: str
    aircraft_type: str
    cabin: str
    cabins: list[CabinRows]


async def seat_maps(
    uow: UnitOfWork, order_id: str | None, offer_id: str | None
) -> list[SegmentSeatMap]:
    """Return a seat map for each segment. Raises BadRequest, NotFound, OfferExpired."""
    if (order_id is None) == (offer_id is None):
        raise BadRequest("Give either order_id or offer_id.")
    if order_id is not None:
        return await _of_order(uow, check_id("ord", order_id))
    return await _of_offer(uow, offer_id or "")


async def _of_order(uow: UnitOfWork, order_id: str) -> list[SegmentSeatMap]:
    order = await order_by_id(uow, order_id)
    found = []
    for segment in order.segments():
        planned = await planned_segment(uow, segment)
        found.append(
            SegmentSeatMap(
                segment_id=segment.id,
                flight=segment.flight,
                flight_date=segment.flight_date,
                origin=segment.origin,
                destination=segment.destination,
                aircraft_type=planned.aircraft_type,
                cabin=segment.cabin,
                cabins=await _cabins(uow, planned.aircraft_type, segment.cabin, planned.leg_ids),
            )
        )
    return found


async def _of_offer(uow: UnitOfWork, offer_id: str) -> list[SegmentSeatMap]:
    stored = await offer_to_order(uow, offer_id)
    found = []
    for segment in (s for part in stored.offer.slices for s in part.segments):
        leg_ids = stored.leg_ids[segment.id]
        flights = await flights_of_legs(uow, leg_ids)
        types = [
            leg.aircraft_type
            for flight in flights.values()
            for leg in flight.legs
            if leg.leg_id == leg_ids[0]
        ]
        aircraft_type = types[0] if types else segment.aircraft_type
        found.append(
            SegmentSeatMap(
                segment_id=segment.id,
                flight=segment.flight,
                flight_date=segment.flight_date,
                origin=segment.origin,
                destination=segment.destination,
                aircraft_type=aircraft_type,
                cabin=segment.cabin,
                cabins=await _cabins(uow, aircraft_type, segment.cabin, leg_ids),
            )
        )
    return found


async def _cabins(
    uow: UnitOfWork, aircraft_type: str, cabin: str, leg_ids: list[int]
) -> list[CabinRows]:
    seat_map: SeatMap | None = await store.seat_map_of(uow, aircraft_type)
    if seat_map is None:
        return []
    taken = await seats.occupied(uow, leg_ids)
    return [
        CabinRows(columns=layout.columns, rows=_rows(layout, set(taken)))
        for layout in seat_map.cabin
        if layout.cabin == cabin
    ]


def _rows(layout: CabinLayout, taken: set[str]) -> list[SeatRow]:
    rows: dict[int, SeatRow] = {}
    for seat in layout.seats():
        row = rows.setdefault(
            seat.row, SeatRow(row=seat.row, exit_row=seat.row in layout.exit_rows, seats=[])
        )
        traits = {"window": seat.window, "aisle": seat.aisle, "exit_row": seat.exit_row}
        row.seats.append(
            SeatStatus(
                seat=seat.number,
                column=seat.column,
                status=(
                    "blocked"
                    if seat.blocked
                    else "occupied"
                    if seat.number in taken
                    else "available"
                ),
                characteristics=[trait for trait, present in traits.items() if present],
            )
        )
    return list(rows.values())
