"""Money in integer minor units, with each currency's own exponent (ISO 4217)."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Any, Self

import iso4217
import msgspec

from pss_kernel.errors import Invalid

__all__ = ["Money", "exponent", "round_share"]

# Fourteen digits before the point keep the minor units of every currency within 64 bits.
_AMOUNT = re.compile(r"(-?)([0-9]{1,14})(?:\.([0-9]{1,16}))?")


@cache
def exponent(currency: str) -> int:
    """Digits after the decimal point (0 for JPY, 2 for EUR, 3 for KWD).

    Raises Invalid for a code that ISO 4217 does not list.
    """
    try:
        # Some codes of the list are no money to pay with, such as gold: they have no exponent.
        digits: Any = iso4217.Currency(currency).exponent
        return int(digits)
    except (ValueError, TypeError) as error:
        raise Invalid(
            f"{currency!r} is not a currency code of ISO 4217.", code="unknown-currency"
        ) from error


class Money(msgspec.Struct, frozen=True):
    """An amount as people write it, ``{"amount": "123.45", "currency": "EUR"}``."""

    amount: str
    currency: str

    @classmethod
    def of(cls, minor: int, currency: str) -> Self:
        """From minor units: ``Money.of(12345, "EUR")`` is 123.45 EUR."""
        digits = exponent(currency)
        sign = "-" if minor < 0 else ""
        text = str(abs(minor)).rjust(digits + 1, "0")
        whole, fraction = text[: len(text) - digits], text[len(text) - digits :]
        return cls(f"{sign}{whole}.{fraction}" if digits else f"{sign}{whole}", currency)

    @property
    def minor(self) -> int:
        """In minor units. Raises Invalid for text that is no amount of this currency."""
        digits = exponent(self.currency)
        match = _AMOUNT.fullmatch(self.amount)
        if match is None:
            raise Invalid(f"{self.amount[:40]!r} is not an amount.", code="invalid-amount")
        sign, whole, decimals = match[1], match[2], (match[3] or "").rstrip("0")
        if len(decimals) > digits:
            raise Invalid(
                f"{self.amount} has more than the {digits} decimals of {self.currency}.",
                code="invalid-amount",
            )
        return int(f"{sign}{whole}{decimals:0<{digits}}")


def round_share(minor: int, share: Fraction | Decimal) -> int:
    """``share`` of an amount in minor units, rounded half up (away from zero at the half)."""
    exact = Fraction(minor) * Fraction(share)
    rounded = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return rounded if exact >= 0 else -rounded
