"""Passengers as they are sent with an order."""

from __future__ import annotations

import itertools
from typing import Any

__all__ = ["party", "types"]

_FAMILY = ("Lindqvist", "Okonkwo", "Brandt", "Moreau", "Ferreira", "Novak", "Haugen", "Silva")
_GIVEN = {"adult": "Alva", "child": "Mio", "infant": "Liv"}
_BORN = {"adult": "1988-04-12", "child": "2019-06-30", "infant": "2026-02-01"}
_count = itertools.count()


def types(*wanted: str) -> list[dict[str, str]]:
    """Ask for these passengers in an offer request."""
    return [{"type": one} for one in wanted or ("adult",)]


def party(*wanted: str, family_name: str | None = None) -> list[dict[str, Any]]:
    """Name these passengers for an order; a new family each time, unless one is given."""
    number = next(_count)
    family = family_name or _FAMILY[number % len(_FAMILY)]
    return [
        {
            "type": kind,
            "given_name": _GIVEN[kind] + "abcdefgh"[place],
            "family_name": family,
            "born_on": _BORN[kind],
        }
        | ({"title": "Ms", "email": "alva@example.org"} if kind == "adult" else {})
        for place, kind in enumerate(wanted or ("adult",))
    ]
