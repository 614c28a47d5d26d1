"""Ticket numbers: 3-digit accounting code and 10-digit serial.

All thirteen digits number the document; none of them checks the others (two passengers of one
record hold …533 and …534). Printed forms may show a separate check digit: the number modulo 7.
"""

import re

from pss_kernel import Invalid

__all__ = ["check_digit", "is_ticket_number", "ticket_number"]

_NUMBER = re.compile(r"[0-9]{13}")
_CODE = re.compile(r"[0-9]{3}")
_SERIAL_LIMIT = 10**10


def ticket_number(accounting_code: str, serial: int) -> str:
    """Join the airline's accounting code and a serial to 13 digits; Invalid for other input."""
    if not _CODE.fullmatch(accounting_code):
        raise Invalid(
            f"{accounting_code!r} is not a three-digit accounting code.",
            code="accounting-code",
            mend="Set plugins.ticketing.accounting_code in tenant.toml.",
        )
    if not 0 <= serial < _SERIAL_LIMIT:
        raise Invalid(f"{serial} is not a serial of up to ten digits.", code="ticket-serial")
    return f"{accounting_code}{serial:010d}"


def is_ticket_number(text: str) -> bool:
    """Say whether the text has the form of a ticket number (13 ASCII digits)."""
    return _NUMBER.fullmatch(text) is not None


def check_digit(digits: str) -> int:
    """Modulus 7 of the digits read as one number (not of their sum), 0 to 6."""
    if not (digits.isascii() and digits.isdigit()):
        raise Invalid(f"{digits[:20]!r} is not a number.", code="ticket-number")
    remainder = 0
    for digit in digits:
        remainder = (remainder * 10 + int(digit)) % 7
    return remainder
