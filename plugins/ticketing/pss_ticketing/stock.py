"""The airline's stock of ticket numbers: taken by one conditional statement, never twice.

The statement runs in the transaction that writes the documents, so a failed issue gives its
numbers back and leaves no gap.
"""

from sqlalchemy import BigInteger, Text, bindparam, text

from pss_kernel import Conflict, UnitOfWork

from .numbers import ticket_number
from .settings import Settings

__all__ = ["CannotIssue", "take_numbers"]


class CannotIssue(Conflict):
    """Documents can't be issued as things are; the order waits for the airline's staff."""

    code = "cannot-issue"


# A range of the settings becomes a row the first time it is used. Another first serial is a new
# range, a higher last serial an extension; neither may run into serials of an older range.
_OPEN_RANGE = text("""
    INSERT INTO ticket_range AS stock (accounting_code, first_serial, last_serial, next_serial)
    SELECT :code, :first, :last, :first
    WHERE NOT EXISTS (
        SELECT 1 FROM ticket_range AS other
        WHERE other.accounting_code = :code AND other.first_serial <> :first
          AND other.first_serial <= :last AND other.last_serial >= :first
    )
    ON CONFLICT (accounting_code, first_serial) DO UPDATE
    SET last_serial = greatest(excluded.last_serial, stock.next_serial - 1)
    RETURNING last_serial
""").bindparams(
    bindparam("code", type_=Text),
    bindparam("first", type_=BigInteger),
    bindparam("last", type_=BigInteger),
)

_TAKE = text("""
    UPDATE ticket_range SET next_serial = next_serial + :count
    WHERE accounting_code = :code AND first_serial = :first
      AND next_serial + :count - 1 <= last_serial AND last_serial = :last
    RETURNING next_serial - :count
""").bindparams(bindparam("count", type_=BigInteger))


async def take_numbers(uow: UnitOfWork, count: int) -> list[str]:
    """Take consecutive ticket numbers. Raises CannotIssue with what the airline has to set."""
    settings = uow.settings(Settings)
    if not settings.accounting_code:
        raise CannotIssue(
            "The airline has no accounting code.",
            code="accounting-code-missing",
            mend="Set plugins.ticketing.accounting_code in tenant.toml.",
        )
    place = {
        "code": settings.accounting_code,
        "first": settings.first_serial,
        "last": settings.last_serial,
    }
    first = await uow.scalar(_TAKE, {**place, "count": count})
    if first is None:
        await _open_range(uow, place)
        first = await uow.scalar(_TAKE, {**place, "count": count})
    if first is None:
        raise CannotIssue(
            f"The range of ticket numbers ending at {settings.last_serial} is used up.",
            code="ticket-range-exhausted",
            mend="Set a new first_serial and last_serial for plugins.ticketing in tenant.toml.",
        )
    return [ticket_number(settings.accounting_code, first + step) for step in range(count)]


async def _open_range(uow: UnitOfWork, place: dict[str, object]) -> None:
    if await uow.scalar(_OPEN_RANGE, place) is None:
        raise CannotIssue(
            "The range of ticket numbers overlaps one that was used before.",
            code="ticket-range-overlap",
            mend="Set plugins.ticketing.first_serial beyond the last number of the old range.",
        )
