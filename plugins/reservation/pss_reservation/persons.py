"""Finding the passengers that somebody means, and refusing to erase who is still to travel."""

from pss_kernel import PersonQuery, UnitOfWork, find_persons, reasons_to_keep

from . import plugin
from .names import same_name
from .order import OrderPassenger
from .personal import StoredPassenger, open_passengers, seals_passengers
from .store import find_order

__all__ = ["find_passengers", "keep_travellers"]

_AT_ONCE = 500
_SEALED = """
SELECT id, type, title, given_name, family_name, encode(personal, 'hex') AS personal
FROM order_passenger WHERE id > $1 AND personal IS NOT NULL ORDER BY id LIMIT $2
"""
_CLEAR = "SELECT id FROM order_passenger WHERE lower(email) = $1"
_AHEAD = """
SELECT DISTINCT o.id FROM order_passenger p JOIN orders o ON o.id = p.order_id
WHERE p.id = ANY($1) AND o.status NOT IN ('cancelled', 'expired')
"""


@plugin.hook(find_persons)
async def find_passengers(uow: UnitOfWork, persons: list[str], query: PersonQuery) -> list[str]:
    """Add the passengers of that reference and name, and those with that e-mail address."""
    found = list(persons)
    if query.reference and query.family_name:
        stored = await find_order(uow, booking_reference=query.reference)
        found += [
            one.id for one in (stored.order.passengers if stored else []) if _meant(one, query)
        ]
    if query.email:
        found += await _with_email(uow, query.email.strip().lower())
    return found


@plugin.hook(reasons_to_keep)
async def keep_travellers(uow: UnitOfWork, reasons: list[str], persons: list[str]) -> list[str]:
    """Name the orders whose last flight has not arrived: nobody travels without a name."""
    now = await uow.now()
    ahead = []
    for row in await uow.hot(_AHEAD, persons):
        stored = await find_order(uow, order_id=row["id"])
        if stored and max(one.arriving_at_utc for one in stored.order.segments()) > now:
            ahead.append(stored.order.booking_reference)
    if not ahead:
        return reasons
    orders = ", ".join(sorted(ahead))
    return [*reasons, f"A journey lies ahead ({orders}): cancel it first, or wait for its end."]


def _meant(one: OrderPassenger, query: PersonQuery) -> bool:
    family = same_name(query.family_name or "", one.family_name)
    return family and (query.given_name is None or same_name(query.given_name, one.given_name))


async def _with_email(uow: UnitOfWork, email: str) -> list[str]:
    """Addresses are sealed, each with a key of its own: all of them are opened to find one."""
    found = [row["id"] for row in await uow.hot(_CLEAR, email)]
    last = ""
    while seals_passengers(uow):
        rows = await uow.hot(_SEALED, last, _AT_ONCE)
        if not rows:
            break
        opened = await open_passengers(uow, [StoredPassenger(**dict(row)) for row in rows])
        found += [one.id for one in opened if (one.email or "").lower() == email]
        last = rows[-1]["id"]
    return found
