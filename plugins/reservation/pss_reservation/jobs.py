"""Recurring work: expiring holds that were not paid in time."""

from pss_kernel import Problem, Work

from . import plugin
from .lifecycle import expire, expired_holds
from .personal import seal_clear_passengers
from .store import set_attention

_AT_ONCE = 200
_ROUNDS = 500


@plugin.job(every=5.0)
async def expire_holds(work: Work) -> None:
    """Expire holds that have ended, each in a transaction of its own.

    One order whose seats can't be released is put before staff and stops no other.
    """
    async with work.begin() as uow:
        order_ids = await expired_holds(uow, _AT_ONCE)
    for order_id in order_ids:
        try:
            async with work.begin() as uow:
                await expire(uow, order_id)
        except Problem as problem:
            async with work.begin() as uow:
                await set_attention(uow, order_id, f"The hold can't be ended: {problem.detail}")


@plugin.job(cron="20 3 * * *")
async def seal_passengers(work: Work) -> None:
    """Seal personal facts that stand in clear, from before they were sealed when written."""
    for _ in range(_ROUNDS):
        async with work.begin() as uow:
            if not await seal_clear_passengers(uow, _AT_ONCE):
                return
