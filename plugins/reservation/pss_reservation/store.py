"""Reading and writing orders."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from pss_kernel import Conflict, Money, NotFound, UnitOfWork, new_id
from pss_pricing.contracts import StoredOffer

from .contracts import FulfilledService, ServiceRequest
from .locator import new_locator, normal_locator
from .order import Order, OrderPassenger, OrderService
from .personal import (
    StoredPassenger,
    open_passengers,
    sealed_passengers,
    seals_passengers,
)
from .sold import departs_at, offer_segments, slices_of
from .statements import (
    INSERT_ORDER,
    INSERT_ORDER_IN_CLEAR,
    MOVE_ORDER,
    SELECT_ORDER,
    SELECT_ORDER_IN_CLEAR,
    SET_ATTENTION,
    UPSERT_SERVICE,
)
from .status import LIVE, Transition, refusal

__all__ = [
    "StoredOrder",
    "find_order",
    "insert_order",
    "move_order",
    "read_order",
    "save_service",
    "set_attention",
]

_CANDIDATES = 4
"""Locators tried at once. With a tenth of all taken, one order in 10,000 needs a second try."""
_TRIES = 5


class StoredOrder(msgspec.Struct, kw_only=True):
    """An order with what is not shown of it."""

    order: Order
    stored: StoredOffer
    hold_runs: bool
    not_departed: bool


class _Service(msgspec.Struct):
    id: str
    type: str
    passenger_id: str
    segment_id: str
    detail: str
    currency: str
    price_minor: int


_stored_offer = msgspec.json.Decoder(StoredOffer)
_passengers = msgspec.json.Decoder(list[StoredPassenger])
_services = msgspec.json.Decoder(list[_Service])


async def insert_order(
    uow: UnitOfWork,
    stored: StoredOffer,
    passengers: list[OrderPassenger],
    *,
    hold_minutes: int,
    closes_minutes: int,
) -> Order:
    """Insert a held order with all its rows in one statement.

    Raises Conflict (`departure-too-near`) when the hold would have ended already.
    """
    order_id = new_id("ord")
    total = stored.offer.total
    seals = seals_passengers(uow)
    kept = await sealed_passengers(uow, passengers) if seals else passengers
    for _ in range(_TRIES):
        rows = await uow.hot(
            INSERT_ORDER if seals else INSERT_ORDER_IN_CLEAR,
            order_id,
            [new_locator() for _ in range(_CANDIDATES)],
            _json(stored),
            total.currency,
            total.minor,
            departs_at(stored),
            hold_minutes,
            closes_minutes,
            _passenger_rows(kept),
            _segment_rows(stored),
            uow.actor.label,
            f"offer {stored.offer.id}",
        )
        if rows:
            break
    else:
        raise Conflict("No free booking reference was found.", code="no-locator", retryable=True)
    (row,) = rows
    if not row["in_time"]:
        raise Conflict("The first flight departs too soon to be booked.", code="departure-too-near")
    return _order(
        stored,
        passengers,
        id=order_id,
        status="held",
        booking_reference=row["booking_reference"],
        payment_required_by=row["payment_required_by"],
        created_at=row["created_at"],
    )


async def find_order(
    uow: UnitOfWork, *, order_id: str | None = None, booking_reference: str | None = None
) -> StoredOrder | None:
    """Find the order of this id or this booking reference, as typed."""
    locator = None if booking_reference is None else normal_locator(booking_reference)
    select = SELECT_ORDER if seals_passengers(uow) else SELECT_ORDER_IN_CLEAR
    rows = await uow.hot(select, order_id, locator)
    if not rows:
        return None
    row = rows[0]
    stored = _stored_offer.decode(row["offer"])
    order = _order(
        stored,
        await open_passengers(uow, _passengers.decode(row["passengers"])),
        id=row["id"],
        status=row["status"],
        booking_reference=row["booking_reference"],
        payment_required_by=row["payment_required_by"],
        created_at=row["created_at"],
    )
    order.services = [_service(one) for one in _services.decode(row["services"])]
    return StoredOrder(
        order=order,
        stored=stored,
        hold_runs=row["hold_runs"],
        not_departed=row["not_departed"],
    )


async def read_order(uow: UnitOfWork, order_id: str) -> StoredOrder:
    """Read the order of this id. Raises NotFound."""
    found = await find_order(uow, order_id=order_id)
    if found is None:
        raise NotFound(f"There is no order {order_id[:40]!r}.")
    return found


async def move_order(
    uow: UnitOfWork, order_id: str, transition: Transition, *, detail: str = ""
) -> str | None:
    """Make the transition if the order is in one of its from-statuses and in its time.

    Gives the status before, or None when nothing was changed.
    """
    rows = await uow.hot(
        MOVE_ORDER,
        order_id,
        list(transition.from_statuses),
        transition.to_status,
        transition.when,
        transition.change,
        uow.actor.label,
        detail,
    )
    return rows[0]["status"] if rows else None


async def set_attention(uow: UnitOfWork, order_id: str, reason: str | None, note: str = "") -> None:
    """Put the order into the attention queue, or with None out of it. Raises NotFound."""
    change = "attention cleared" if reason is None else "needs attention"
    if not await uow.hot(SET_ATTENTION, order_id, reason, change, uow.actor.label, note):
        await read_order(uow, order_id)


async def save_service(
    uow: UnitOfWork, order: Order, request: ServiceRequest, fulfilled: FulfilledService
) -> OrderService:
    """Keep what a passenger now has; it replaces a service of its type on that segment.

    Raises Conflict when the order is no longer alive.
    """
    price = fulfilled.price or Money.of(0, order.total.currency)
    rows = await uow.hot(
        UPSERT_SERVICE,
        new_id("srv"),
        order.id,
        list(LIVE),
        request.type,
        request.passenger_id,
        request.segment_id,
        fulfilled.detail,
        price.currency,
        price.minor,
    )
    if not rows:
        raise refusal((await read_order(uow, order.id)).order.status, order.id)
    return OrderService(
        id=rows[0]["id"],
        type=request.type,
        passenger_id=request.passenger_id,
        segment_id=request.segment_id,
        **_named(request.type, fulfilled.detail),
        price=price,
    )


def _order(
    stored: StoredOffer,
    passengers: list[OrderPassenger],
    *,
    id: str,  # noqa: A002 - the field's name
    status: str,
    booking_reference: str,
    payment_required_by: datetime,
    created_at: datetime,
) -> Order:
    offer = stored.offer
    return Order(
        id=id,
        booking_reference=booking_reference,
        status=status,
        total=offer.total,
        payment_required_by=payment_required_by if status == "held" else None,
        created_at=created_at,
        passengers=passengers,
        slices=slices_of(stored, status),
        brand=offer.brand,
        brand_code=offer.brand_code,
        price_breakdown=offer.price_breakdown,
        conditions=offer.conditions,
    )


def _named(kind: str, detail: str) -> dict[str, str | None]:
    """The detail of a service under the name by which it is asked for."""
    seat = kind == "seat"
    return {"seat": detail if seat else None, "code": None if seat else detail}


def _service(row: _Service) -> OrderService:
    return OrderService(
        id=row.id,
        type=row.type,
        passenger_id=row.passenger_id,
        segment_id=row.segment_id,
        **_named(row.type, row.detail),
        price=Money.of(row.price_minor, row.currency),
    )


def _passenger_rows(passengers: Sequence[OrderPassenger]) -> str:
    rows = [
        {**msgspec.structs.asdict(passenger), "position": position}
        for position, passenger in enumerate(passengers)
    ]
    return _json(rows)


def _segment_rows(stored: StoredOffer) -> str:
    rows = [
        {
            "id": segment.id,
            "position": position,
            "flight_id": segment.flight_id,
            "origin": segment.origin,
            "destination": segment.destination,
            "cabin": segment.cabin,
            "booking_class": segment.booking_class,
            "leg_ids": stored.leg_ids[segment.id],
        }
        for position, segment in enumerate(offer_segments(stored))
    ]
    return _json(rows)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
