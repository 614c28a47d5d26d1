"""The life of a coupon, and how a journey's segments are spread over tickets."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TypeVar

from pss_kernel import Conflict

from .contracts import CouponStatus, TicketStatus

__all__ = ["COUPONS_PER_TICKET", "check_move", "conjunctions", "ticket_status"]

COUPONS_PER_TICKET = 4  # IATA Resolution 722f: one ticket number carries up to four coupons

_MOVES: dict[CouponStatus, frozenset[CouponStatus]] = {
    "open": frozenset({"checked_in", "refunded", "void"}),
    "checked_in": frozenset({"flown", "open"}),
    "flown": frozenset(),
    "refunded": frozenset(),
    "void": frozenset(),
}

S = TypeVar("S")


def check_move(from_status: CouponStatus, to_status: CouponStatus) -> None:
    """Raise Conflict "coupon-transition" for a step that a coupon never takes."""
    if to_status not in _MOVES[from_status]:
        raise Conflict(
            f"A coupon can't go from {from_status} to {to_status}.", code="coupon-transition"
        )


def conjunctions(segments: Sequence[S]) -> list[list[S]]:
    """Spread segments, in order of travel, over tickets of at most four coupons each."""
    rest = iter(segments)
    return list(iter(lambda: list(islice(rest, COUPONS_PER_TICKET)), []))


def ticket_status(coupons: Iterable[CouponStatus]) -> TicketStatus:
    """Sum up a ticket: open while a coupon may still be used, else what became of it."""
    statuses = set(coupons)
    if statuses & {"open", "checked_in"}:
        return "open"
    if "flown" in statuses:
        return "flown"
    return "refunded" if "refunded" in statuses else "void"
