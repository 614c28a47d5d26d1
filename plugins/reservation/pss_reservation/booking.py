"""Making an order from an offer."""

from typing import Annotated

from msgspec import Meta, Struct, field

from pss_inventory.contracts import hold_seats
from pss_kernel import FieldError, Invalid, UnitOfWork
from pss_pricing.contracts import offer_to_order

from .contracts import OrderCreated
from .order import Order
from .passengers import NewPassenger, check_passengers, seated_passengers
from .settings import Settings
from .sold import passenger_types, seat_requests, travel_dates, with_own_segment_ids
from .store import insert_order

__all__ = ["NewOrder", "book"]


class NewOrder(Struct, kw_only=True):
    """An offer, accepted for named passengers; `hold` asks for time before paying."""

    offer_id: Annotated[str, Meta(max_length=60, description="Required: the id of an offer.")] = ""
    passengers: Annotated[
        list[NewPassenger],
        Meta(max_length=20, description="Required: the offer's passengers, by name."),
    ] = field(default_factory=list)
    hold: bool = False


async def book(uow: UnitOfWork, new: NewOrder) -> Order:
    """Make a held order and hold its seats, or nothing.

    Raises Invalid with every fault; NotFound and OfferExpired for the offer; Conflict
    (`departure-too-near`); SoldOut when a seat went to somebody else meanwhile.
    """
    if not new.offer_id:
        raise _invalid(
            [FieldError(pointer="/offer_id", code="required", detail="Which offer is accepted?")]
        )
    settings = uow.settings(Settings)
    stored = with_own_segment_ids(await offer_to_order(uow, new.offer_id))
    errors = check_passengers(
        new.passengers,
        passenger_types(stored),
        travel=travel_dates(stored),
        birth_date_required_for=settings.birth_date_required_for,
    )
    if errors:
        raise _invalid(errors)
    order = await insert_order(
        uow,
        stored,
        seated_passengers(new.passengers),
        hold_minutes=_minutes_held(uow, settings, hold=new.hold),
        closes_minutes=settings.booking_closes_minutes,
    )
    uow.emit(
        OrderCreated(order_id=order.id, booking_reference=order.booking_reference),
        stream=order.id,
    )
    await hold_seats(uow, order.id, seat_requests(stored))
    return order


def _minutes_held(uow: UnitOfWork, settings: Settings, *, hold: bool) -> int:
    """How long seats are kept unpaid; a guest's hold is short, for it costs the guest nothing."""
    if not hold:
        return settings.payment_minutes
    if any(uow.actor.may(f"reservation:{what}") for what in ("book", "change", "manage")):
        return settings.hold_minutes
    return min(settings.hold_minutes, settings.guest_hold_minutes)


def _invalid(errors: list[FieldError]) -> Invalid:
    return Invalid("The order can't be made as it was sent.", errors=errors)
