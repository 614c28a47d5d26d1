"""Names: which are accepted, and which are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_reservation.names import name_fault, same_name


@pytest.mark.parametrize(
    ("booked", "typed"),
    [
        ("Müller", "MULLER"),
        ("Müller", "mueller"),
        ("Strauß", "Strauss"),
        ("García Márquez", "garcia-marquez"),
        ("O'Brien", "OBRIEN"),
        ("O\u2019Brien", "o brien"),
        ("Sørensen", "Soerensen"),
        ("Sørensen", "Sorensen"),
        ("Łukasiewicz", "lukasiewicz"),
        ("Nguyễn", "Nguyen"),
        ("Müller", "Mu\u0308ller"),
    ],
)
def test_same(booked: str, typed: str) -> None:
    """Case, diacritics, spaces, hyphens, apostrophes and transcription don't matter."""
    assert same_name(booked, typed)
    assert same_name(typed, booked)


@pytest.mark.parametrize(("booked", "typed"), [("Müller", "Miller"), ("Li", ""), ("", "")])
def test_different(booked: str, typed: str) -> None:
    """Another name is another name, and nothing equals no name."""
    assert not same_name(booked, typed)


@pytest.mark.parametrize("name", ["Ng", "Anne-Marie", "D'Angelo", "van der Berg", "Ó", "St. John"])
def test_accepted(name: str) -> None:
    """Latin letters with diacritics, spaces, hyphens, apostrophes and full stops are a name."""
    assert name_fault(name) is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "required"),
        ("  ", "required"),
        ("X3", "not-letters"),
        ("--", "not-letters"),
        ("A/B", "not-letters"),
        ("A\0", "not-letters"),
        ("田中", "not-latin"),
        ("x" * 61, "too-long"),
    ],
)
def test_refused(name: str, code: str) -> None:
    """Each fault has its own code."""
    fault = name_fault(name)
    assert fault is not None
    assert code == fault[0]


@given(st.text(), st.text())
def test_any_text(one: str, other: str) -> None:
    """Any text gets an answer, and the comparison is symmetric."""
    name_fault(one)
    assert same_name(one, other) == same_name(other, one)
