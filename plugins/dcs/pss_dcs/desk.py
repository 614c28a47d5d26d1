"""One check-in request while it is worked on."""

from dataclasses import dataclass, field
from datetime import datetime

from pss_kernel import UnitOfWork
from pss_reservation.contracts import Order, OrderPassenger

from .contracts import CheckIn
from .journey import Journey, PlannedSegment
from .passes import in_order_of_travel
from .requests import CheckInRequest
from .settings import Settings

__all__ = ["Desk", "Place"]

Place = tuple[str, str]
"""A passenger id and a segment id."""


@dataclass
class Desk:
    """One request while it is worked on; `standing` is what is checked in so far."""

    uow: UnitOfWork
    settings: Settings
    now: datetime
    order: Order
    request: CheckInRequest
    passengers: list[OrderPassenger]
    standing: dict[Place, CheckIn]
    made: list[CheckIn] = field(default_factory=list)

    def lacking(self, planned: PlannedSegment) -> list[OrderPassenger]:
        """Who of the request is not checked in on this segment."""
        return [
            passenger
            for passenger in self.passengers
            if (passenger.id, planned.segment.id) not in self.standing
        ]

    def asks_for_more(self, journey: Journey) -> bool:
        """Whether the request changes anything on this part of the journey."""
        ids = {planned.segment.id for planned in journey}
        return (
            any(self.lacking(planned) for planned in journey)
            or any(choice.segment_id in ids for choice in self.request.seats)
            or bool(self.request.bags)
        )

    def on_pass(self, pass_id: str) -> list[CheckIn]:
        """Return what a boarding pass covers, in order of travel."""
        return in_order_of_travel(
            self.order, [one for one in self.standing.values() if one.boarding_pass_id == pass_id]
        )
