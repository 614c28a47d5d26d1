"""Exchange between currencies, in exact decimals."""

from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import lru_cache

from pss_kernel import Money, exponent

__all__ = ["exchange", "money"]

_DIGITS = 50  # more than any 64-bit amount times any filed rate needs: nothing is rounded early


def exchange(minor: int, source: str, target: str, rate: Decimal) -> int:
    """Minor units of `source` in minor units of `target`; 1 `source` is worth `rate` `target`.

    Rounded once, half up, to the target's own exponent (ISO 4217: 0, 2 or 3 decimals).
    """
    if source == target:
        return minor
    with localcontext() as context:
        context.prec = _DIGITS
        exact = Decimal(minor).scaleb(exponent(target) - exponent(source)) * rate
        return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


@lru_cache(maxsize=8192)
def money(minor: int, currency: str) -> Money:
    """`Money.of`, remembered: the same few amounts stand in every offer of a request."""
    return Money.of(minor, currency)
