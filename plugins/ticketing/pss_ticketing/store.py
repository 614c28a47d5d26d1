"""Queries on documents and coupons."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, Select, func, insert, select, update

from pss_kernel import UnitOfWork

from .contracts import Coupon, CouponRef, CouponStatus, Ticket
from .coupons import ticket_status
from .models import ticket, ticket_coupon
from .numbers import check_digit
from .sale import TicketDraft

__all__ = [
    "compare_and_set",
    "coupon_of_passenger",
    "end_coupons",
    "insert_tickets",
    "ticket_by_number",
    "tickets_of",
]


def _tickets() -> Select[tuple[object, ...]]:
    coupon = ticket_coupon.c
    return (
        select(
            *(ticket.c[name] for name in ("number", "order_id", "passenger_id")),
            *(ticket.c[name] for name in ("passenger_name", "conjunction", "issued_at")),
            coupon.number.label("coupon_number"),
            *(coupon[name] for name in ("segment_id", "flight", "flight_date", "origin")),
            *(coupon[name] for name in ("destination", "booking_class", "fare_basis", "status")),
        )
        .join_from(ticket, ticket_coupon, coupon.ticket_number == ticket.c.number)
        .order_by(ticket.c.number, coupon.number)
    )


async def tickets_of(uow: UnitOfWork, order_id: str) -> list[Ticket]:
    """Read the tickets of an order, by number."""
    return _assemble(await uow.fetch_all(_tickets().where(ticket.c.order_id == order_id)))


async def ticket_by_number(uow: UnitOfWork, number: str) -> Ticket | None:
    """Read one ticket."""
    found = _assemble(await uow.fetch_all(_tickets().where(ticket.c.number == number)))
    return found[0] if found else None


def _assemble(rows: Sequence[RowMapping]) -> list[Ticket]:
    by_number: dict[str, list[RowMapping]] = {}
    for row in rows:
        by_number.setdefault(row["number"], []).append(row)
    return [_ticket(coupons) for coupons in by_number.values()]


def _ticket(rows: list[RowMapping]) -> Ticket:
    head = rows[0]
    return Ticket(
        number=head["number"],
        check_digit=check_digit(head["number"]),
        conjunction=head["conjunction"],
        order_id=head["order_id"],
        passenger_id=head["passenger_id"],
        passenger_name=head["passenger_name"],
        issued_at=head["issued_at"],
        status=ticket_status(row["status"] for row in rows),
        coupons=[
            Coupon(
                number=row["coupon_number"],
                segment_id=row["segment_id"],
                flight=row["flight"],
                flight_date=row["flight_date"],
                origin=row["origin"],
                destination=row["destination"],
                booking_class=row["booking_class"],
                fare_basis=row["fare_basis"],
                status=row["status"],
            )
            for row in rows
        ],
    )


async def insert_tickets(
    uow: UnitOfWork, order_id: str, currency: str, drafts: list[TicketDraft], numbers: list[str]
) -> None:
    """Write the drafts under their numbers, every coupon open."""
    issued_at = await uow.now()
    pairs = list(zip(numbers, drafts, strict=True))
    await uow.execute(
        insert(ticket),
        [
            {
                "number": number,
                "order_id": order_id,
                "passenger_id": draft.passenger_id,
                "passenger_name": draft.passenger_name,
                "first_segment_id": draft.segments[0].id,
                "conjunction": draft.conjunction,
                "base_minor": draft.base_minor,
                "tax_minor": draft.tax_minor,
                "currency": currency,
                "issued_at": issued_at,
            }
            for number, draft in pairs
        ],
    )
    await uow.execute(
        insert(ticket_coupon),
        [
            {
                "ticket_number": number,
                "number": position,
                "passenger_id": draft.passenger_id,
                "segment_id": segment.id,
                "flight": segment.flight,
                "flight_date": segment.flight_date,
                "origin": segment.origin,
                "destination": segment.destination,
                "booking_class": segment.booking_class,
                "fare_basis": fare_basis,
                "status": "open",
                "changed_at": issued_at,
            }
            for number, draft in pairs
            for position, (segment, fare_basis) in enumerate(
                zip(draft.segments, draft.fare_bases, strict=True), start=1
            )
        ],
    )


async def coupon_of_passenger(
    uow: UnitOfWork, passenger_id: str, segment_id: str
) -> CouponRef | None:
    """Find the one coupon of a passenger on a segment."""
    coupon = ticket_coupon.c
    row = await uow.fetch_one(
        select(coupon.ticket_number, coupon.number, coupon.status).where(
            coupon.passenger_id == passenger_id, coupon.segment_id == segment_id
        )
    )
    if row is None:
        return None
    return CouponRef(
        ticket_number=row["ticket_number"], coupon_number=row["number"], status=row["status"]
    )


async def compare_and_set(
    uow: UnitOfWork,
    ticket_number: str,
    coupon_number: int,
    from_status: CouponStatus,
    to_status: CouponStatus,
) -> str | None:
    """Move the coupon if its status is still `from_status`; give its order's id, else None."""
    coupon = ticket_coupon.c
    order_id: str | None = await uow.scalar(
        update(ticket_coupon)
        .where(
            coupon.ticket_number == ticket_number,
            coupon.number == coupon_number,
            coupon.status == from_status,
            ticket.c.number == coupon.ticket_number,
        )
        .values(status=to_status, changed_at=func.now())
        .returning(ticket.c.order_id)
    )
    return order_id


async def end_coupons(
    uow: UnitOfWork, order_id: str, to_status: CouponStatus
) -> list[tuple[CouponStatus, CouponRef]]:
    """End every coupon of the order that was not flown; give those with what they were before."""
    coupon = ticket_coupon.c
    before = (
        select(coupon.ticket_number, coupon.number, coupon.status)
        .join_from(ticket_coupon, ticket, coupon.ticket_number == ticket.c.number)
        .where(ticket.c.order_id == order_id, coupon.status.in_(("open", "checked_in")))
        .with_for_update(of=ticket_coupon)
        .cte("before")
    )
    rows = await uow.fetch_all(
        update(ticket_coupon)
        .where(coupon.ticket_number == before.c.ticket_number, coupon.number == before.c.number)
        .values(status=to_status, changed_at=func.now())
        .returning(coupon.ticket_number, coupon.number, before.c.status.label("before"))
    )
    return [
        (
            row["before"],
            CouponRef(
                ticket_number=row["ticket_number"], coupon_number=row["number"], status=to_status
            ),
        )
        for row in rows
    ]
