from datetime import timedelta

from pss_kernel import UnitOfWork

from . import plugin
from .books import balance, post, posted_since
from .contracts import Entry, balance_of_order, post_entries, posted_within

__all__: list[str] = []


@plugin.provides(post_entries)
async def _post_entries(
    uow: UnitOfWork, order_id: str, reason: str, currency: str, entries: list[Entry]
) -> None:
    await post(uow, order_id, reason, currency, entries)


@plugin.provides(posted_within)
async def _posted_within(uow: UnitOfWork, order_id: str, period: timedelta) -> bool:
    return await posted_since(uow, order_id, period)


@plugin.provides(balance_of_order)
async def _balance_of_order(uow: UnitOfWork, order_id: str) -> dict[str, int]:
    return await balance(uow, order_id)
