from pss_kernel import Work

from . import plugin, refund_store, store
from .flow import later_if_unavailable, resume
from .refunds import carry_out

__all__ = ["settle_payments", "settle_refunds"]

# One round ends after so many; the next one begins two seconds later anyway.
_MOST_PER_ROUND = 50


@plugin.job(every=2.0)
async def settle_payments(work: Work) -> None:
    """Finish or give up every payment that a dead process or a silent gateway has left."""
    for _ in range(_MOST_PER_ROUND):
        async with work.begin() as uow:
            row = await store.claim_due(uow)
        if row is None:
            return
        with later_if_unavailable():
            await resume(work, row)


@plugin.job(every=2.0)
async def settle_refunds(work: Work) -> None:
    """Carry out every promised refund."""
    for _ in range(_MOST_PER_ROUND):
        async with work.begin() as uow:
            row = await refund_store.claim_due(uow)
        if row is None:
            return
        with later_if_unavailable():
            await carry_out(work, row)
