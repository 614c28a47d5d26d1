"""The passengers of a new order: what is asked of them, checked against the offer. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated

from msgspec import Meta, Struct, field

from pss_kernel import FieldError, PersonalData, new_id

from .names import name_fault
from .order import OrderPassenger, TravelDocument

__all__ = ["NewPassenger", "check_passengers", "completed_years", "seated_passengers"]

_INFANT_UNTIL = 2  # years; the ages of IATA's passenger types
_CHILD_UNTIL = 12
_AGES = {"adult": "12 or older", "child": "2 to 11", "infant": "younger than 2"}
_DOCUMENT_TYPES = ("passport", "identity_card", "visa")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_OLDEST = 130  # years
_EMAIL = re.compile(r"[!-?A-~\u00a1-\uffff]{1,64}@[\w-]{1,63}(\.[\w-]{1,63}){1,8}")
_PHONE = re.compile(r"\+?[0-9][0-9 ()/.-]{3,24}")
_TITLE = re.compile(r"[^\W\d_]{1,12}\.?")
_DOCUMENT_NUMBER = re.compile(r"[A-Za-z0-9]{1,20}")
_COUNTRY = re.compile(r"[A-Za-z]{2,3}")


# How much is read at all; what the rules below allow is less.
Word = Annotated[str, Meta(max_length=40)]
Text = Annotated[str, Meta(max_length=200)]
Name = Annotated[Text, Meta(description="Required, as in the passport.")]
Email = Annotated[str, Meta(max_length=320)]


class NewPassenger(Struct, kw_only=True):
    """A passenger as sent with a new order.

    Every field has a default and dates are plain text, so that one answer can name all that is
    wrong; decoding would stop at the first.
    """

    type: Annotated[Word, Meta(description="Required: adult, child or infant.")] = ""
    given_name: Annotated[Name, PersonalData("given name")] = ""
    family_name: Annotated[Name, PersonalData("family name")] = ""
    title: Annotated[Word | None, PersonalData("title")] = None
    born_on: Annotated[
        Word | None,
        Meta(description="YYYY-MM-DD", extra_json_schema={"format": "date"}),
        PersonalData("date of birth"),
    ] = None
    email: Annotated[Email | None, PersonalData("e-mail address")] = None
    phone: Annotated[Word | None, PersonalData("telephone")] = None
    documents: Annotated[
        list[TravelDocument], Meta(max_length=5), PersonalData("travel documents")
    ] = field(default_factory=list)


def check_passengers(
    passengers: Sequence[NewPassenger],
    offered_types: Sequence[str],
    *,
    travel: tuple[date, date],
    birth_date_required_for: Sequence[str] = (),
) -> list[FieldError]:
    """List every fault; empty means that the offer can be ordered for these passengers.

    `travel` is the local date of the first and of the last departure.
    """
    errors = list(_party_faults(passengers, offered_types))
    for index, passenger in enumerate(passengers):
        at = f"/passengers/{index}"
        errors += _name_faults(passenger, at)
        errors += _birth_faults(passenger, at, travel, passenger.type in birth_date_required_for)
        errors += _contact_faults(passenger, at)
        for number, document in enumerate(passenger.documents):
            errors += _document_faults(document, f"{at}/documents/{number}", travel[1])
    return errors


def seated_passengers(passengers: Sequence[NewPassenger]) -> list[OrderPassenger]:
    """Give each passenger an id, and each infant, in order, the lap of one adult."""
    accepted = [
        OrderPassenger(
            id=new_id("pax"),
            type=passenger.type,
            given_name=_tidy(passenger.given_name),
            family_name=_tidy(passenger.family_name),
            title=passenger.title,
            born_on=_day(passenger.born_on),
            email=passenger.email,
            phone=passenger.phone,
            documents=passenger.documents,
        )
        for passenger in passengers
    ]
    adults = (passenger for passenger in accepted if passenger.type == "adult")
    infants = (passenger for passenger in accepted if passenger.type == "infant")
    for infant, adult in zip(infants, adults, strict=False):
        infant.infant_of = adult.id
    return accepted


def completed_years(born_on: date, on: date) -> int:
    """Age in whole years; somebody born on 29 February has the birthday on 1 March."""
    before_birthday = (on.month, on.day) < (born_on.month, born_on.day)
    return on.year - born_on.year - int(before_birthday)


def _day(text: str | None) -> date | None:
    """Read a date as `YYYY-MM-DD`; None for anything else."""
    if text is None or not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _tidy(name: str) -> str:
    return " ".join(name.split())


def _party_faults(
    passengers: Sequence[NewPassenger], offered_types: Sequence[str]
) -> Iterator[FieldError]:
    wanted = Counter(offered_types)
    for index, passenger in enumerate(passengers):
        at = f"/passengers/{index}/type"
        if passenger.type not in _AGES:
            yield FieldError(
                pointer=at, code="unknown-type", detail="The type is adult, child or infant."
            )
        elif wanted[passenger.type] == 0:
            yield FieldError(
                pointer=at,
                code="not-in-offer",
                detail=f"The offer is for {_party(offered_types)}; this {passenger.type} is extra.",
            )
        else:
            wanted[passenger.type] -= 1
    missing = list(wanted.elements())
    if missing:
        yield FieldError(
            pointer="/passengers",
            code="passengers-missing",
            detail=f"The offer is for {_party(offered_types)}; {_party(missing)} missing.",
        )
    counts = Counter(passenger.type for passenger in passengers)
    if counts["infant"] > counts["adult"]:
        yield FieldError(
            pointer="/passengers",
            code="too-many-infants",
            detail="Each infant travels on the lap of an adult of its own.",
        )


def _party(types: Sequence[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in Counter(types).items())


def _name_faults(passenger: NewPassenger, at: str) -> Iterator[FieldError]:
    for name in ("given_name", "family_name"):
        fault = name_fault(getattr(passenger, name))
        if fault:
            yield FieldError(pointer=f"{at}/{name}", code=fault[0], detail=fault[1])
    if passenger.title is not None and not _TITLE.fullmatch(passenger.title):
        yield FieldError(
            pointer=f"{at}/title",
            code="invalid-title",
            detail="A title is a word such as Dr or Ms.",
        )


def _birth_faults(
    passenger: NewPassenger, at: str, travel: tuple[date, date], required: bool
) -> Iterator[FieldError]:
    pointer = f"{at}/born_on"
    if passenger.born_on is None:
        if required:
            yield FieldError(
                pointer=pointer,
                code="required",
                detail=f"The date of birth of each {passenger.type} is needed.",
            )
        return
    born_on = _day(passenger.born_on)
    if born_on is None:
        yield FieldError(
            pointer=pointer, code="invalid-date", detail="A date is written YYYY-MM-DD."
        )
        return
    first, last = (completed_years(born_on, day) for day in travel)
    if first < 0 or first > _OLDEST:
        yield FieldError(
            pointer=pointer, code="invalid-date", detail="Nobody of that age travels then."
        )
        return
    if passenger.type in _AGES and not _fits(passenger.type, first, last):
        yield FieldError(
            pointer=pointer,
            code="age-mismatch",
            detail=f"The age is {first} when the journey begins and {last} when it ends; "
            f"of type {passenger.type} is who is {_AGES[passenger.type]}.",
        )


def _fits(passenger_type: str, first: int, last: int) -> bool:
    """Apply the industry's ages, in completed years on the first and the last day of travel.

    A fare is by the age when the journey begins. An infant must stay one to its end (at two
    years a child needs a seat), so whoever turns two on the way travels as a child throughout.
    """
    if passenger_type == "adult":
        return first >= _CHILD_UNTIL
    if passenger_type == "child":
        return first < _CHILD_UNTIL and last >= _INFANT_UNTIL
    return last < _INFANT_UNTIL


def _contact_faults(passenger: NewPassenger, at: str) -> Iterator[FieldError]:
    if passenger.email is not None and not _EMAIL.fullmatch(passenger.email):
        yield FieldError(
            pointer=f"{at}/email", code="invalid-email", detail="This is not an e-mail address."
        )
    if passenger.phone is not None and not _PHONE.fullmatch(passenger.phone):
        yield FieldError(
            pointer=f"{at}/phone",
            code="invalid-phone",
            detail="Write the number with its country code, such as +43 1 234567.",
        )


def _document_faults(document: TravelDocument, at: str, last_day: date) -> Iterator[FieldError]:
    if document.type not in _DOCUMENT_TYPES:
        yield FieldError(
            pointer=f"{at}/type",
            code="unknown-type",
            detail="The type is passport, identity_card or visa.",
        )
    if not _DOCUMENT_NUMBER.fullmatch(document.number):
        yield FieldError(
            pointer=f"{at}/number",
            code="invalid-number",
            detail="A document's number has 1 to 20 letters and digits.",
        )
    for name in ("issuing_country", "nationality"):
        country = getattr(document, name)
        if country is not None and not _COUNTRY.fullmatch(country):
            yield FieldError(
                pointer=f"{at}/{name}",
                code="invalid-country",
                detail="A country is its two- or three-letter code (ISO 3166-1).",
            )
    if document.expires_on is not None and document.expires_on < last_day:
        yield FieldError(
            pointer=f"{at}/expires_on",
            code="document-expires",
            detail=f"The document must be valid to the end of the journey, {last_day}.",
        )
