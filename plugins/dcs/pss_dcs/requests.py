"""What a check-in request may ask for, with every fault of it named at once."""

from datetime import date
from typing import Annotated

from msgspec import Meta, Struct

from pss_kernel import FieldError, Invalid
from pss_reservation.contracts import Order, OrderPassenger

__all__ = [
    "BagDeclaration",
    "CheckInRequest",
    "PassengerDocument",
    "SeatChoice",
    "chosen_passengers",
    "require_valid",
]

Id = Annotated[str, Meta(max_length=60)]


class SeatChoice(Struct, kw_only=True, forbid_unknown_fields=True):
    """A seat that a passenger wants on a segment."""

    passenger_id: Id
    segment_id: Id
    seat: Annotated[str, Meta(description='Row and column, "12C".', max_length=5)]


class BagDeclaration(Struct, kw_only=True, forbid_unknown_fields=True):
    """All the bags of a passenger. Declaring as many again changes nothing."""

    passenger_id: Id
    pieces: Annotated[int, Meta(ge=1)]
    weight_kg: Annotated[int, Meta(ge=1, le=999, description="Of all pieces.")] | None = None


class PassengerDocument(Struct, kw_only=True, forbid_unknown_fields=True):
    """The travel document that a passenger will show."""

    passenger_id: Id
    type: Annotated[str, Meta(pattern="^(passport|identity_card|visa)$")] = "passport"
    number: Annotated[str, Meta(min_length=1, max_length=30)]
    issuing_country: Annotated[str, Meta(pattern="^[A-Z]{2,3}$")]
    nationality: Annotated[str, Meta(pattern="^[A-Z]{2,3}$")] | None = None
    expires_on: date


class CheckInRequest(Struct, kw_only=True, forbid_unknown_fields=True):
    """A check-in of all passengers on every slice that is open, unless less is asked for."""

    booking_reference: Annotated[str, Meta(max_length=60)]
    family_name: Annotated[str, Meta(max_length=200)]
    segment_id: Id | None = None
    passenger_ids: Annotated[list[Id], Meta(max_length=50)] | None = None
    seats: Annotated[list[SeatChoice], Meta(max_length=50)] = []
    bags: Annotated[list[BagDeclaration], Meta(max_length=50)] = []
    documents: Annotated[list[PassengerDocument], Meta(max_length=50)] = []


def chosen_passengers(order: Order, request: CheckInRequest) -> list[OrderPassenger]:
    """Return the passengers asked for; an infant goes with the adult whose lap it travels on."""
    if request.passenger_ids is None:
        return order.passengers
    ids = set(request.passenger_ids)
    return [
        passenger
        for passenger in order.passengers
        if passenger.id in ids or passenger.infant_of in ids
    ]


def require_valid(
    order: Order, request: CheckInRequest, maximum_bags: int, checked_in: set[str]
) -> None:
    """Raise Invalid with every fault. `checked_in` are passengers that are so already."""
    errors = [*_selection_faults(order, request, checked_in), *_seat_faults(order, request)]
    chosen = {passenger.id for passenger in chosen_passengers(order, request)}
    for index, bags in enumerate(request.bags):
        if bags.passenger_id not in chosen:
            errors.append(_stranger(f"/bags/{index}/passenger_id"))
        if bags.pieces > maximum_bags:
            errors.append(
                FieldError(
                    pointer=f"/bags/{index}/pieces",
                    code="too-many-bags",
                    detail=f"A passenger may check in {maximum_bags} bags.",
                )
            )
    if len({bags.passenger_id for bags in request.bags}) < len(request.bags):
        errors.append(
            FieldError(pointer="/bags", code="twice", detail="A passenger is there twice.")
        )
    errors += _document_faults(order, request, chosen)
    if errors:
        raise Invalid("The check-in can't be made as it was asked for.", errors=errors)


def _selection_faults(
    order: Order, request: CheckInRequest, checked_in: set[str]
) -> list[FieldError]:
    errors = []
    if request.segment_id is not None and order.segment(request.segment_id) is None:
        errors.append(
            FieldError(
                pointer="/segment_id",
                code="unknown-segment",
                detail="The order has no such segment.",
            )
        )
    ids = request.passenger_ids
    if ids is not None and not ids:
        errors.append(
            FieldError(
                pointer="/passenger_ids", code="required", detail="Name a passenger, or leave out."
            )
        )
    for index, passenger_id in enumerate(ids or []):
        passenger = order.passenger(passenger_id)
        if passenger is None:
            errors.append(_stranger(f"/passenger_ids/{index}"))
        elif passenger.infant_of is not None and not (
            {passenger.infant_of} & (checked_in | set(ids or []))
        ):
            errors.append(
                FieldError(
                    pointer=f"/passenger_ids/{index}",
                    code="infant-alone",
                    detail="An infant is checked in together with its adult.",
                )
            )
    return errors


def _seat_faults(order: Order, request: CheckInRequest) -> list[FieldError]:
    errors = []
    chosen = {passenger.id: passenger for passenger in chosen_passengers(order, request)}
    for index, choice in enumerate(request.seats):
        passenger = chosen.get(choice.passenger_id)
        if passenger is None:
            errors.append(_stranger(f"/seats/{index}/passenger_id"))
        elif passenger.type == "infant":
            errors.append(
                FieldError(
                    pointer=f"/seats/{index}/passenger_id",
                    code="infant-without-seat",
                    detail="An infant travels on an adult's lap.",
                )
            )
        if order.segment(choice.segment_id) is None or (
            request.segment_id not in {None, choice.segment_id}
        ):
            errors.append(
                FieldError(
                    pointer=f"/seats/{index}/segment_id",
                    code="unknown-segment",
                    detail="This segment is not part of the check-in.",
                )
            )
    if len({(c.passenger_id, c.segment_id) for c in request.seats}) < len(request.seats):
        errors.append(
            FieldError(
                pointer="/seats", code="twice", detail="A passenger has one seat per segment."
            )
        )
    return errors


def _document_faults(order: Order, request: CheckInRequest, chosen: set[str]) -> list[FieldError]:
    errors = []
    segments = order.segments()
    last_day = segments[-1].arriving_at.date() if segments else None
    for index, document in enumerate(request.documents):
        if document.passenger_id not in chosen:
            errors.append(_stranger(f"/documents/{index}/passenger_id"))
        if last_day is not None and document.expires_on < last_day:
            errors.append(
                FieldError(
                    pointer=f"/documents/{index}/expires_on",
                    code="document-expired",
                    detail="The document expires before the journey ends.",
                )
            )
    return errors


def _stranger(pointer: str) -> FieldError:
    return FieldError(
        pointer=pointer,
        code="unknown-passenger",
        detail="This passenger is not part of the check-in.",
    )
