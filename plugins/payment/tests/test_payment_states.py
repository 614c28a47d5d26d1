"""The states of a payment."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_payment.contracts import Outcome
from pss_payment.states import (
    ACTIVE,
    NEXT,
    UNSETTLED,
    Status,
    after_authorisation,
    after_cancellation,
    after_capture,
    after_void,
    public_status,
)

APPROVED = Outcome(status="approved", reference="ch_1")
DECLINED = Outcome(status="declined", decline_reason="insufficient-funds")
ACTION = Outcome(status="requires_action", reference="ch_1", action_url="https://x.example")
UNKNOWN = Outcome(status="unknown")
OUTCOMES = st.sampled_from([APPROVED, DECLINED, ACTION, UNKNOWN, None])


@pytest.mark.parametrize(
    ("status", "outcome", "overdue", "expected"),
    [
        ("pending", APPROVED, False, "authorised"),
        ("pending", ACTION, False, "requires_action"),
        ("pending", DECLINED, False, "failed"),
        ("pending", UNKNOWN, True, None),
        ("pending", None, False, "abandoned"),
        ("requires_action", APPROVED, True, "authorised"),
        ("requires_action", ACTION, False, None),
        ("requires_action", ACTION, True, "voiding"),
        ("requires_action", DECLINED, False, "failed"),
        ("requires_action", None, False, None),
        ("abandoned", APPROVED, False, "voiding"),
        ("abandoned", ACTION, True, "voiding"),
        ("abandoned", None, False, None),
        ("abandoned", None, True, "failed"),
        ("abandoned", UNKNOWN, True, None),
    ],
)
def test_after_authorisation(
    status: Status, outcome: Outcome | None, overdue: bool, expected: Status | None
) -> None:
    """What the gateway says of an authorisation decides the next state."""
    step = after_authorisation(status, outcome, overdue=overdue)
    assert expected == (step.status if step else None)


def test_unknown_is_never_declined() -> None:
    """No answer changes nothing, in no state."""
    for status in UNSETTLED:
        assert after_authorisation(status, UNKNOWN, overdue=True) is None
    assert after_capture(UNKNOWN) is None
    assert after_void(UNKNOWN) is None


def test_decline_reason_is_told() -> None:
    """A declined payment fails with a stable code and the issuer's reason."""
    step = after_authorisation("pending", DECLINED, overdue=False)
    assert step is not None
    assert step.failure is not None
    assert step.failure.code == "card-declined"
    assert "insufficient-funds" in step.failure.detail


@given(st.lists(st.tuples(OUTCOMES, st.booleans()), max_size=12))
def test_every_path_keeps_to_the_transitions(answers: list[tuple[Outcome | None, bool]]) -> None:
    """Whatever is answered, only listed steps are taken; captured comes from authorised alone."""
    status: Status = "pending"
    for outcome, overdue in answers:
        if status == "authorised":
            step = after_capture(outcome or UNKNOWN)
        elif status == "voiding":
            step = after_void(outcome or UNKNOWN)
        elif status in UNSETTLED:
            step = after_authorisation(status, outcome, overdue=overdue)
        else:
            assert frozenset() == NEXT[status]
            return
        if step:
            assert step.status in NEXT[status]
            status = step.status


def test_giving_up() -> None:
    """A payment is given up while it is undecided, along listed transitions; nothing else is."""
    steps = {status: after_cancellation(status) for status in get_args(Status)}
    taken = {status: step.status for status, step in steps.items() if step}
    assert {"pending": "abandoned", "requires_action": "voiding"} == taken
    assert all(step in NEXT[status] for status, step in taken.items())


def test_only_authorised_is_captured() -> None:
    """No other state leads to captured, and captured and failed lead nowhere."""
    assert [status for status in NEXT if "captured" in NEXT[status]] == ["authorised"]
    assert {"captured", "failed"} == set(get_args(Status)) - set(UNSETTLED)


def test_customers_see_failed_at_once() -> None:
    """States that only tidy up look failed, and let the customer pay anew."""
    for status in ("voiding", "abandoned"):
        assert public_status(status) == "failed"
        assert status not in ACTIVE
