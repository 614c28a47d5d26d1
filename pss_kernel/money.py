"""Money in integer minor units, with each currency's own exponent (ISO 4217)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from typing import Self

import iso4217
import msgspec

from pss_kernel.errors import Invalid

__all__ = ["Money", "exponent", "round_share"]


@cache
def exponent(currency: str) -> int:
    """Digits after the decimal point (0 for JPY, 2 for EUR, 3 for KWD).

    Raises Invalid for a code that ISO 4217 does not list.
    """
    try:
        return int(iso4217.Currency(currency).exponent or 0)
    except ValueError as error:
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
        return cls(f"{Decimal(minor).scaleb(-digits):.{digits}f}", currency)

    @property
    def minor(self) -> int:
        """In minor units. Raises Invalid for text that is no amount of this currency."""
        digits = exponent(self.currency)
        try:
            scaled = Decimal(self.amount).scaleb(digits)
            whole = int(scaled)
        except (InvalidOperation, ValueError, OverflowError) as error:
            raise Invalid(f"{self.amount!r} is not an amount.", code="invalid-amount") from error
        if scaled != whole or abs(whole) >= 1 << 63:
            raise Invalid(
                f"{self.amount} has more than the {digits} decimals of {self.currency}.",
                code="invalid-amount",
            )
        return whole


def round_share(minor: int, share: Fraction | Decimal) -> int:
    """``share`` of an amount in minor units, rounded half up (away from zero at the half)."""
    exact = Fraction(minor) * Fraction(share)
    quotient = Decimal(exact.numerator) / Decimal(exact.denominator)
    return int(quotient.quantize(Decimal(1), rounding=ROUND_HALF_UP))
