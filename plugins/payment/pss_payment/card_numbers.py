"""Keeping card numbers out: whatever looks like one, anywhere in a request, is refused.

A card number (PAN) has 12 to 19 digits, begins with 2 to 6 and ends with a check digit by the Luhn
formula (ISO/IEC 7812-1). People write it in groups with spaces, dots or dashes.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from itertools import accumulate

from pss_kernel import FieldError, Invalid

from .contracts import CardNumberRefused

__all__ = ["looks_like_card_number", "refuse_card_number_as_key", "refuse_card_numbers"]

# The longest body that NewPayment allows is shorter; looking for card numbers takes time.
_MOST_BYTES = 40_000
_LENGTHS = range(12, 20)
# The first digit tells the industry; payment cards have these. A time in milliseconds does not.
_ISSUERS = frozenset("23456")
_SEPARATOR = r"[\s.\-\u2010-\u2015\u2212_/]{0,3}"
_RUN = re.compile(rf"\d(?:{_SEPARATOR}\d){{11,}}")
# Our own ids are of letters and digits by chance, and hold no card number.
_OWN_ID = re.compile(r"[a-z]{2,4}_[0-9a-hjkmnp-tv-z]{26}")
# A UUID may have runs of digits by chance too; it is what most clients send as Idempotency-Key.
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# So many zeros after the point make a sum no card number.
_AMOUNT = re.compile(r"[0-9]{1,11}\.0*")


def refuse_card_number_as_key(key: str | None) -> None:
    """Refuse an Idempotency-Key that looks like a card number: keys are kept.

    Raises CardNumberRefused, which never repeats the number.
    """
    if key and not _UUID.fullmatch(key) and looks_like_card_number(key):
        raise CardNumberRefused(
            "The Idempotency-Key looks like a card number.", mend="Use a UUID as the key."
        )


def refuse_card_numbers(body: bytes) -> None:
    """Look through a JSON body as it came, keys and repeated keys too.

    Raises CardNumberRefused, which never repeats the number, and Invalid ("too-large"). What is
    no JSON passes: nobody reads it either.
    """
    if len(body) > _MOST_BYTES:
        raise Invalid(f"A payment has at most {_MOST_BYTES} bytes.", code="too-large")
    try:
        # Numbers stay the text that they are; of a repeated key every value is kept.
        value = json.loads(
            body.decode(),
            parse_int=str,
            parse_float=str,
            parse_constant=str,
            object_pairs_hook=tuple,
        )
    except (ValueError, RecursionError):
        return
    pointers = sorted(set(_pointers(value, "")))
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
            if end - begin in _LENGTHS and total % 10 == 0 and groups[first][0] in _ISSUERS:
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
    """Where a card number stands; one in a key is reported at the object that has the key.

    Objects are tuples of key and value here, arrays are lists.
    """
    if isinstance(value, tuple):
        for key, inner in value:
            if looks_like_card_number(key):
                yield pointer
            else:
                escaped = key.replace("~", "~0").replace("/", "~1")
                yield from _pointers(inner, f"{pointer}/{escaped}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _pointers(inner, f"{pointer}/{index}")
    elif isinstance(value, str):
        amount = pointer == "/amount/amount" and _AMOUNT.fullmatch(value)
        if not amount and looks_like_card_number(value):
            yield pointer
