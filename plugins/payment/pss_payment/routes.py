from typing import Annotated

from pss_kernel import Answer, UnitOfWork, Work, check_id

from . import plugin, refund_store, store
from .card_numbers import refuse_card_number_as_key, refuse_card_numbers
from .flow import begin, later_if_unavailable, pay, resume
from .refunds import carry_out
from .resources import NewPayment, OrderLedger, Payment, Refund
from .steps import give_up
from .views import ledger_of, payment_view, refund_view

__all__ = [
    "cancel_payment",
    "confirm_payment",
    "create_payment",
    "retry_refund",
    "show_ledger",
    "show_payment",
]


@plugin.post("/payments", permission="payment:pay")
async def create_payment(
    work: Work, data: Annotated[NewPayment, refuse_card_numbers]
) -> Answer[Payment]:
    """Pay for an order: its whole total, with a token of the card network.

    Answers 201 with the payment as it has ended: captured, failed, or requires_action. Answers
    202 where that is not known yet; GET shows it as soon as it is. A body with anything that
    looks like a card number is refused (`card-number-refused`) and kept nowhere. A payment of
    the order that waits for the card issuer's challenge is given up for this one.
    """
    refuse_card_number_as_key(work.idempotency_key)
    row = await begin(work, data)
    with later_if_unavailable():
        await pay(work, row, data)
    return await _answer(work, row.id, settled=201)


@plugin.post("/payments/{payment_id:str}/confirmations", permission="payment:pay", status=200)
async def confirm_payment(work: Work, payment_id: str) -> Answer[Payment]:
    """Go on with a payment after the customer has answered the card issuer's challenge."""
    refuse_card_number_as_key(work.idempotency_key)
    async with work.begin() as uow:
        row = await store.by_id(uow, check_id("pay", payment_id))
    with later_if_unavailable():
        await resume(work, row)
    return await _answer(work, row.id, settled=200)


@plugin.post("/payments/{payment_id:str}/cancellation", permission="payment:pay", status=200)
async def cancel_payment(work: Work, payment_id: str) -> Answer[Payment]:
    """Give a payment up that is not decided yet, so that the order can be paid otherwise at once.

    For a challenge that the customer does not want to answer, or a card network that is silent.
    What is reserved on the card is given up at the gateway. A payment that has failed stays as
    it is; one that is authorised or captured is refused (`payment-not-cancellable`).
    """
    refuse_card_number_as_key(work.idempotency_key)
    async with work.begin() as uow:
        row = await give_up(uow, check_id("pay", payment_id))
    with later_if_unavailable():
        await resume(work, row)
    return await _answer(work, row.id, settled=200)


@plugin.post("/refunds/{refund_id:str}/retry", permission="payment:refund", status=200)
async def retry_refund(work: Work, refund_id: str) -> Answer[Refund]:
    """Ask the gateway once more for a refund that it has refused; any other stays as it is.

    Answers 200 with the refund, refunded or refused again, and 202 while it is pending. Entries
    in the queue of orders that need attention are for staff to clear.
    """
    refuse_card_number_as_key(work.idempotency_key)
    check_id("rfd", refund_id)
    async with work.begin() as uow:
        uow.require("payment:refund", up_to=(await refund_store.by_id(uow, refund_id)).amount)
        row = await refund_store.retry(uow, refund_id)
        if row:
            uow.audit("payment.refund-retried", refund_id, after={"amount": row.amount})
    if row:
        with later_if_unavailable():
            await carry_out(work, row)
    async with work.begin() as uow:
        refund = refund_view(await refund_store.by_id(uow, refund_id))
        status = 202 if refund.status == "pending" else 200
        await work.answer(uow, refund, status=status)
    return Answer(refund, status=status)


@plugin.get("/payments/ledger", permission="payment:read")
async def show_ledger(uow: UnitOfWork, order_id: str) -> OrderLedger:
    """Show every entry of an order's ledger, its balances, and whether they agree."""
    return await ledger_of(uow, check_id("ord", order_id))


@plugin.get("/payments/{payment_id:str}", permission="payment:pay")
async def show_payment(uow: UnitOfWork, payment_id: str) -> Payment:
    """Show a payment to whoever knows its id."""
    return await payment_view(uow, check_id("pay", payment_id))


async def _answer(work: Work, payment_id: str, settled: int) -> Answer[Payment]:
    async with work.begin() as uow:
        payment = await payment_view(uow, payment_id)
        status = 202 if payment.status in {"pending", "authorised"} else settled
        await work.answer(uow, payment, status=status)
    return Answer(payment, status=status)
