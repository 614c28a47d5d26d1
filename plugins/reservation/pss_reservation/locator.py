"""Record locators: the booking reference that a passenger reads out at a desk."""

import secrets

__all__ = ["ALPHABET", "LENGTH", "new_locator", "normal_locator"]

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Letters and digits without I, O, 0 and 1, which are mistaken for each other in print."""

LENGTH = 6
"""Usual in the industry; a boarding pass has room for seven (IATA Resolution 792)."""


def new_locator() -> str:
    """Draw a locator from 32**6 (a thousand million), unguessable from the ones before it."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def normal_locator(typed: str) -> str | None:
    """Bring what somebody typed into the stored form; None when it can't be a locator."""
    locator = typed.replace(" ", "").replace("-", "").upper()
    if len(locator) != LENGTH or not set(locator) <= set(ALPHABET):
        return None
    return locator
