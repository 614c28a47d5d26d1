"""What a plugin's manifest says of its tables that hold data about people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["PersonalTable"]


@dataclass(frozen=True, slots=True)
class PersonalTable:
    """A table with data about people: the kernel tells and erases it as is said here.

    Each of its columns that says something about a person stands in ``erased`` or ``kept``, or has
    the type ``Personal`` (then it is erased with the person's key), or its rows go as a whole.
    """

    name: str
    person: str
    """The column with the person's id; the subject that ``UnitOfWork.seal`` was given."""
    purpose: str
    """What it is kept for, in words for that person."""
    columns: Mapping[str, str]
    """Every column about the person, with what it holds, in words."""
    erased: Mapping[str, str] = field(default_factory=dict)
    """Column to the SQL expression that takes the value's place."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Column to why it stays after an erasure, and for how long."""
    rows_go: bool = False
    """The rows themselves are deleted."""
    special: bool = False
    """Whether it is of a special category (health, belief; GDPR, article 9)."""
