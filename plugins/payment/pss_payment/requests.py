"""Reading the body of a payment: card numbers are refused before anything else is said of it."""

import re
from typing import Any

import msgspec

from pss_kernel import FieldError, Invalid

from .card_numbers import refuse_card_numbers
from .resources import NewPayment

__all__ = ["read_new_payment"]

# The longest body that NewPayment allows is shorter; looking for card numbers takes time.
_MOST_BYTES = 40_000


def read_new_payment(body: dict[str, Any]) -> NewPayment:
    """Convert the body as it came. Raises CardNumberRefused, then Invalid."""
    if len(msgspec.json.encode(body)) > _MOST_BYTES:
        raise Invalid(f"A payment has at most {_MOST_BYTES} bytes.", code="too-large")
    refuse_card_numbers(body)
    try:
        return msgspec.convert(body, NewPayment)
    except msgspec.ValidationError as error:
        detail, _, path = str(error).partition(" - at `")
        found = FieldError(pointer=_pointer(path), detail=f"{detail}.")
        raise Invalid("The payment can't be read.", errors=[found]) from error


def _pointer(path: str) -> str:
    """A JSON pointer from msgspec's path: ``$.method.token`` is ``/method/token``."""
    return "".join(f"/{part}" for part in re.findall(r"[^.$\[\]`]+", path))
