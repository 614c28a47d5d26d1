"""Tagging bags with 10-digit licence plates (IATA Resolution 740)."""

from msgspec.structs import replace

from pss_kernel import Conflict

from . import store
from .contracts import CheckIn
from .desk import Desk
from .journey import Journey

__all__ = ["tag_bags"]


async def tag_bags(desk: Desk, journeys: list[Journey]) -> list[dict[str, object]]:
    """Tags for the bags that have none yet, to the end of the first part checked in."""
    journey = journeys[0]
    needed: list[tuple[CheckIn, int, int | None]] = []
    for declared in desk.request.bags:
        first = desk.standing[declared.passenger_id, journey[0].segment.id]
        missing = declared.pieces - len(first.bag_tags)
        if missing < 0:
            raise Conflict(
                f"{len(first.bag_tags)} bags are tagged already.",
                code="bags-already-tagged",
                mend="Ask the airline's staff to take a bag back.",
            )
        if missing:
            needed.append((first, missing, declared.weight_kg))
    if not needed:
        return []
    # The airline's one counter is the busiest row of all: it is locked last, and briefly.
    tags = iter(
        await store.take_bag_tags(desk.uow, desk.settings, sum(missing for _, missing, _ in needed))
    )
    rows: list[dict[str, object]] = []
    for first, missing, weight in needed:
        new = [next(tags) for _ in range(missing)]
        on_pass = desk.on_pass(first.boarding_pass_id)
        for one in on_pass:
            desk.standing[one.passenger_id, one.segment_id] = replace(
                one, bag_tags=[*one.bag_tags, *new]
            )
        rows += [
            {
                "tag": tag,
                "order_id": desk.order.id,
                "passenger_id": first.passenger_id,
                "boarding_pass_id": first.boarding_pass_id,
                "destination": on_pass[-1].destination,
                "declared_weight_kg": weight,
                "issued_at": desk.now,
            }
            for tag in new
        ]
    return rows
