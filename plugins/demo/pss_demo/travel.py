"""The same party on its way: a meal, seats, check-in, the gates."""

from __future__ import annotations

import asyncio

from pss_sdk import Order
from pss_sdk.models import BoardingPass, Segment

from .choice import other_flight, seats_together
from .expectation import WentWrong, refused_with, require
from .scene import Scene

__all__ = ["travel"]

_PNG, _PDF = b"\x89PNG\r\n", b"%PDF-"


async def travel(scene: Scene, order: Order) -> None:
    """Everything between the tickets and the closed door."""
    await _order_meal(scene, order)
    await _choose_seats(scene, order)
    passes = await _check_in(scene, order)
    await _save_passes(scene, order, passes)
    out = order.slices[0].segments
    await _wrong_flight(scene, out[0], passes[0])
    for segment in out:
        await _board(scene, segment, passes)
    await _board_again(scene, out[0], passes[0])
    await _check_coupons(scene, order)


async def _order_meal(scene: Scene, order: Order) -> None:
    """Serve a meal; where the airline lacks the plugin, be refused."""
    cleo, segment = order.passengers[-1], order.slices[0].segments[0]
    if "meals" not in scene.tenant.plugins:
        with (
            scene.narrator.step(f"Cleo would like a special meal from {scene.tenant.name}") as told,
            refused_with(told, "plugin-not-enabled"),
        ):
            await scene.guest.meals()
        return
    with scene.narrator.step("Cleo would like a special meal") as telling:
        menu = await scene.guest.meals()
        require(bool(menu), "The menu is empty.")
        dish = next((dish for dish in menu if dish.code == "CHML"), menu[0])
        service = await scene.guest.add_service(
            order.id,
            "meal",
            passenger_id=cleo.id,
            segment_id=segment.id,
            code=dish.code,
            guest=order.guest,
        )
        telling.outcome = (
            f"{len(menu)} dishes on the menu; {dish.name} ({service.code}) on {segment.flight}"
        )


async def _choose_seats(scene: Scene, order: Order) -> None:
    with scene.narrator.step("They choose seats side by side") as telling:
        maps = {one.segment_id: one for one in await scene.guest.seat_map(order_id=order.id)}
        told = []
        for segment in order.slices[0].segments:
            seats = seats_together(maps[segment.id], len(order.passengers))
            require(
                len(seats) == len(order.passengers), f"{segment.flight} has too few free seats."
            )
            for passenger, seat in zip(order.passengers, seats, strict=True):
                await scene.guest.add_service(
                    order.id,
                    "seat",
                    passenger_id=passenger.id,
                    segment_id=segment.id,
                    seat=seat,
                    guest=order.guest,
                )
            told.append(f"{segment.flight}: {', '.join(seats)}")
        telling.outcome = "; ".join(told)


async def _check_in(scene: Scene, order: Order) -> list[BoardingPass]:
    out, back = order.slices
    with scene.narrator.step(f"They check in for {out.route}, with a suitcase") as telling:
        first = order.passengers[0]
        passes = await scene.guest.check_in(order.guest, bags={first.id: 1})
        require(
            len(passes) == len(order.passengers),
            f"{len(order.passengers)} boarding passes should have come, not {len(passes)}.",
        )
        require(
            all(len(one.segments) == len(out.segments) for one in passes),
            "Each boarding pass should be good for the whole way out.",
        )
        tags = [tag for one in passes for tag in one.bag_tags]
        require(bool(tags), "The suitcase should have got a tag.")
        telling.outcome = f"{len(passes)} boarding passes, bag tag {', '.join(tags)}"
    segment = back.segments[0]
    with (
        scene.narrator.step(
            f"They try the way back, {back.route} on {segment.departing_at:%d %B}, as well"
        ) as telling,
        refused_with(telling, "check-in-not-open"),
    ):
        await scene.guest.check_in(order.guest, segment_id=segment.id)
    return passes


async def _save_passes(scene: Scene, order: Order, passes: list[BoardingPass]) -> None:
    names = {passenger.id: passenger.name for passenger in order.passengers}
    with scene.narrator.step("They save their boarding passes") as telling:
        for number, one in enumerate(passes, 1):
            stem = f"boarding-pass-{number}-{names[one.passenger_id].lower().replace(' ', '-')}"
            image, document = await asyncio.gather(
                scene.guest.boarding_pass_image(one.id), scene.guest.boarding_pass_document(one.id)
            )
            require(image.startswith(_PNG), "A boarding pass's image is not a PNG.")
            require(document.startswith(_PDF), "A boarding pass's document is not a PDF.")
            scene.save(f"{stem}.png", image)
            scene.save(f"{stem}.pdf", document)
        telling.outcome = f"{len(passes)} PNG and {len(passes)} PDF in {scene.folder}"


async def _wrong_flight(scene: Scene, segment: Segment, one: BoardingPass) -> None:
    flights = await scene.staff.flights(segment.flight_date, origin=segment.origin)
    other = other_flight(flights, segment.flight)
    if other is None:
        raise WentWrong(f"Nothing else leaves {segment.origin} that day.")
    with scene.narrator.step(
        f"Ada goes to the gate of {other.flight} in {segment.origin} by mistake"
    ) as telling:
        answer = await scene.staff.board(other.id, one.bcbp, board_point=segment.origin)
        require(
            answer.result == "wrong_flight",
            f"The gate should have said wrong_flight, but said {answer.result}.",
        )
        telling.refused(answer.result, answer.detail)


async def _board(scene: Scene, segment: Segment, passes: list[BoardingPass]) -> None:
    with scene.narrator.step(f"They board {segment.flight} in {segment.origin}") as telling:
        for one in passes:
            answer = await scene.staff.board(
                segment.flight_id, one.bcbp, board_point=segment.origin
            )
            require(
                answer.result == "boarded",
                f"The gate should have let them board, but said: {answer.detail}",
            )
        counts = answer.counts
        telling.outcome = (
            f"on board {counts.boarded} of {counts.expected}, checked in {counts.checked_in}"
        )


async def _board_again(scene: Scene, segment: Segment, one: BoardingPass) -> None:
    with scene.narrator.step(
        f"Somebody comes to {segment.flight} with Ada's boarding pass once more"
    ) as telling:
        answer = await scene.staff.board(segment.flight_id, one.bcbp, board_point=segment.origin)
        require(
            answer.result == "already_boarded",
            f"The gate should have said already_boarded, but said {answer.result}.",
        )
        telling.refused(answer.result, answer.detail)


async def _check_coupons(scene: Scene, order: Order) -> None:
    flown = {segment.id for segment in order.slices[0].segments}
    with scene.narrator.step("Their tickets are looked at") as telling:
        order = await scene.guest.order(order.id, order.guest)
        scene.record(order)
        coupons = [coupon for document in order.documents for coupon in document.coupons]
        wrong = [
            coupon
            for coupon in coupons
            if coupon.status != ("flown" if coupon.segment_id in flown else "open")
        ]
        require(not wrong, f"{len(wrong)} coupons have the wrong status.")
        used = sum(coupon.status == "flown" for coupon in coupons)
        telling.outcome = f"{used} coupons flown, {len(coupons) - used} open for the way back"
