"""The ledger's rules: balanced whatever happens to an order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_kernel import Invalid
from pss_payment.contracts import Entry
from pss_payment.ledger import (
    ACCOUNTS,
    allocate,
    balances,
    capture_entries,
    check_entries,
    deposits_change,
    promise_entries,
    refund_entries,
    settle_cancellation,
)

AMOUNT = st.integers(1, 10**12)


def test_capture_then_refund_leaves_nothing() -> None:
    """A capture, its promise back and its refund cancel each other out."""
    entries = [*capture_entries(500), *promise_entries(500), *refund_entries(500)]
    check_entries(entries)
    assert dict.fromkeys(ACCOUNTS, 0) == balances(entries)


def test_capture_is_held_for_the_customer() -> None:
    """Captured money is clearing on the one side and deposits on the other."""
    assert deposits_change(capture_entries(500)) == 500
    assert balances(capture_entries(500))["gateway_clearing"] == 500


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [Entry(account="ticket_revenue", debit_minor=1)],
        [Entry(account="ticket_revenue"), Entry(account="tax_payable")],
        [
            Entry(account="ticket_revenue", debit_minor=-1),
            Entry(account="tax_payable", credit_minor=-1),
        ],
        [Entry(account="ticket_revenue", debit_minor=5, credit_minor=5)],
        [
            Entry(account="slush_fund", debit_minor=1),  # type: ignore[arg-type]
            Entry(account="tax_payable", credit_minor=1),
        ],
        [
            Entry(account="ticket_revenue", debit_minor=1 << 63),
            Entry(account="tax_payable", credit_minor=1 << 63),
        ],
    ],
)
def test_unbalanced_is_refused(entries: list[Entry]) -> None:
    """One-sided, two-sided, negative, empty, oversized and unknown entries are refused."""
    with pytest.raises(Invalid) as refusal:
        check_entries(entries)
    assert refusal.value.code == "unbalanced-entries"


@given(
    paid=AMOUNT,
    issued=st.booleans(),
    tax_share=st.integers(0, 100),
    refund=st.integers(0, 10**12),
    penalty=st.integers(0, 10**12),
)
def test_cancellation_settles_everything(
    paid: int, issued: bool, tax_share: int, refund: int, penalty: int
) -> None:
    """Whatever was quoted, the settlement is balanced and gives back no more than was paid."""
    entries = capture_entries(paid)
    if issued:
        tax = paid * tax_share // 100
        sides = [("ticket_revenue", paid - tax), ("tax_payable", tax)]
        entries.append(Entry(account="customer_deposits", debit_minor=paid))
        entries += [
            Entry(account=account, credit_minor=amount)  # type: ignore[arg-type]
            for account, amount in sides
            if amount
        ]
    settlement = settle_cancellation(balances(entries), refund, penalty)
    if settlement.entries:
        check_entries(settlement.entries)
    after = balances([*entries, *settlement.entries])
    assert sum(after.values()) == 0
    assert after["customer_deposits"] == 0
    assert min(refund, paid) == settlement.refund_minor == -after["refunds_payable"]
    assert min(penalty, paid - settlement.refund_minor) == -after["penalty_revenue"]
    assert after["ticket_revenue"] <= 0
    assert after["tax_payable"] <= 0
    assert paid == after["gateway_clearing"]


@given(amount=AMOUNT, remaining=st.lists(st.integers(0, 10**6), max_size=5))
def test_refund_is_spread(amount: int, remaining: list[int]) -> None:
    """No payment gives back more than it has left, and nothing is lost where enough is there."""
    offered = [(f"pay_{number}", left) for number, left in enumerate(remaining)]
    parts = allocate(amount, offered)
    assert min(amount, sum(remaining)) == sum(part for _, part in parts)
    assert all(0 < part <= dict(offered)[payment] for payment, part in parts)
