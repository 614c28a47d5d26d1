"""Taking check-ins back: by staff one by one, and all of them when an order ends."""

from collections.abc import Sequence

from msgspec import Struct

from pss_kernel import UnitOfWork
from pss_reservation.contracts import Order, order_by_id
from pss_ticketing.contracts import move_coupon

from . import seats, store
from .contracts import CheckIn, PassengerOffloaded
from .passes import barcode_of, in_order_of_travel

__all__ = ["Offloaded", "end_order", "offload"]


class Offloaded(Struct, kw_only=True):
    """The check-ins that were taken back; none when the first had been before."""

    check_ins: list[CheckIn]


async def offload(uow: UnitOfWork, check_in_id: str) -> Offloaded:
    """Offload a passenger from a segment and those after it in the same slice.

    An infant goes with its adult. Coupons are open again, seats free; a boarding pass keeps
    the segments before, or is void. Again is harmless. Raises NotFound, and Conflict
    "coupon-used" for somebody who has boarded. Forbidden to whose role is narrowed to the own
    station, where the passenger boards at another.
    """
    asked = await store.check_in_by_id(uow, check_in_id)
    uow.require("dcs:offload", station=asked.origin)
    await store.lock_order(uow, asked.order_id)
    standing = await store.check_ins_of_order(uow, asked.order_id)
    if all(one.id != check_in_id for one in standing):
        return Offloaded(check_ins=[])
    order = await order_by_id(uow, asked.order_id)
    onward = _onward(order, asked.segment_id)
    leaving = [
        one
        for one in standing
        if one.segment_id in onward and asked.passenger_id in {one.passenger_id, one.infant_of}
    ]
    for one in leaving:
        await move_coupon(uow, one.ticket_number, one.coupon_number, "checked_in", "open")
    await _take_back(uow, leaving)
    for pass_id in dict.fromkeys(one.boarding_pass_id for one in leaving):
        await _settle_pass(uow, order, pass_id)
    for one in leaving:
        facts = {"flight": one.flight, "flight_date": one.flight_date, "seat": one.seat}
        uow.audit("dcs.offloaded", one.id, before=facts | {"passenger_id": one.passenger_id})
    return Offloaded(check_ins=[await store.check_in_by_id(uow, one.id) for one in leaving])


async def end_order(uow: UnitOfWork, order_id: str) -> None:
    """Free the seats of a cancelled or expired order and void what was checked in of it.

    Its coupons are the business of whoever issued them.
    """
    await store.lock_order(uow, order_id)
    await seats.release_order(uow, order_id)
    standing = await store.check_ins_of_order(uow, order_id)
    await _take_back(uow, standing)
    for pass_id in dict.fromkeys(one.boarding_pass_id for one in standing):
        await store.void_pass(uow, pass_id)


def _onward(order: Order, segment_id: str) -> set[str]:
    """Return the segment and those after it in its slice."""
    for part in order.slices:
        ids = [segment.id for segment in part.segments]
        if segment_id in ids:
            return set(ids[ids.index(segment_id) :])
    return {segment_id}


async def _take_back(uow: UnitOfWork, leaving: Sequence[CheckIn]) -> None:
    await store.mark_offloaded(uow, [one.id for one in leaving])
    for one in leaving:
        await seats.release(uow, [one.passenger_id], one.leg_ids)
        uow.emit(
            PassengerOffloaded(
                order_id=one.order_id,
                check_in_id=one.id,
                passenger_id=one.passenger_id,
                segment_id=one.segment_id,
                flight_id=one.flight_id,
                sequence=one.sequence,
            ),
            stream=one.order_id,
        )


async def _settle_pass(uow: UnitOfWork, order: Order, pass_id: str) -> None:
    """Return a new barcode for what is left on the pass, or the end of it."""
    left = in_order_of_travel(order, await store.check_ins_of_pass(uow, pass_id))
    kept = await store.pass_by_id(uow, pass_id)
    if kept is None or not left:
        await store.void_pass(uow, pass_id)
        return
    bcbp = barcode_of(order, left, actor=uow.actor, issued_at=kept.issued_at)
    await store.keep_passes(
        uow,
        [
            store.Pass(
                id=kept.id,
                order_id=kept.order_id,
                passenger_id=kept.passenger_id,
                bcbp=bcbp,
                issued_at=kept.issued_at,
            )
        ],
    )
