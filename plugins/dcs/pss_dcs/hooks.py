from pss_kernel import Conflict, FieldError, Invalid, Money, UnitOfWork
from pss_reservation import contracts as reservation
from pss_reservation.contracts import FulfilledService, Order, ServiceRequest

from . import plugin, store
from .contracts import CheckInClosed, SeatNotAllowed
from .journey import planned_segment, travellers_of
from .seats import SeatedSegment, assign_chosen
from .settings import Settings

__all__: list[str] = []


@plugin.hook(reservation.fulfil_service)
async def choose_seat(
    uow: UnitOfWork, order: Order, request: ServiceRequest
) -> FulfilledService | None:
    """Give a passenger a seat ahead of check-in, in place of the one chosen before."""
    if request.type != "seat":
        return None
    passenger = order.passenger(request.passenger_id)
    segment = order.segment(request.segment_id)
    if not request.seat or passenger is None or segment is None or passenger.type == "infant":
        raise Invalid(
            "The seat can't be chosen as it was asked for.",
            errors=[
                FieldError(
                    pointer="/seat",
                    detail="A seat is a row and a column, for a passenger who is no infant.",
                )
            ],
        )
    await _require_choice(uow, order, passenger.id, segment.id)
    planned = await planned_segment(uow, segment)
    if planned.departing_at <= await uow.now():
        raise CheckInClosed("The flight has departed.")
    seat = request.seat.strip().upper()
    seated = SeatedSegment(
        order_id=order.id,
        segment_id=segment.id,
        cabin=segment.cabin,
        leg_ids=planned.leg_ids,
        seat_map=await store.seat_map_of(uow, planned.aircraft_type),
    )
    (traveller,) = travellers_of(order, [passenger])
    await assign_chosen(uow, seated, [(traveller, seat)])
    return FulfilledService(detail=seat, price=_price(uow, order))


async def _require_choice(
    uow: UnitOfWork, order: Order, passenger_id: str, segment_id: str
) -> None:
    """Refuse a fare without choice of seats, and a passenger who is checked in."""
    if order.conditions.seat_selection == "none" and not uow.actor.may("reservation:change"):
        raise SeatNotAllowed(
            "This fare has no choice of seats.", mend="Seats are given at check-in."
        )
    await store.lock_order(uow, order.id)
    standing = await store.check_ins_of_order(uow, order.id)
    if any((one.passenger_id, one.segment_id) == (passenger_id, segment_id) for one in standing):
        raise Conflict(
            "The passenger is checked in already.",
            code="already-checked-in",
            mend="Check in again with the other seat.",
        )


def _price(uow: UnitOfWork, order: Order) -> Money | None:
    minor = uow.settings(Settings).seat_price_minor
    if order.conditions.seat_selection != "paid" or not minor:
        return None
    return Money.of(minor, order.total.currency)
