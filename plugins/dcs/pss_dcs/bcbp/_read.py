"""Reading what scanners deliver: lenient, with a warning for everything overlooked."""

from datetime import date

from pss_kernel import Invalid

from ._dates import resolve_flight_date, resolve_issue_date
from ._records import Bcbp, Leg, Repeated, Security, Unique

__all__ = ["read"]

_LEG_WIDTH = 37
# Airlines do leave out everything after the date, or after the compartment.
_SHORTEST_LEG = 24
_BAG_TAG_WIDTH = 13


class _Cursor:
    """A position in a text; taking past the end gives what is left."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    @property
    def left(self) -> int:
        return len(self.text) - self.position

    def raw(self, width: int) -> str:
        taken = self.text[self.position : self.position + width]
        self.position += len(taken)
        return taken

    def take(self, width: int) -> str:
        return self.raw(width).strip(" ")

    def rest(self) -> str:
        return self.raw(self.left)


def read(text: str, *, reference: date | None = None) -> Bcbp:
    """Read a pass, for any text whatsoever.

    Dates are resolved against `reference` (see `resolve_flight_date`), and stay None without
    it. Raises Invalid with code bcbp-format (not a pass), bcbp-legs (no number of legs),
    bcbp-truncated (a leg ends before its date) or bcbp-size (a leg's size is no number).
    """
    cursor = _Cursor(text.strip("\r\n\0\ufeff"))
    if cursor.raw(1) != "M":
        raise Invalid("A bar-coded boarding pass begins with the letter M.", code="bcbp-format")
    count = cursor.raw(1)
    if count not in tuple("123456789"):
        raise Invalid(
            f"The number of legs is a digit from 1 to 9, not {count!r}.", code="bcbp-legs"
        )
    bcbp = Bcbp(passenger_name=cursor.take(20), electronic_ticket=cursor.take(1), legs=[])
    for number in range(1, int(count) + 1):
        _read_leg(cursor, bcbp, number, last=number == int(count))
    _read_security(cursor, bcbp)
    if reference is not None:
        _resolve_dates(bcbp, reference)
    _note_blanks(bcbp)
    return bcbp


def _read_leg(cursor: _Cursor, bcbp: Bcbp, number: int, *, last: bool) -> None:
    if cursor.left < (_SHORTEST_LEG if last else _LEG_WIDTH):
        raise Invalid(
            f"Leg {number} ends after {cursor.left} of {_LEG_WIDTH} characters.",
            code="bcbp-truncated",
        )
    if cursor.left < _LEG_WIDTH:
        bcbp.warnings.append(
            f"Leg {number} ends after {cursor.left} of {_LEG_WIDTH} characters; "
            "what is missing was read as blank."
        )
    leg = Leg(
        booking_reference=cursor.take(7),
        origin=cursor.take(3),
        destination=cursor.take(3),
        carrier=cursor.take(3),
        flight_number=cursor.take(5),
        day_of_year=_number(cursor.take(3)),
        compartment=cursor.take(1),
        seat=cursor.take(4),
        sequence=cursor.take(5),
        status=cursor.take(1),
    )
    leg.size = _leg_size(cursor.take(2), number)
    bcbp.legs.append(leg)
    if leg.size > cursor.left:
        bcbp.warnings.append(
            f"Leg {number} declares {leg.size} further characters; {cursor.left} follow."
        )
    field = _Cursor(cursor.raw(leg.size))
    if number == 1 and not field.text.startswith(">"):
        leg.airline_use = field.rest()
        return
    if number == 1:
        _read_unique(field, bcbp)
    _read_repeated(field, bcbp, leg, number)
    leg.airline_use = field.rest()


def _leg_size(digits: str, number: int) -> int:
    if not digits:
        return 0
    size = _hexadecimal(digits)
    if size is None:
        raise Invalid(
            f"The size of leg {number} is two hexadecimal digits, not {digits!r}.",
            code="bcbp-size",
        )
    return size


def _read_unique(field: _Cursor, bcbp: Bcbp) -> None:
    field.raw(1)
    bcbp.version = _number(field.take(1))
    items = _sized(field, bcbp, "the unique conditional items")
    if items is None:
        return
    size = len(items.text)
    unique = Unique(
        passenger_description=items.take(1),
        check_in_source=items.take(1),
        issuance_source=items.take(1),
        issue_year=_number(items.take(1)),
        issue_day=_number(items.take(3)),
        document_type=items.take(1),
        issuer=items.take(3),
        size=size,
    )
    tags = [items.take(_BAG_TAG_WIDTH) for _ in range(3)]
    unique.bag_tags = [tag for tag in tags if tag]
    _note_unknown(items, bcbp, "the unique conditional items")
    bcbp.unique = unique


def _read_repeated(field: _Cursor, bcbp: Bcbp, leg: Leg, number: int) -> None:
    items = _sized(field, bcbp, f"the conditional items of leg {number}")
    if items is None:
        return
    leg.repeated = Repeated(
        airline_numeric_code=items.take(3),
        document_number=items.take(10),
        selectee=items.take(1),
        document_verification=items.take(1),
        marketing_carrier=items.take(3),
        frequent_flyer_airline=items.take(3),
        frequent_flyer_number=items.take(16),
        id_ad=items.take(1),
        baggage_allowance=items.take(3),
        fast_track=items.take(1),
        size=len(items.text),
    )
    _note_unknown(items, bcbp, f"the conditional items of leg {number}")


def _sized(field: _Cursor, bcbp: Bcbp, what: str) -> _Cursor | None:
    """Take a part that begins with its size; None when the field is empty or has no size."""
    if not field.left:
        return None
    position = field.position
    size = _hexadecimal(field.raw(2))
    if size is None:
        field.position = position
        bcbp.warnings.append(f"The size of {what} is no hexadecimal number; they were not read.")
        return None
    if size > field.left:
        bcbp.warnings.append(f"The size of {what} is {size}, but {field.left} characters follow.")
    return _Cursor(field.raw(size)) if size else None


def _read_security(cursor: _Cursor, bcbp: Bcbp) -> None:
    if not cursor.left:
        return
    if cursor.text[cursor.position] != "^":
        bcbp.warnings.append(f"{cursor.left} characters after the last leg were not read.")
        return
    cursor.raw(1)
    kind = cursor.take(1)
    size = _hexadecimal(cursor.raw(2))
    data = cursor.rest()
    if size is None or size != len(data):
        bcbp.warnings.append("The security data is not as long as it declares.")
    bcbp.security = Security(type=kind, data=data, size=size or 0)


def _resolve_dates(bcbp: Bcbp, reference: date) -> None:
    unique = bcbp.unique
    issued_on = None
    if unique is not None and unique.issue_year is not None and unique.issue_day is not None:
        issued_on = resolve_issue_date(unique.issue_year, unique.issue_day, reference)
        unique.issued_on = issued_on
        if issued_on is None:
            bcbp.warnings.append(f"There is no day {unique.issue_day} to have been issued on.")
    for number, leg in enumerate(bcbp.legs, start=1):
        if leg.day_of_year is None:
            continue
        leg.flight_date = resolve_flight_date(leg.day_of_year, reference, issued_on)
        if leg.flight_date is None:
            bcbp.warnings.append(f"Leg {number} has no possible date: day {leg.day_of_year}.")


def _note_blanks(bcbp: Bcbp) -> None:
    if not bcbp.passenger_name:
        bcbp.warnings.append("The passenger's name is blank.")
    for number, leg in enumerate(bcbp.legs, start=1):
        blank = [
            name
            for name, value in (
                ("booking reference", leg.booking_reference),
                ("origin", leg.origin),
                ("destination", leg.destination),
                ("carrier", leg.carrier),
                ("flight number", leg.flight_number),
            )
            if not value
        ]
        if leg.day_of_year is None:
            blank.append("date")
        if blank:
            bcbp.warnings.append(f"Leg {number} has no {', '.join(blank)}.")


def _note_unknown(items: _Cursor, bcbp: Bcbp, what: str) -> None:
    if items.left:
        bcbp.warnings.append(f"{items.left} characters at the end of {what} are not known.")


def _number(digits: str) -> int | None:
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _hexadecimal(digits: str) -> int | None:
    known = len(digits) == 2 and set(digits) <= set("0123456789ABCDEFabcdef")  # noqa: PLR2004
    return int(digits, 16) if known else None
