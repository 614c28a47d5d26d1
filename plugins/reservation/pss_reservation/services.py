"""This plugin's services, as `contracts` declares them."""

from typing import Any

from sqlalchemy import select

from pss_kernel import UnitOfWork
from pss_pricing.contracts import StoredOffer

from . import access, contracts, lifecycle, plugin, store
from .models import order_passenger, order_segment, orders
from .order import Order


@plugin.provides(contracts.order_by_id)
async def _order_by_id(uow: UnitOfWork, order_id: str) -> Order:
    return (await store.read_order(uow, order_id)).order


@plugin.provides(contracts.order_by_reference)
async def _order_by_reference(uow: UnitOfWork, booking_reference: str, family_name: str) -> Order:
    return (await access.order_of_reference(uow, booking_reference, family_name)).order


@plugin.provides(contracts.require_access)
async def _require_access(
    uow: UnitOfWork, order: Order, booking_reference: str | None, family_name: str | None
) -> None:
    if uow.actor.may("reservation:read"):
        return
    async with uow.guessing(order.booking_reference):
        access.refuse_strangers(order, booking_reference, family_name)


@plugin.provides(contracts.stored_offer_of)
async def _stored_offer_of(uow: UnitOfWork, order_id: str) -> StoredOffer:
    return (await store.read_order(uow, order_id)).stored


plugin.provides(contracts.payable)(lifecycle.to_pay)
plugin.provides(contracts.confirm_order)(lifecycle.confirm)
plugin.provides(contracts.mark_ticketed)(lifecycle.ticketed)
plugin.provides(contracts.keep_ticketed)(lifecycle.keep_ticketed)


@plugin.provides(contracts.mark_needs_attention)
async def _mark_needs_attention(uow: UnitOfWork, order_id: str, reason: str) -> None:
    await store.set_attention(uow, order_id, reason)


@plugin.provides(contracts.clear_attention)
async def _clear_attention(uow: UnitOfWork, order_id: str) -> None:
    await store.set_attention(uow, order_id, None)


@plugin.provides(contracts.passengers_on_segment)
async def _passengers_on_segment(
    uow: UnitOfWork, flight_id: str, origin: str | None = None, destination: str | None = None
) -> list[contracts.PassengerOnSegment]:
    segment, passenger = order_segment.c, order_passenger.c
    statement = (
        select(
            orders.c.id.label("order_id"),
            orders.c.booking_reference,
            passenger.id.label("passenger_id"),
            segment.id.label("segment_id"),
            passenger.type,
            passenger.title,
            passenger.given_name,
            passenger.family_name,
            passenger.infant_of,
            segment.flight_id,
            segment.origin,
            segment.destination,
            segment.cabin,
            segment.booking_class,
            segment.leg_ids,
        )
        .join_from(order_segment, orders, orders.c.id == segment.order_id)
        .join(order_passenger, passenger.order_id == orders.c.id)
        .where(segment.flight_id == flight_id, orders.c.status == "ticketed")
        .order_by(passenger.family_name, passenger.given_name, passenger.id)
    )
    if origin is not None:
        statement = statement.where(segment.origin == origin)
    if destination is not None:
        statement = statement.where(segment.destination == destination)
    return [_on_segment(row) for row in await uow.fetch_all(statement)]


def _on_segment(row: Any) -> contracts.PassengerOnSegment:
    return contracts.PassengerOnSegment(**row)
