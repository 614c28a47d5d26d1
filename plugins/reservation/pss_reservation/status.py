"""The states of an order and the only ways between them. Pure: no database, no web."""

from dataclasses import dataclass
from typing import Literal

from pss_kernel import Conflict, Problem

from .contracts import AlreadyPaid, OrderCancelledProblem, OrderExpiredProblem

__all__ = [
    "CANCEL_PAID",
    "CANCEL_UNPAID",
    "CONFIRM",
    "EXPIRE",
    "LIVE",
    "PAID",
    "TICKET",
    "Transition",
    "refusal",
]

PAID = ("confirmed", "ticketed", "needs_attention")
"""An order in one of these is paid, or its payment is about to be captured."""

LIVE = ("held", *PAID)
"""An order in one of these has seats."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One way from a status to another, made by comparing and setting in the database.

    `when` is a condition on the database's clock at that moment.
    """

    change: str
    from_statuses: tuple[str, ...]
    to_status: str
    when: Literal["any time", "hold runs", "hold ended", "not departed"] = "any time"


CONFIRM = Transition("confirmed", ("held",), "confirmed", "hold runs")
EXPIRE = Transition("expired", ("held",), "expired", "hold ended")
TICKET = Transition("ticketed", ("confirmed", "needs_attention"), "ticketed")
CANCEL_UNPAID = Transition("cancelled", ("held",), "cancelled", "not departed")
CANCEL_PAID = Transition("cancelled", PAID, "cancelled", "not departed")


def refusal(status: str, order_id: str) -> Problem:
    """Say why an order in this status can't be paid, changed or cancelled (again).

    For a held order the one possible reason is that its hold ran out a moment ago.
    """
    if status in {"expired", "held"}:
        return OrderExpiredProblem(
            f"The order {order_id} was not paid in time; its seats are on sale again.",
            mend="Ask for a new offer.",
        )
    if status == "cancelled":
        return OrderCancelledProblem(f"The order {order_id} is cancelled.")
    if status in PAID:
        return AlreadyPaid(f"The order {order_id} is paid.")
    return Conflict(f"The order {order_id} is {status}.")
