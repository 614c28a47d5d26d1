"""A party buys its journey: offers, an order, a payment, tickets."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from pss_sdk import ApiProblem, Offer, Order, Passenger

from .choice import choose_offer, markets_to_try
from .expectation import WentWrong, require
from .scene import Scene

__all__ = ["FAMILY", "book_and_pay", "offers_on", "order_offer"]

_STAY = timedelta(days=4)  # after check-in's horizon: the way back can't be checked in yet


def _child_born_on() -> date:
    return date(datetime.now(UTC).year - 8, 1, 15)


FAMILY = [
    Passenger(type="adult", given_name="Ada", family_name="Example", email="ada@passenger.example"),
    Passenger(type="adult", given_name="Ben", family_name="Example"),
    Passenger(type="child", given_name="Cleo", family_name="Example", born_on=_child_born_on()),
]


async def book_and_pay(scene: Scene) -> Order:
    """From the first question to tickets; the order as it is then."""
    offer = await _find_offer(scene)
    order = await order_offer(scene, offer, FAMILY, "Ada orders it for Ben, Cleo and herself")
    with scene.narrator.step(f"Ada pays {order.total} with a card that is good") as telling:
        payment = await scene.guest.pay(order, "tok_visa")
        if payment.status in {"pending", "authorised"}:  # answered 202: the network is slow
            order = await scene.guest.wait_until_ticketed(order.id, order.guest)
            payment = await scene.guest.payment(payment.id)
        require(
            payment.status == "captured",
            f"The payment should have been captured, but is {payment.status}"
            f"{f' ({payment.failure.detail})' if payment.failure else ''}.",
        )
        telling.outcome = f"captured, {payment.id}"
    with scene.narrator.step("The airline issues their tickets") as telling:
        order = await scene.guest.wait_until_ticketed(order.id, order.guest)
        scene.record(order)
        require(
            len(order.documents) >= len(FAMILY),
            f"{len(FAMILY)} passengers should have tickets; there are {len(order.documents)}.",
        )
        telling.outcome = ", ".join(document.number for document in order.documents)
    await _check_books(scene, order)
    return order


async def _find_offer(scene: Scene) -> Offer:
    """Search markets and dates until something leaves while check-in is open."""
    connection = scene.airline.connection
    back = (scene.window.latest + _STAY).date()
    with scene.narrator.step(
        "Ada looks for a return trip for two adults and a child"
        f"{', with a connection' if connection else ''}"
    ) as telling:
        asked = 0
        for origin, destination in markets_to_try(
            scene.airline.markets, await scene.guest.markets()
        ):
            for day in scene.window.dates():
                offers = await offers_on(
                    scene,
                    [(origin, destination, day), (destination, origin, back)],
                    [passenger.type for passenger in FAMILY],
                )
                asked += 1
                chosen = choose_offer(offers, scene.window, connection=connection)
                if chosen is not None:
                    telling.outcome = _described(chosen, len(offers), asked)
                    return chosen
        raise WentWrong(
            f"None of {asked} searches found a flight that leaves while check-in is open "
            f"({scene.window.earliest:%d %b %H:%M} to {scene.window.latest:%d %b %H:%M} UTC)."
        )


async def offers_on(
    scene: Scene, slices: list[tuple[str, str, date]], passengers: list[str]
) -> list[Offer]:
    """Offers, none for a day that is over at its airport already."""
    try:
        return (await scene.guest.request_offers(slices, passengers)).offers
    except ApiProblem as problem:
        if {error.code for error in problem.errors} == {"date-in-past"}:
            return []
        raise


def _described(offer: Offer, found: int, asked: int) -> str:
    out, back = offer.slices[0], offer.slices[-1]
    first = out.segments[0]
    return (
        f"{found} offers{f' (after {asked} searches)' if asked > 1 else ''}; they take "
        f"{offer.brand}, {out.route} on {first.departing_at:%A %d %B %H:%M} with "
        f"{' and '.join(segment.flight for segment in out.segments)}, back {back.route} on "
        f"{back.segments[0].departing_at:%A %d %B}: {offer.total} "
        f"(fares {offer.price_breakdown.base}, taxes {offer.price_breakdown.taxes})"
    )


async def order_offer(scene: Scene, offer: Offer, passengers: list[Passenger], what: str) -> Order:
    """Order it for these passengers; ``what`` tells so."""
    with scene.narrator.step(what) as telling:
        order = await scene.guest.create_order(offer.id, passengers)
        scene.record(order)
        require(order.status == "held", f"A new order should be held, but is {order.status}.")
        telling.outcome = f"booking reference {order.booking_reference}, seats held until paid"
    return order


async def _check_books(scene: Scene, order: Order) -> None:
    with scene.narrator.step("The airline's books for this order are looked at") as telling:
        ledger = await scene.staff.ledger(order.id)
        require(
            ledger.balanced and ledger.reconciled,
            f"The books of {order.booking_reference} do not balance.",
        )
        telling.outcome = "they balance, and agree with the payment"
