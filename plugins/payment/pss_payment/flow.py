"""Driving a payment: ask the gateway, keep the answer, go on. No transaction is open meanwhile.

The request that makes a payment and the sweeper do the same here. Whatever either dies in, the
payment's status says what is to be done next, and the gateway's keys say it is done once.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from pss_kernel import Conflict, FieldError, Invalid, Problem, Unavailable, UnitOfWork, Work, new_id
from pss_reservation.contracts import payable

from . import store
from .contracts import Gateway, PaymentInProgress
from .gateways import gateway_for
from .resources import NewPayment
from .states import UNSETTLED
from .steps import give_way, record_authorisation, record_capture, record_void, rest
from .store import PaymentRow

__all__ = ["begin", "later_if_unavailable", "pay", "resume"]


@contextlib.contextmanager
def later_if_unavailable() -> Iterator[None]:
    """Let a retryable problem pass: a job goes on from where this has stopped, after the lease."""
    try:
        yield
    except Problem as problem:
        if not problem.retryable:
            raise


async def begin(work: Work, wanted: NewPayment) -> PaymentRow:
    """Make a pending payment of a payable order, or find the one that this request has made.

    Raises what ``payable`` raises, Invalid ("amount-mismatch", "idempotency-key-reused"),
    PaymentInProgress, and Unavailable where the airline has no gateway for the method.
    """
    async with work.begin() as uow:
        key, caller = work.idempotency_key, work.actor.label
        if key and (earlier := await store.by_key(uow, caller, key)):
            return _same_order(earlier, wanted)
        due = await payable(uow, wanted.order_id)
        _check_amount(wanted, due.total.minor, due.total.currency)
        if due.total.minor <= 0:
            raise Conflict("There is nothing to pay for this order.", code="nothing-to-pay")
        gateway = await gateway_for(uow, wanted.method.type)
        if gateway is None:
            raise Unavailable("This airline takes no cards at the moment.", code="no-gateway")
        await gateway.aclose()
        return await _add(
            uow,
            {
                "id": new_id("pay"),
                "order_id": wanted.order_id,
                "caller": caller,
                "idempotency_key": key,
                "gateway": gateway.name,
                "method_type": wanted.method.type,
                "amount_minor": due.total.minor,
                "currency": due.total.currency,
            },
        )


async def pay(work: Work, row: PaymentRow, wanted: NewPayment) -> PaymentRow:
    """Authorise a pending payment and take it as far as the gateway's answers go."""
    async with contextlib.aclosing(await _open(work, row)) as gateway:
        if row.status == "pending":
            outcome = await gateway.authorise(
                row.id,
                row.amount,
                wanted.method.token,
                return_url=wanted.return_url,
                metadata=wanted.metadata,
            )
            row = await record_authorisation(work, row, outcome)
            if row.status in {"pending", "requires_action"}:
                await rest(work, row)
                return row
        return await _follow(work, gateway, row)


async def resume(work: Work, row: PaymentRow) -> PaymentRow:
    """Take an unsettled payment as far as the gateway's answers go."""
    async with contextlib.aclosing(await _open(work, row)) as gateway:
        return await _follow(work, gateway, row)


async def _follow(work: Work, gateway: Gateway, row: PaymentRow) -> PaymentRow:
    while row.status in UNSETTLED:
        before = row
        row = await _advance(work, gateway, row)
        if row.status == before.status:
            await rest(work, row)
            break
    return row


async def _advance(work: Work, gateway: Gateway, row: PaymentRow) -> PaymentRow:
    if row.status == "authorised":
        outcome = await gateway.capture(_reference(row), row.amount, f"{row.id}:capture")
        return await record_capture(work, row, outcome)
    if row.status == "voiding":
        return await record_void(work, row, await gateway.void(_reference(row), f"{row.id}:void"))
    return await record_authorisation(work, row, await gateway.lookup(row.id))


async def _open(work: Work, row: PaymentRow) -> Gateway:
    async with work.begin() as uow:
        gateway = await gateway_for(uow, row.method_type, row.gateway)
    if gateway is None:
        raise Unavailable(
            f"The gateway {row.gateway!r} of payment {row.id} is not enabled.", code="no-gateway"
        )
    return gateway


def _reference(row: PaymentRow) -> str:
    if row.gateway_reference is None:
        raise Conflict(f"Payment {row.id} is {row.status} without the gateway's reference.")
    return row.gateway_reference


async def _add(uow: UnitOfWork, facts: dict[str, Any]) -> PaymentRow:
    row = await store.add(uow, facts)
    if row is None and await give_way(uow, facts["order_id"]):
        row = await store.add(uow, facts)
    if row is None:
        raise PaymentInProgress("Another payment of this order has not ended yet.")
    return row


def _same_order(earlier: PaymentRow, wanted: NewPayment) -> PaymentRow:
    if earlier.order_id != wanted.order_id:
        raise Invalid(
            "The Idempotency-Key was used for a payment of another order.",
            code="idempotency-key-reused",
            mend="Use a new key for a new request.",
        )
    return earlier


def _check_amount(wanted: NewPayment, minor: int, currency: str) -> None:
    if (wanted.amount.minor, wanted.amount.currency) != (minor, currency):
        detail = "The amount must be the order's total."
        raise Invalid(
            detail,
            code="amount-mismatch",
            errors=[FieldError(pointer="/amount", detail=detail, code="amount-mismatch")],
        )
