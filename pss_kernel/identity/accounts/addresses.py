"""E-mail addresses: one form to write them in, one to compare them by."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from pss_kernel.errors import FieldError, Invalid

__all__ = ["LONGEST_ADDRESS", "checked_address", "email_key"]

LONGEST_ADDRESS = 254
"""Of an e-mail address, in characters (RFC 5321, 4.5.3.1.3, less the brackets)."""


def checked_address(address: str, pointer: str = "/email") -> tuple[str, str]:
    """The address as it is written to, and its key. Raises Invalid for what can't be one.

    Whether there is a mailbox only a mail can tell, so the domain isn't looked up.
    """
    if len(address) > LONGEST_ADDRESS:
        raise _wrong(f"It has more than {LONGEST_ADDRESS} characters.", pointer)
    try:
        found = validate_email(address.strip(), check_deliverability=False)
    except EmailNotValidError as error:
        raise _wrong(str(error), pointer) from error
    return found.normalized, found.normalized.lower()


def _wrong(detail: str, pointer: str) -> Invalid:
    return Invalid(
        "That is no e-mail address that mail can be sent to.",
        errors=[FieldError(pointer=pointer, detail=detail, code="invalid-email")],
    )


def email_key(address: str) -> str:
    """What addresses are compared by; of what is no address, something that none has."""
    try:
        return checked_address(address)[1]
    except Invalid:
        return ""
