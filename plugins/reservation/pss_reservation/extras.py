"""Services on an order: asked for here, fulfilled by the plugin whose type it is."""

from typing import Annotated

from msgspec import Meta, Struct

from pss_kernel import Conflict, FieldError, Invalid, UnitOfWork

from .contracts import ServiceAdded, ServiceRequest, fulfil_service
from .order import Order, OrderService
from .status import LIVE, refusal
from .store import save_service

__all__ = ["NewService", "add_service"]

ShortText = Annotated[str, Meta(max_length=60)]


class NewService(Struct, kw_only=True, forbid_unknown_fields=True):
    """A service for one passenger on one segment: `seat` for a seat, `code` for the others."""

    type: ShortText = ""
    passenger_id: ShortText = ""
    segment_id: ShortText = ""
    seat: ShortText | None = None
    code: ShortText | None = None


async def add_service(uow: UnitOfWork, order: Order, new: NewService) -> OrderService:
    """Have the service fulfilled and keep it on the order, replacing the one of its type.

    Raises Invalid with every fault, also when no plugin offers the type; Conflict when the order
    is no longer alive, or when the service has a price (`service-not-sold`): charging after the
    order was priced needs an EMD, which nothing here issues yet.
    """
    if order.status not in LIVE:
        raise refusal(order.status, order.id)
    errors = _faults(order, new)
    if errors:
        raise Invalid("The service can't be added as it was asked for.", errors=errors)
    request = ServiceRequest(
        type=new.type,
        passenger_id=new.passenger_id,
        segment_id=new.segment_id,
        seat=new.seat,
        code=new.code,
    )
    fulfilled = await uow.call(fulfil_service, order=order, request=request)
    if fulfilled is None:
        raise Invalid(
            "The service can't be added as it was asked for.",
            errors=[
                FieldError(
                    pointer="/type",
                    code="not-offered",
                    detail="This airline has no service of that type for this order.",
                )
            ],
        )
    if fulfilled.price is not None and fulfilled.price.minor != 0:
        raise Conflict("This service is sold at the airport only.", code="service-not-sold")
    kept = await save_service(uow, order, request, fulfilled)
    uow.emit(ServiceAdded(order_id=order.id, service_id=kept.id, type=kept.type), stream=order.id)
    return kept


def _faults(order: Order, new: NewService) -> list[FieldError]:
    errors = []
    if not new.type.replace("_", "").isalnum():
        errors.append(FieldError(pointer="/type", code="required", detail="Such as seat, or meal."))
    if order.passenger(new.passenger_id) is None:
        errors.append(
            FieldError(
                pointer="/passenger_id",
                code="unknown-passenger",
                detail="The order has no such passenger.",
            )
        )
    if order.segment(new.segment_id) is None:
        errors.append(
            FieldError(
                pointer="/segment_id",
                code="unknown-segment",
                detail="The order has no such segment.",
            )
        )
    return errors
