"""Two buyers and one seat; then a card that is declined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from pss_sdk import Offer, Order, Passenger
from pss_sdk.models import Authorisations, Segment

from .booking import offers_on, order_offer
from .choice import markets_to_try
from .expectation import WentWrong, refused_with, require
from .scene import Scene

__all__ = ["compete_for_last_seat", "taken_from"]

_DORA = Passenger(type="adult", given_name="Dora", family_name="Sample")
_EMIL = Passenger(type="adult", given_name="Emil", family_name="Sample")
_DAYS_AHEAD = 20  # away from the flights of the journey
_DAYS_TRIED = 10


async def compete_for_last_seat(scene: Scene) -> None:
    """Refuse the second buyer, then the first one's card; leave all as it was."""
    doras, emils, segment = await _two_offers(scene)
    async with _one_seat_left(scene, segment):
        order = await order_offer(scene, doras, [_DORA], "Dora orders and has the last seat")
        with (
            scene.narrator.step("Emil orders the same seat a moment later") as telling,
            refused_with(telling, "sold-out"),
        ):
            await scene.guest.create_order(emils.id, [_EMIL])
    await _declined(scene, order)
    await _let_go(scene, order)


async def _two_offers(scene: Scene) -> tuple[Offer, Offer, Segment]:
    """Offers of one seat in one booking class of a nonstop flight, one for each buyer."""
    first = datetime.now(UTC).date() + timedelta(days=_DAYS_AHEAD)
    with scene.narrator.step("Dora and Emil each ask for one seat on the same flight") as telling:
        markets = markets_to_try(scene.airline.nonstop_markets, await scene.guest.markets())
        for origin, destination in markets:
            for day in range(_DAYS_TRIED):
                asked = [(origin, destination, first + timedelta(days=day))]
                doras = _nonstop(await offers_on(scene, asked, ["adult"]))
                emils = _nonstop(await offers_on(scene, asked, ["adult"]))
                if doras is None or emils is None or _seat(doras) != _seat(emils):
                    continue
                segment = doras.slices[0].segments[0]
                if len(await _levels(scene, segment)) != 1:
                    continue  # several legs can't be put back by one call
                telling.outcome = (
                    f"both are offered {segment.flight} on {segment.departing_at:%A %d %B} "
                    f"for {doras.total}"
                )
                return doras, emils, segment
        raise WentWrong("No nonstop flight could be found for the two.")


def _nonstop(offers: Sequence[Offer]) -> Offer | None:
    return next((offer for offer in offers if len(offer.slices[0].segments) == 1), None)


def _seat(offer: Offer) -> tuple[str, str, str]:
    segment = offer.slices[0].segments[0]
    return segment.flight_id, segment.cabin, segment.booking_class


async def _levels(scene: Scene, segment: Segment) -> list[Authorisations]:
    legs = await scene.staff.authorisations(segment.flight_id)
    return [leg for leg in legs if leg.cabin == segment.cabin]


@asynccontextmanager
async def _one_seat_left(scene: Scene, segment: Segment) -> AsyncIterator[None]:
    """Authorise one seat more than is taken in the class; put the level back at the end."""
    (leg,) = await _levels(scene, segment)
    booking_class, before = segment.booking_class, leg.authorised[segment.booking_class]
    level = taken_from(leg, booking_class) + 1
    with scene.narrator.step("The airline's staff leave one seat for sale in that class") as told:
        await scene.staff.set_authorisations(
            segment.flight_id, segment.cabin, {booking_class: level}
        )
        told.outcome = (
            f"class {booking_class} of {segment.flight}: {before} authorised, now {level}"
        )
    try:
        yield
    finally:
        with scene.narrator.step("The staff put the level back") as told:
            await scene.staff.set_authorisations(
                segment.flight_id, segment.cabin, {booking_class: before}
            )
            told.outcome = f"class {booking_class} of {segment.flight}: {before} again"


def taken_from(leg: Authorisations, booking_class: str) -> int:
    """Seats held and sold in a class and all below it; classes are listed highest first."""
    classes = list(leg.authorised)
    lower = classes[classes.index(booking_class) :]
    return sum(leg.held[name] + leg.sold[name] for name in lower)


async def _declined(scene: Scene, order: Order) -> None:
    with scene.narrator.step("Dora pays with a card that the bank declines") as telling:
        payment = await scene.guest.pay(order, "tok_declined")
        failure = payment.failure
        if payment.status != "failed" or failure is None:
            raise WentWrong(f"The payment should have failed, but is {payment.status}.")
        require(
            failure.code == "card-declined",
            f"The payment should have failed with card-declined, but did with {failure.code}.",
        )
        telling.refused(failure.code, failure.detail)


async def _let_go(scene: Scene, order: Order) -> None:
    with scene.narrator.step("Nothing was taken; Dora cancels and the seat is free again") as told:
        done = await scene.guest.cancel(order.id, order.guest)
        require(done.status == "confirmed", f"The cancellation is {done.status}.")
        order = await scene.guest.order(order.id, order.guest)
        scene.record(order)
        require(order.status == "cancelled", f"The order is {order.status}, not cancelled.")
        told.outcome = f"{order.booking_reference} is cancelled, penalty {done.penalty}"
