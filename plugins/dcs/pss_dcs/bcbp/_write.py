"""Writing a pass: strict, version 6. What the fields cannot hold is refused, never cut."""

import re

from pss_kernel import FieldError, Invalid

from ._records import Bcbp, Leg, Repeated, Security, Unique

__all__ = ["write"]

_VERSION = "6"
# In version 6 the unique items end after the issuer, after one bag tag or after three.
_TAGS_WRITTEN = {0: 0, 1: 1, 2: 3, 3: 3}
_LARGEST_SIZE = 0xFF

# The resolution allows upper-case letters, digits and the blank; names have a solidus too, and
# airlines' own and security data any printable ASCII but the circumflex that starts security.
_LEG_PATTERNS = {
    "booking_reference": r"[A-Z0-9]{5,7}",
    "origin": r"[A-Z]{3}",
    "destination": r"[A-Z]{3}",
    "carrier": r"[A-Z0-9]{2,3}",
    "flight_number": r"[0-9]{1,4}[A-Z]?",
    "compartment": r"[A-Z]",
    "seat": r"([0-9]{1,3}[A-Z]|INF)?",
    "sequence": r"[0-9]{1,4}[A-Z]?",
    "status": r"[0-9A-Z]",
    "airline_use": r"[ -\]_-~]*",
}
_REPEATED_PATTERNS = {
    "airline_numeric_code": r"([0-9]{3})?",
    "document_number": r"([0-9]{10})?",
    "selectee": r"[0-9]?",
    "document_verification": r"[0-9]?",
    "marketing_carrier": r"([A-Z0-9]{2,3})?",
    "frequent_flyer_airline": r"([A-Z0-9]{2,3})?",
    "frequent_flyer_number": r"[A-Z0-9]{0,16}",
    "id_ad": r"[A-Z0-9]?",
    "baggage_allowance": r"([0-9]{1,2}[KL]|[0-9]PC)?",
    "fast_track": r"[YN]?",
}
_UNIQUE_PATTERNS = {
    "passenger_description": r"[0-9A-Z]?",
    "check_in_source": r"[A-Z]?",
    "issuance_source": r"[A-Z]?",
    "document_type": r"[A-Z]?",
    "issuer": r"([A-Z0-9]{2,3})?",
}


def write(bcbp: Bcbp) -> str:
    """Return the text of the barcode, version 6.

    Conditional items are written where `unique` or a leg's `repeated` are given. The sizes,
    `version`, resolved dates and `warnings` of the records are not used. Raises Invalid with
    code bcbp-field and every field that a barcode can't carry.
    """
    errors = _check(bcbp)
    if errors:
        raise Invalid(
            "The boarding pass can't be written as a barcode.", code="bcbp-field", errors=errors
        )
    parts = [f"M{len(bcbp.legs)}{bcbp.passenger_name:<20}{bcbp.electronic_ticket:<1}"]
    for number, leg in enumerate(bcbp.legs, start=1):
        variable = _variable_field(leg, bcbp.unique if number == 1 else None, first=number == 1)
        if len(variable) > _LARGEST_SIZE:
            raise Invalid(f"The conditional items of leg {number} are too long.", code="bcbp-field")
        parts.append(f"{_mandatory(leg)}{len(variable):02X}{variable}")
    if bcbp.security is not None:
        security = bcbp.security
        parts.append(f"^{security.type}{len(security.data):02X}{security.data}")
    return "".join(parts)


def _mandatory(leg: Leg) -> str:
    """Return the 35 characters before a leg's size; numbers are filled with zeros on the left."""
    return (
        f"{leg.booking_reference:<7}{leg.origin}{leg.destination}{leg.carrier:<3}"
        f"{_filled(leg.flight_number, 4):<5}{leg.day_of_year:03d}{leg.compartment}"
        f"{_filled(leg.seat, 3):<4}{_filled(leg.sequence, 4):<5}{leg.status}"
    )


def _filled(value: str, digits: int) -> str:
    number = value.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return number.zfill(digits) + value[len(number) :] if number else value


def _variable_field(leg: Leg, unique: Unique | None, *, first: bool) -> str:
    if unique is None and leg.repeated is None and not leg.airline_use:
        return ""
    repeated = _repeated(leg.repeated)
    own = f"{len(repeated):02X}{repeated}{leg.airline_use}"
    if not first:
        return own
    once = _unique(unique)
    return f">{_VERSION}{len(once):02X}{once}{own}"


