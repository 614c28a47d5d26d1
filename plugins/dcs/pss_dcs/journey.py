"""What of an order is to be checked in: its segments as they fly now, and its passengers."""

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from pss_inventory.contracts import Flight, Leg, flight_by_id
from pss_kernel import Conflict, UnitOfWork
from pss_reservation.contracts import Order, OrderPassenger, OrderSegment

from .seating import Traveller

__all__ = ["Journey", "PlannedSegment", "plan_slices", "planned_segment", "travellers_of"]


class PlannedSegment(Struct, kw_only=True, frozen=True):
    """A segment of an order with the legs that its flight has now."""

    segment: OrderSegment
    flight: Flight
    legs: list[Leg]

    @property
    def leg_ids(self) -> list[int]:
        """Its legs in flying order."""
        return [leg.leg_id for leg in self.legs]

    @property
    def departing_at(self) -> datetime:
        """Departure in the airport's own zone."""
        return self.legs[0].departing_at

    @property
    def arriving_at(self) -> datetime:
        """Arrival in the airport's own zone."""
        return self.legs[-1].arriving_at

    @property
    def aircraft_type(self) -> str:
        """The aircraft of the first leg: seats are chosen on it for all of them."""
        return self.legs[0].aircraft_type


Journey = list[PlannedSegment]
"""Segments of one slice that are checked in together."""


async def planned_segment(uow: UnitOfWork, segment: OrderSegment) -> PlannedSegment:
    """Find the segment on its flight. Raises Conflict "flight-changed" when it is not there."""
    flight = await flight_by_id(uow, segment.flight_id)
    origins = [leg.origin for leg in flight.legs]
    destinations = [leg.destination for leg in flight.legs]
    if segment.origin in origins and segment.destination in destinations:
        first, last = origins.index(segment.origin), destinations.index(segment.destination)
        if first <= last:
            return PlannedSegment(
                segment=segment, flight=flight, legs=flight.legs[first : last + 1]
            )
    raise Conflict(
        f"{segment.flight} no longer flies from {segment.origin} to {segment.destination}.",
        code="flight-changed",
        mend="Ask the airline for another flight.",
    )


async def plan_slices(
    uow: UnitOfWork, order: Order, segment_id: str | None, now: datetime
) -> list[Journey]:
    """One segment, or from each slice the segments that have not departed; empty ones left out."""
    journeys: list[Journey] = []
    for part in order.slices:
        booked = [segment for segment in part.segments if segment.status == "booked"]
        if segment_id is not None:
            booked = [segment for segment in booked if segment.id == segment_id]
        planned = [await planned_segment(uow, segment) for segment in booked]
        ahead = [one for one in planned if one.departing_at > now]
        if ahead:
            journeys.append(ahead)
    return journeys


def travellers_of(order: Order, passengers: Sequence[OrderPassenger]) -> list[Traveller]:
    """Those of the passengers who need a seat, in the order's sequence."""
    guardians = {passenger.infant_of for passenger in order.passengers}
    return [
        Traveller(
            passenger_id=passenger.id,
            type=passenger.type,
            with_infant=passenger.id in guardians,
        )
        for passenger in passengers
        if passenger.type != "infant"
    ]
