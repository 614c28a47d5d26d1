"""Record locators, and the ways between an order's states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_reservation import status
from pss_reservation.locator import ALPHABET, new_locator, normal_locator


def test_locator_is_readable_aloud() -> None:
    """A locator has six characters, none of which is mistaken for another."""
    locator = new_locator()
    assert 6 == len(locator)
    assert set(locator) <= set(ALPHABET)
    assert set("IO01").isdisjoint(ALPHABET)


def test_locator_as_typed() -> None:
    """Case, spaces and hyphens don't matter."""
    assert "ABC234" == normal_locator(" abc-2 34")


@given(st.text())
def test_any_text_as_locator(typed: str) -> None:
    """Any text gives a possible locator or None."""
    locator = normal_locator(typed)
    assert locator is None or set(locator) <= set(ALPHABET)


@pytest.mark.parametrize(
    ("of", "code"),
    [
        ("held", "order-expired"),
        ("expired", "order-expired"),
        ("cancelled", "order-cancelled"),
        ("confirmed", "already-paid"),
        ("ticketed", "already-paid"),
        ("needs_attention", "already-paid"),
    ],
)
def test_refusal(of: str, code: str) -> None:
    """Each status that does not allow a step says why with a stable code."""
    assert code == status.refusal(of, "ord_1").code


def test_end_states_have_no_way_out() -> None:
    """Nothing leads out of cancelled or expired."""
    ways = [
        status.CONFIRM,
        status.EXPIRE,
        status.TICKET,
        status.CANCEL_PAID,
        status.CANCEL_UNPAID,
    ]
    assert {"held", "confirmed", "ticketed", "needs_attention"} == {
        before for way in ways for before in way.from_statuses
    }
