"""Keeping card numbers out: whatever looks like one, anywhere in a request, is refused.

A card number (PAN) has 12 to 19 digits of which the last is a check digit by the Luhn formula
(ISO/IEC 7812-1). People write it in groups with spaces, dots or dashes.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate

from pss_kernel import FieldError

from .contracts import CardNumberRefused

__all__ = ["looks_like_card_number", "refuse_card_numbers"]

_LENGTHS = range(12, 20)
_SEPARATOR = r"[\s.\-\u2010-\u2015\u2212_/]{0,3}"
_RUN = re.compile(rf"\d(?:{_SEPARATOR}\d){{11,}}")
# Our own ids are of letters and digits by chance, and hold no card number.
_OWN_ID = re.compile(r"[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}")


def refuse_card_numbers(body: object) -> None:
    """Look through a decoded JSON body, keys too. Raises CardNumberRefused; never repeats it."""
    pointers = sorted(set(_pointers(body, "")))
    if pointers:
        detail = "This looks like a card number; send the token of the card network instead."
        raise CardNumberRefused(
            "Card numbers are not taken here.",
            errors=[
                FieldError(pointer=pointer, detail=detail, code=CardNumberRefused.code)
                for pointer in pointers
            ],
        )


def looks_like_card_number(text: str) -> bool:
    """Whether the text holds 12 to 19 digits, grouped or not, that pass the Luhn check."""
    if _OWN_ID.fullmatch(text):
        return False
    plain = unicodedata.normalize("NFKC", text)
    return any(_holds_number(run.group()) for run in _RUN.finditer(plain))


def _holds_number(run: str) -> bool:
    """Whether neighbouring groups of a run of digits form a card number."""
    groups = re.findall(r"\d+", run)
    bounds = [0, *accumulate(len(group) for group in groups)]
    sums = _luhn_sums("".join(groups))
    for first, begin in enumerate(bounds):
        for end in bounds[first + 1 : first + _LENGTHS.stop]:
            if end - begin >= _LENGTHS.stop:
                break
            # Every second digit is doubled, counted from the right: the end's parity decides.
            total = sums[end % 2][end] - sums[end % 2][begin]
            if end - begin in _LENGTHS and total % 10 == 0:
                return True
    return False


def _luhn_sums(digits: str) -> tuple[list[int], list[int]]:
    """Running Luhn sums, with the digits at even places doubled and with those at odd places."""
    doubled = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]  # the digits of twice a digit, added up
    even, odd = [0], [0]
    for place, character in enumerate(digits):
        digit = int(character)
        even.append(even[-1] + (digit if place % 2 else doubled[digit]))
        odd.append(odd[-1] + (doubled[digit] if place % 2 else digit))
    return even, odd


def _pointers(value: object, pointer: str) -> Iterator[str]:
    """Where a card number stands; one in a key is reported at the object that has the key."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if looks_like_card_number(str(key)):
                yield pointer
            else:
                escaped = str(key).replace("~", "~0").replace("/", "~1")
                yield from _pointers(inner, f"{pointer}/{escaped}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _pointers(inner, f"{pointer}/{index}")
    elif isinstance(value, str | int | float) and looks_like_card_number(_text(value)):
        yield pointer


def _text(value: str | float) -> str:
    return f"{value:.0f}" if isinstance(value, float) else str(value)
