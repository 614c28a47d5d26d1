from sqlalchemy.exc import SQLAlchemyError

from pss_kernel import Problem, Work
from pss_reservation.contracts import OrderCancelledProblem, mark_needs_attention

from . import plugin, sales
from .issue import issue_or_flag
from .reconciliation import check_sales

__all__: list[str] = []

_ISSUES_PER_RUN = 100
_CHECKS_PER_RUN = 500


@plugin.job(every=60.0)
async def reconcile(work: Work) -> None:
    """Issue what is still due for paid orders, or flag it; then compare money and documents."""
    async with work.begin() as uow:
        unissued = await sales.unissued_orders(uow, _ISSUES_PER_RUN)
    for order_id in unissued:
        await _issue_late(work, order_id)
    async with work.begin() as uow:
        for order_id, found in await check_sales(uow, _CHECKS_PER_RUN):
            await sales.store_check(uow, order_id, found.detail if found else None)


async def _issue_late(work: Work, order_id: str) -> None:
    """Try one order again; its failure must not keep the orders behind it waiting."""
    try:
        async with work.begin() as uow:
            await issue_or_flag(uow, order_id)
    except OrderCancelledProblem:
        return  # cancelled meanwhile: the handler of the cancellation settles it
    except (Problem, SQLAlchemyError) as error:
        if isinstance(error, Problem) and error.retryable:
            raise
        reason = error.sentence if isinstance(error, Problem) else "The tickets can't be stored."
        async with work.begin() as uow:
            await sales.leave_sale(uow, order_id, "failed", reason)
            await mark_needs_attention(uow, order_id, reason)
