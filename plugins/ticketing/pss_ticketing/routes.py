from pss_kernel import NotFound, Page, UnitOfWork

from . import plugin, store
from .contracts import Ticket
from .numbers import is_ticket_number
from .reconciliation import Disagreement, check_sales

__all__: list[str] = []

_CHECKS_PER_REQUEST = 200


@plugin.get("/tickets/reconciliation", permission="ticketing:read")
async def list_disagreements(uow: UnitOfWork) -> Page[Disagreement]:
    """List orders whose money and documents disagree.

    Compared now: the orders that disagreed before and those that wait longest for a check.
    All others were found in order by the job that runs every minute.
    """
    checked = await check_sales(uow, _CHECKS_PER_REQUEST)
    return Page(data=[found for _, found in checked if found is not None])


@plugin.get("/tickets/{number:str}", permission="ticketing:read")
async def show_ticket(uow: UnitOfWork, number: str) -> Ticket:
    """Show a ticket with its coupons by its 13 digits."""
    ticket = await store.ticket_by_number(uow, number) if is_ticket_number(number) else None
    if ticket is None:
        raise NotFound(f"There is no ticket {number[:20]!r}.")
    return ticket


@plugin.get("/tickets", permission="ticketing:read")
async def list_tickets(uow: UnitOfWork, order_id: str) -> Page[Ticket]:
    """List the tickets of an order."""
    return Page(data=await store.tickets_of(uow, order_id))