def _unique(unique: Unique | None) -> str:
    if unique is None:
        return ""
    issued = (
        f"{unique.issue_year}{unique.issue_day:03d}"
        if unique.issue_year is not None and unique.issue_day is not None
        else " " * 4
    )
    slots = _TAGS_WRITTEN[len(unique.bag_tags)]
    tags = "".join(f"{tag:<13}" for tag in unique.bag_tags).ljust(13 * slots)
    return (
        f"{unique.passenger_description:<1}{unique.check_in_source:<1}{unique.issuance_source:<1}"
        f"{issued}{unique.document_type:<1}{unique.issuer:<3}{tags}"
    )


def _repeated(repeated: Repeated | None) -> str:
    if repeated is None:
        return ""
    return (
        f"{repeated.airline_numeric_code:<3}{repeated.document_number:<10}"
        f"{repeated.selectee:<1}{repeated.document_verification:<1}"
        f"{repeated.marketing_carrier:<3}{repeated.frequent_flyer_airline:<3}"
        f"{repeated.frequent_flyer_number:<16}{repeated.id_ad:<1}"
        f"{repeated.baggage_allowance:<3}{repeated.fast_track:<1}"
    )


def _check(bcbp: Bcbp) -> list[FieldError]:
    errors: list[FieldError] = []
    if not 1 <= len(bcbp.legs) <= 9:  # noqa: PLR2004 - one digit
        errors.append(FieldError(pointer="/legs", detail="A pass has 1 to 9 legs."))
    if not re.fullmatch(r"[A-Z][A-Z ]*(/[A-Z][A-Z ]*)?", bcbp.passenger_name) or (
        len(bcbp.passenger_name) > 20  # noqa: PLR2004 - the field's width
    ):
        errors.append(
            FieldError(
                pointer="/passenger_name",
                detail="A name is FAMILY/GIVEN in letters A to Z, at most 20 characters.",
            )
        )
    if bcbp.electronic_ticket not in {"E", "L", ""}:
        errors.append(FieldError(pointer="/electronic_ticket", detail="It is E, L or blank."))
    for index, leg in enumerate(bcbp.legs):
        errors += _mismatches(leg, _LEG_PATTERNS, f"/legs/{index}")
        if leg.day_of_year is None or not 1 <= leg.day_of_year <= 366:  # noqa: PLR2004
            errors.append(
                FieldError(
                    pointer=f"/legs/{index}/day_of_year", detail="A day of the year is 1 to 366."
                )
            )
        if leg.repeated is not None:
            errors += _mismatches(leg.repeated, _REPEATED_PATTERNS, f"/legs/{index}/repeated")
    if bcbp.unique is not None:
        errors += _check_unique(bcbp.unique)
    if bcbp.security is not None:
        errors += _check_security(bcbp.security)
    return errors


def _check_unique(unique: Unique) -> list[FieldError]:
    errors = _mismatches(unique, _UNIQUE_PATTERNS, "/unique")
    year, day = unique.issue_year, unique.issue_day
    if (year is None) != (day is None) or (
        year is not None and day is not None and not (0 <= year <= 9 and 1 <= day <= 366)  # noqa: PLR2004
    ):
        errors.append(
            FieldError(
                pointer="/unique/issue_day",
                detail="The date of issue is a year's last digit and a day from 1 to 366, or none.",
            )
        )
    if len(unique.bag_tags) not in _TAGS_WRITTEN or any(
        not re.fullmatch(r"[0-9]{13}", tag) for tag in unique.bag_tags
    ):
        errors.append(
            FieldError(pointer="/unique/bag_tags", detail="At most 3 bag tags of 13 digits each.")
        )
    return errors


def _check_security(security: Security) -> list[FieldError]:
    if re.fullmatch(r"[0-9A-Z]", security.type) and re.fullmatch(r"[!-~]{1,255}", security.data):
        return []
    return [FieldError(pointer="/security", detail="A type and 1 to 255 printable characters.")]


def _mismatches(
    record: Leg | Repeated | Unique, patterns: dict[str, str], pointer: str
) -> list[FieldError]:
    return [
        FieldError(
            pointer=f"{pointer}/{name}", detail=f"{getattr(record, name)!r} does not fit here."
        )
        for name, pattern in patterns.items()
        if not re.fullmatch(pattern, getattr(record, name))
    ]
