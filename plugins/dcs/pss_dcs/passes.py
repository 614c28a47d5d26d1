"""Boarding passes: their ids, their barcodes, and what is drawn of them."""

import base64
import re
import secrets
from collections.abc import Sequence
from datetime import date, datetime

from pss_inventory.contracts import airport
from pss_kernel import Actor, Gone, NotFound, Tenant, UnitOfWork
from pss_reservation.contracts import Order, OrderSegment, order_by_id

from . import bcbp, store
from .contracts import BoardingPass, BoardingPassSegment, CheckIn
from .drawing import Brand, Face, FaceSegment
from .journey import planned_segment

__all__ = [
    "answer_of",
    "barcode_of",
    "brand_of",
    "face_of",
    "in_order_of_travel",
    "new_pass_id",
    "open_pass",
    "show_pass",
]

# IATA's usual letter of each cabin, in the barcode's field for the compartment.
_COMPARTMENTS = {"first": "F", "business": "J", "premium_economy": "W", "economy": "Y"}
_DESCRIPTIONS = {"adult": "0", "child": "3", "infant": "4"}
_MOST_TAG_RUNS = 3


def new_pass_id() -> str:
    """Return a capability of 128 random bits: no part of it tells when it was made."""
    return "bp_" + base64.b32encode(secrets.token_bytes(16)).decode("ascii").rstrip("=").lower()


def barcode_of(
    order: Order, check_ins: Sequence[CheckIn], *, actor: Actor, issued_at: datetime
) -> str:
    """Return the barcode of one passenger's check-ins, in order of travel (Resolution 792)."""
    first = check_ins[0]
    segments = {segment.id: segment for segment in order.segments()}
    flown = [segments[one.segment_id] for one in check_ins]
    # Readers look for the flight's date from the date of issue on. A flight keeps the date of
    # its first airport, which may be the day before that of a later board point.
    zone = flown[0].departing_at.tzinfo
    issued_on = min(issued_at.astimezone(zone).date(), *(one.flight_date for one in check_ins))
    source = "W" if actor.kind == "guest" else "O"
    unique = bcbp.Unique(
        passenger_description=_DESCRIPTIONS[first.passenger_type],
        check_in_source=source,
        issuance_source=source,
        issue_year=issued_on.year % 10,
        issue_day=_day_of_year(issued_on),
        document_type="B",
        issuer=flown[0].carrier,
        bag_tags=_tag_runs(first.bag_tags),
    )
    allowance = f"{min(order.conditions.checked_bags, 9)}PC"
    return bcbp.write(
        bcbp.Bcbp(
            passenger_name=bcbp.printed_name(first.family_name, first.given_name, first.title),
            unique=unique,
            legs=[
                _leg(one, segment, allowance) for one, segment in zip(check_ins, flown, strict=True)
            ],
        )
    )


def _leg(one: CheckIn, segment: OrderSegment, allowance: str) -> bcbp.Leg:
    return bcbp.Leg(
        booking_reference=one.booking_reference,
        origin=one.origin,
        destination=one.destination,
        carrier=segment.carrier,
        flight_number=segment.flight_number,
        day_of_year=_day_of_year(one.flight_date),
        compartment=_COMPARTMENTS.get(one.cabin, "Y"),
        seat="INF" if one.passenger_type == "infant" else one.seat or "",
        sequence=str(one.sequence),
        status="3" if one.bag_tags else "1",  # checked in, with and without bags
        repeated=bcbp.Repeated(
            airline_numeric_code=one.ticket_number[:3],
            document_number=one.ticket_number[3:],
            marketing_carrier=segment.carrier,
            baggage_allowance=allowance,
        ),
    )


def _tag_runs(tags: Sequence[str]) -> list[str]:
    """Return runs of consecutive licence plates as first plate and count, three at most."""
    runs: list[list[str]] = []
    for tag in sorted(tags):
        if runs and int(tag) == int(runs[-1][-1]) + 1:
            runs[-1].append(tag)
        else:
            runs.append([tag])
    return [f"{run[0]}{len(run):03d}" for run in runs[:_MOST_TAG_RUNS]]


