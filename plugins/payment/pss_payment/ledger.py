"""The rules of the double-entry ledger. Amounts are minor units. No input or output.

A balance is debit minus credit. ``gateway_clearing`` is what the airline has got; the other
accounts are what it owes or has earned, hence not positive. All balances of an order add up to 0.
"""

from collections.abc import Mapping, Sequence
from typing import get_args

import msgspec

from pss_kernel import Invalid

from .contracts import Account, Entry

__all__ = [
    "ACCOUNTS",
    "Settlement",
    "allocate",
    "balances",
    "capture_entries",
    "check_entries",
    "deposits_change",
    "promise_entries",
    "refund_entries",
    "settle_cancellation",
]

ACCOUNTS: tuple[Account, ...] = get_args(Account)
_MOST_MINOR = (1 << 63) - 1


class Settlement(msgspec.Struct, frozen=True):
    """What a cancellation posts, and how much of it goes back to the customer."""

    entries: list[Entry]
    refund_minor: int


def check_entries(entries: Sequence[Entry]) -> None:
    """Refuse a posting that is not balanced. Raises Invalid ("unbalanced-entries")."""
    for entry in entries:
        amounts = (entry.debit_minor, entry.credit_minor)
        if (
            entry.account not in ACCOUNTS
            or min(amounts) != 0
            or not 0 < max(amounts) <= _MOST_MINOR
        ):
            raise _unbalanced(f"{entry.account!r} needs one positive amount, debit or credit.")
    debit = sum(entry.debit_minor for entry in entries)
    credit = sum(entry.credit_minor for entry in entries)
    if not entries or debit != credit:
        raise _unbalanced(f"Debits are {debit}, credits are {credit}.")


def balances(entries: Sequence[Entry]) -> dict[str, int]:
    """Add the entries up, account by account, the unused ones too."""
    totals: dict[str, int] = dict.fromkeys(ACCOUNTS, 0)
    for entry in entries:
        totals[entry.account] += entry.debit_minor - entry.credit_minor
    return totals


def deposits_change(entries: Sequence[Entry]) -> int:
    """By how much the entries raise what is held for the customer."""
    return -balances(entries)["customer_deposits"]


def capture_entries(amount_minor: int) -> list[Entry]:
    """Money came in: the gateway owes it to the airline, the airline to the customer."""
    return _moves({"gateway_clearing": amount_minor, "customer_deposits": -amount_minor})


def promise_entries(amount_minor: int) -> list[Entry]:
    """Deposits are promised back; from now on nothing else can be paid with them."""
    return _moves({"customer_deposits": amount_minor, "refunds_payable": -amount_minor})


def refund_entries(amount_minor: int) -> list[Entry]:
    """Pay a promised refund through the gateway."""
    return _moves({"refunds_payable": amount_minor, "gateway_clearing": -amount_minor})


def settle_cancellation(
    balance: Mapping[str, int], refund_minor: int, penalty_minor: int
) -> Settlement:
    """Turn everything that an order has paid into its refund, its penalty and what is kept.

    What the airline had booked as revenue and taxes is reversed as far as it is given back or
    becomes the penalty. Never more is refunded than was paid. Deposits are nothing afterwards.
    """
    deposits = -balance["customer_deposits"]
    revenue = -balance["ticket_revenue"]
    tax = -balance["tax_payable"]
    refund = min(refund_minor, deposits + revenue + tax)
    kept = deposits + revenue + tax - refund
    penalty = min(penalty_minor, kept)
    kept_tax = min(tax, max(kept - penalty - revenue, 0))
    kept_revenue = kept - penalty - kept_tax
    moves: dict[Account, int] = {
        "customer_deposits": deposits,
        "ticket_revenue": revenue - kept_revenue,
        "tax_payable": tax - kept_tax,
        "penalty_revenue": -penalty,
        "refunds_payable": -refund,
    }
    return Settlement(_moves(moves), refund)


def allocate(amount_minor: int, remaining: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Spread a refund over payments, ``(payment id, not yet refunded)``, in the given order."""
    parts: list[tuple[str, int]] = []
    for payment_id, available in remaining:
        part = min(amount_minor, available)
        if part > 0:
            parts.append((payment_id, part))
            amount_minor -= part
    return parts


def _moves(changes: Mapping[Account, int]) -> list[Entry]:
    """Entries that change balances by so much; nothing for accounts that stay as they are."""
    return [
        Entry(account=account, debit_minor=change)
        if change > 0
        else Entry(account=account, credit_minor=-change)
        for account, change in changes.items()
        if change
    ]


def _unbalanced(detail: str) -> Invalid:
    return Invalid(f"The ledger entries don't balance. {detail}", code="unbalanced-entries")
