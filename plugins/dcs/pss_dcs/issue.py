"""Storing what a check-in request has come to, and answering with its boarding passes."""

from msgspec import to_builtins

from . import store
from .contracts import BoardingPass, CheckIn
from .desk import Desk
from .journey import Journey
from .passes import answer_of, barcode_of

__all__ = ["issue_passes"]


async def issue_passes(
    desk: Desk, journeys: list[Journey], bags: list[dict[str, object]]
) -> list[BoardingPass]:
    """Store passes, check-ins and bags, and answer with every pass of these journeys."""
    pass_ids = dict.fromkeys(
        desk.standing[passenger.id, planned.segment.id].boarding_pass_id
        for journey in journeys
        for passenger in desk.passengers
        for planned in journey
    )
    answers: list[BoardingPass] = []
    for pass_id in pass_ids:
        on_pass = desk.on_pass(pass_id)
        earlier = await store.pass_by_id(desk.uow, pass_id)
        issued_at = earlier.issued_at if earlier else desk.now
        bcbp = barcode_of(desk.order, on_pass, actor=desk.uow.actor, issued_at=issued_at)
        kept = store.Pass(
            id=pass_id,
            order_id=desk.order.id,
            passenger_id=on_pass[0].passenger_id,
            bcbp=bcbp,
            issued_at=issued_at,
        )
        if earlier is None or _changed(desk, on_pass, bags):
            await store.keep_passes(desk.uow, [kept])
        else:
            kept = earlier
        answers.append(answer_of(kept, on_pass))
    documents = {one.passenger_id: to_builtins(one) for one in desk.request.documents}
    await store.add_check_ins(desk.uow, desk.made)
    await store.keep_documents(desk.uow, desk.order.id, documents)
    await store.add_bags(desk.uow, bags)
    return answers


def _changed(desk: Desk, on_pass: list[CheckIn], bags: list[dict[str, object]]) -> bool:
    seats = {(choice.passenger_id, choice.segment_id) for choice in desk.request.seats}
    return any(row["boarding_pass_id"] == on_pass[0].boarding_pass_id for row in bags) or any(
        (one.passenger_id, one.segment_id) in seats for one in on_pass
    )
