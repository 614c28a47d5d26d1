"""Checking in: seats, sequence numbers, coupons, bags and boarding passes in one transaction."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from pss_kernel import Conflict, NotFound, Problem, UnitOfWork, new_id
from pss_reservation.contracts import OrderPassenger, keep_ticketed, order_by_reference
from pss_ticketing.contracts import CouponRef, coupon_of, move_coupon

from . import store
from .bags import tag_bags
from .contracts import BoardingPass, CheckIn, CheckInClosed, NotTicketed, PassengerCheckedIn
from .desk import Desk, Place
from .issue import issue_passes
from .journey import Journey, PlannedSegment, plan_slices, travellers_of
from .passes import new_pass_id
from .requests import CheckInRequest, chosen_passengers, require_valid
from .seats import SeatedSegment, assign_chosen, assign_rest
from .settings import Settings
from .window import require_open

__all__ = ["CheckInAnswer", "check_in"]


class CheckInAnswer(Struct, kw_only=True):
    """A boarding pass for each passenger and each part of the journey checked in together."""

    boarding_passes: list[BoardingPass]


async def check_in(uow: UnitOfWork, request: CheckInRequest) -> CheckInAnswer:
    """Check passengers in on every slice that is open, or on one segment.

    Asking again gives the same passes, changed by the seats and bags that are asked for. All
    or nothing. Raises NotFound for the order, NotTicketed, CheckInNotOpen, CheckInClosed,
    SeatUnknown, SeatNotAllowed, SeatTaken, Invalid with every wrong field, and Conflict with
    the codes flight-cancelled, flight-changed and bags-already-tagged.
    """
    order = await order_by_reference(uow, request.booking_reference, request.family_name)
    await store.lock_order(uow, order.id)
    # Read again behind the lock: what ends an order takes back what is checked in of it.
    order = await order_by_reference(uow, request.booking_reference, request.family_name)
    if order.status != "ticketed":
        raise NotTicketed(f"The order is {order.status}; check-in needs a ticket.")
    await keep_ticketed(uow, order.id)
    settings = uow.settings(Settings)
    standing = await store.check_ins_of_order(uow, order.id)
    require_valid(order, request, settings.maximum_bags, {one.passenger_id for one in standing})
    desk = Desk(
        uow=uow,
        settings=settings,
        now=await uow.now(),
        order=order,
        request=request,
        passengers=chosen_passengers(order, request),
        standing={(one.passenger_id, one.segment_id): one for one in standing},
    )
    journeys = await _open_journeys(desk)
    coupons = await _open_coupons(desk, journeys)
    sequences = await _sequences(desk, journeys)
    for journey in journeys:
        await _check_in_journey(desk, journey, coupons, sequences)
    bags = await tag_bags(desk, journeys)
    return CheckInAnswer(boarding_passes=await issue_passes(desk, journeys, bags))


async def _open_journeys(desk: Desk) -> list[Journey]:
    """Return what can be checked in now, or is already; the first refusal when there is nothing."""
    journeys = await plan_slices(desk.uow, desk.order, desk.request.segment_id, desk.now)
    if not journeys:
        raise CheckInClosed("The flight has departed.")
    refusals: list[Problem] = []
    open_now: list[Journey] = []
    for journey in journeys:
        try:
            if desk.asks_for_more(journey):
                _require_open(desk, journey)
        except Conflict as refusal:
            ids = {planned.segment.id for planned in journey}
            if any(choice.segment_id in ids for choice in desk.request.seats):
                raise
            refusals.append(refusal)
        else:
            open_now.append(journey)
    if not open_now:
        raise refusals[0]
    return open_now


def _require_open(desk: Desk, journey: Journey) -> None:
    for planned in journey:
        if planned.flight.status == "cancelled":
            raise Conflict(
                f"{planned.segment.flight} is cancelled.",
                code="flight-cancelled",
                mend="Ask the airline for another flight.",
            )
    first = journey[0]
    require_open(desk.now, first.departing_at, desk.settings, flight=first.segment.flight)


async def _open_coupons(desk: Desk, journeys: list[Journey]) -> dict[Place, CouponRef]:
    """Return the coupon of everybody who is not checked in yet. Raises NotTicketed."""
    coupons: dict[Place, CouponRef] = {}
    for planned in _segments(journeys):
        for passenger in desk.lacking(planned):
            try:
                coupon = await coupon_of(desk.uow, passenger.id, planned.segment.id)
            except NotFound as missing:
                raise NotTicketed(
                    f"{passenger.given_name} {passenger.family_name} has no ticket for"
                    f" {planned.segment.flight}."
                ) from missing
            if coupon.status != "open":
                raise NotTicketed(
                    f"The ticket of {passenger.given_name} {passenger.family_name} for"
                    f" {planned.segment.flight} is {coupon.status.replace('_', ' ')}."
                )
            coupons[passenger.id, planned.segment.id] = coupon
    return coupons


async def _sequences(desk: Desk, journeys: list[Journey]) -> dict[Place, int]:
    """Return a sequence number for each new check-in, on the leg that it boards."""
    wanted: dict[int, list[Place]] = {}
    for planned in _segments(journeys):
        for passenger in desk.lacking(planned):
            wanted.setdefault(planned.leg_ids[0], []).append((passenger.id, planned.segment.id))
    if not wanted:
        return {}
    taken = await store.take_sequences(
        desk.uow, {leg_id: len(places) for leg_id, places in wanted.items()}
    )
    return {
        place: number
        for leg_id, places in wanted.items()
        for place, number in zip(places, taken[leg_id], strict=True)
    }


async def _check_in_journey(
    desk: Desk, journey: Journey, coupons: dict[Place, CouponRef], sequences: dict[Place, int]
) -> None:
    pass_ids: dict[str, str] = {}
    for planned in journey:
        lacking = desk.lacking(planned)
        seats = await _seat(desk, planned, lacking)
        for passenger in lacking:
            place = (passenger.id, planned.segment.id)
            coupon = coupons[place]
            await move_coupon(
                desk.uow, coupon.ticket_number, coupon.coupon_number, "open", "checked_in"
            )
            made = _new_check_in(
                desk,
                planned,
                passenger,
                coupon,
                sequence=sequences[place],
                seat=seats.get(passenger.id),
                pass_id=pass_ids.setdefault(passenger.id, new_pass_id()),
            )
            desk.standing[place] = made
            desk.made.append(made)
            desk.uow.emit(_event(made), stream=made.order_id)


async def _seat(
    desk: Desk, planned: PlannedSegment, lacking: list[OrderPassenger]
) -> dict[str, str]:
    """Seat those who are checked in now, and change seats of those who were before."""
    segment = SeatedSegment(
        order_id=desk.order.id,
        segment_id=planned.segment.id,
        cabin=planned.segment.cabin,
        leg_ids=planned.leg_ids,
        seat_map=await store.seat_map_of(desk.uow, planned.aircraft_type),
    )
    travellers = {
        traveller.passenger_id: traveller
        for traveller in travellers_of(desk.order, desk.order.passengers)
    }
    chosen = {
        choice.passenger_id: choice.seat.strip().upper()
        for choice in desk.request.seats
        if choice.segment_id == planned.segment.id
    }
    if chosen:
        await assign_chosen(
            desk.uow, segment, [(travellers[who], seat) for who, seat in chosen.items()]
        )
    for passenger_id, seat in chosen.items():
        before = desk.standing.get((passenger_id, planned.segment.id))
        if before is not None and before.seat != seat:
            await store.set_seat(desk.uow, before.id, seat)
            desk.standing[passenger_id, planned.segment.id] = replace(before, seat=seat)
    if not lacking:
        return {}
    # Those who chose keep what they have; so the others are seated beside them.
    party = {passenger.id for passenger in lacking} | set(chosen)
    return await assign_rest(
        desk.uow, segment, [one for who, one in travellers.items() if who in party]
    )


def _new_check_in(
    desk: Desk,
    planned: PlannedSegment,
    passenger: OrderPassenger,
    coupon: CouponRef,
    *,
    sequence: int,
    seat: str | None,
    pass_id: str,
) -> CheckIn:
    return CheckIn(
        id=new_id("chk"),
        order_id=desk.order.id,
        booking_reference=desk.order.booking_reference,
        passenger_id=passenger.id,
        passenger_type=passenger.type,
        title=passenger.title,
        given_name=passenger.given_name,
        family_name=passenger.family_name,
        infant_of=passenger.infant_of,
        segment_id=planned.segment.id,
        flight_id=planned.flight.id,
        flight=planned.segment.flight,
        flight_date=planned.flight.flight_date,
        origin=planned.segment.origin,
        destination=planned.segment.destination,
        leg_ids=planned.leg_ids,
        cabin=planned.segment.cabin,
        booking_class=planned.segment.booking_class,
        seat=seat,
        sequence=sequence,
        ticket_number=coupon.ticket_number,
        coupon_number=coupon.coupon_number,
        boarding_pass_id=pass_id,
        bag_tags=[],
        checked_in_at=desk.now,
        offloaded_at=None,
    )


def _segments(journeys: Iterable[Journey]) -> Iterable[PlannedSegment]:
    return (planned for journey in journeys for planned in journey)


def _event(made: CheckIn) -> PassengerCheckedIn:
    return PassengerCheckedIn(
        order_id=made.order_id,
        check_in_id=made.id,
        passenger_id=made.passenger_id,
        segment_id=made.segment_id,
        flight_id=made.flight_id,
        seat=made.seat,
        sequence=made.sequence,
    )