def _day_of_year(day: date) -> int:
    return day.timetuple().tm_yday


def answer_of(one: store.Pass, check_ins: Sequence[CheckIn]) -> BoardingPass:
    """Return a boarding pass as it is answered."""
    first = check_ins[0]
    address = f"/v1/boarding-passes/{one.id}"
    return BoardingPass(
        id=one.id,
        order_id=one.order_id,
        passenger_id=one.passenger_id,
        segment_id=first.segment_id,
        seat=first.seat,
        sequence=first.sequence,
        segments=[
            BoardingPassSegment(
                check_in_id=check_in.id,
                segment_id=check_in.segment_id,
                flight=check_in.flight,
                flight_date=check_in.flight_date,
                origin=check_in.origin,
                destination=check_in.destination,
                seat=check_in.seat,
                sequence=check_in.sequence,
            )
            for check_in in check_ins
        ],
        bcbp=one.bcbp,
        bag_tags=first.bag_tags,
        image_url=f"{address}/image.png",
        pdf_url=f"{address}/document.pdf",
        issued_at=one.issued_at,
    )


async def open_pass(uow: UnitOfWork, pass_id: str) -> tuple[store.Pass, Order, list[CheckIn]]:
    """Return a pass with its order and check-ins in order of travel. Raises NotFound, Gone."""
    found = None
    if re.fullmatch("bp_[a-z2-7]{26}", pass_id):
        found = await store.pass_by_id(uow, pass_id)
    if found is None:
        raise NotFound("There is no such boarding pass.")
    check_ins = await store.check_ins_of_pass(uow, pass_id)
    if found.voided_at is not None or not check_ins:
        raise Gone("This boarding pass is no longer valid.", code="boarding-pass-voided")
    order = await order_by_id(uow, found.order_id)
    return found, order, in_order_of_travel(order, check_ins)


def in_order_of_travel(order: Order, check_ins: Sequence[CheckIn]) -> list[CheckIn]:
    """Return the check-ins by the place of their segments in the order."""
    places = {segment.id: place for place, segment in enumerate(order.segments())}
    return sorted(check_ins, key=lambda one: places[one.segment_id])


async def show_pass(uow: UnitOfWork, pass_id: str) -> BoardingPass:
    """Return a pass as it stands now."""
    found, _, check_ins = await open_pass(uow, pass_id)
    return answer_of(found, check_ins)


async def face_of(uow: UnitOfWork, pass_id: str) -> Face:
    """Return what is drawn of a pass, with the times its flights have now."""
    found, order, check_ins = await open_pass(uow, pass_id)
    segments = []
    for one in check_ins:
        segment = order.segment(one.segment_id)
        assert segment is not None
        planned = await planned_segment(uow, segment)
        segments.append(
            FaceSegment(
                flight=one.flight,
                flight_date=one.flight_date,
                origin=one.origin,
                origin_name=(await airport(uow, one.origin)).city,
                destination=one.destination,
                destination_name=(await airport(uow, one.destination)).city,
                departing_at=planned.departing_at,
                arriving_at=planned.arriving_at,
                cabin=one.cabin,
                seat="INF" if one.passenger_type == "infant" else one.seat,
                sequence=one.sequence,
            )
        )
    first = check_ins[0]
    return Face(
        passenger_name=f"{first.given_name} {first.family_name}",
        passenger_type=first.passenger_type,
        booking_reference=first.booking_reference,
        ticket_number=first.ticket_number,
        bcbp=found.bcbp,
        segments=segments,
        bag_tags=first.bag_tags,
    )


def brand_of(tenant: Tenant) -> Brand:
    """Return the airline's name and colours as its files give them."""
    return Brand(
        name=tenant.name,
        primary_color=str(tenant.brand.get("primary_color") or ""),
        accent_color=str(tenant.brand.get("accent_color") or ""),
        tagline=str(tenant.brand.get("tagline") or ""),
    )
