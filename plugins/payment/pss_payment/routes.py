from typing import Any

from pss_kernel import Answer, Problem, UnitOfWork, Work, check_id

from . import plugin, store
from .flow import begin, pay, resume
from .requests import read_new_payment
from .resources import OrderLedger, Payment
from .views import ledger_of, payment_view

__all__ = ["confirm_payment", "create_payment", "show_ledger", "show_payment"]


@plugin.post("/payments", permission="payment:pay")
async def create_payment(work: Work, data: dict[str, Any]) -> Answer[Payment]:
    """Pay for an order: its whole total, with a token of the card network.

    Answers 201 with the payment as it has ended: captured, failed, or requires_action. Answers
    202 where that is not known yet; GET shows it as soon as it is. A body with anything that
    looks like a card number is refused (`card-number-refused`) and kept nowhere.
    """
    wanted = read_new_payment(data)
    row = await begin(work, wanted)
    try:
        await pay(work, row, wanted)
    except Problem as problem:
        if not problem.retryable:  # else the sweeper goes on from where this has stopped
            raise
    return await _answer(work, row.id, settled=201)


@plugin.post("/payments/{payment_id:str}/confirmations", permission="payment:pay", status=200)
async def confirm_payment(work: Work, payment_id: str) -> Answer[Payment]:
    """Go on with a payment after the customer has answered the card issuer's challenge."""
    async with work.begin() as uow:
        row = await store.by_id(uow, check_id("pay", payment_id))
    try:
        await resume(work, row)
    except Problem as problem:
        if not problem.retryable:  # else the sweeper goes on from where this has stopped
            raise
    return await _answer(work, row.id, settled=200)


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
