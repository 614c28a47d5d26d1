"""The passengers of a new order, checked against the offer."""

from datetime import date

import pytest

from pss_reservation.order import TravelDocument
from pss_reservation.passengers import (
    NewPassenger,
    check_passengers,
    completed_years,
    seated_passengers,
)

OUT, BACK = date(2026, 11, 23), date(2026, 12, 7)


def person(kind: str = "adult", **facts: object) -> NewPassenger:
    return NewPassenger(
        **{"type": kind, "given_name": "Ada", "family_name": "Keller", **facts}  # type: ignore[arg-type]
    )


def faults(passengers: list[NewPassenger], offered: list[str]) -> list[tuple[str, str]]:
    errors = check_passengers(passengers, offered, travel=(OUT, BACK))
    return [(error.pointer, error.code) for error in errors]


def test_fitting_party() -> None:
    """The offered types, in any order and with good facts, are accepted."""
    party = [
        person("infant", born_on="2025-11-01"),
        person(email="ada@example.org", phone="+43 1 234567", title="Dr"),
        person("child", born_on="2020-02-29"),
    ]
    assert [] == faults(party, ["adult", "child", "infant"])


def test_every_fault_is_named() -> None:
    """One answer names every failing field with its pointer."""
    party = [
        person("pilot", given_name="", family_name="X9"),
        person(
            born_on="2026-02-30",
            email="nobody",
            phone="call me",
            title="D4",
            documents=[TravelDocument(type="card", number="?", issuing_country="Austria")],
        ),
    ]
    assert [
        ("/passengers/0/type", "unknown-type"),
        ("/passengers", "passengers-missing"),
        ("/passengers/0/given_name", "required"),
        ("/passengers/0/family_name", "not-letters"),
        ("/passengers/1/title", "invalid-title"),
        ("/passengers/1/born_on", "invalid-date"),
        ("/passengers/1/email", "invalid-email"),
        ("/passengers/1/phone", "invalid-phone"),
        ("/passengers/1/documents/0/type", "unknown-type"),
        ("/passengers/1/documents/0/number", "invalid-number"),
        ("/passengers/1/documents/0/issuing_country", "invalid-country"),
    ] == faults(party, ["adult", "adult"])


def test_party_differs_from_offer() -> None:
    """Passengers beyond the offer are named one by one, missing ones together."""
    assert [
        ("/passengers/1/type", "not-in-offer"),
        ("/passengers", "passengers-missing"),
    ] == faults([person(), person()], ["adult", "child"])


def test_infant_needs_a_lap() -> None:
    """There are never more infants than adults, whatever was offered."""
    party = [person("infant"), person("infant"), person()]
    assert [("/passengers", "too-many-infants")] == faults(party, ["adult", "infant", "infant"])


@pytest.mark.parametrize(
    ("kind", "born_on", "accepted"),
    [
        ("adult", "2014-11-23", True),  # 12 on the day of departure
        ("adult", "2014-11-24", False),
        ("child", "2014-11-24", True),
        ("child", "2014-11-23", False),
        ("child", "2024-12-07", True),  # turns two on the way: needs a seat for the return
        ("child", "2024-12-08", False),
        ("infant", "2024-12-08", True),
        ("infant", "2024-12-07", False),
        ("infant", "2026-11-23", True),
        ("infant", "2026-11-24", False),  # not born at departure
        ("adult", "1850-01-01", False),
    ],
)
def test_age_fits_type(kind: str, born_on: str, accepted: bool) -> None:
    """The type follows from the age when the journey begins; an infant stays one to its end."""
    party = [person(kind, born_on=born_on)] + ([person()] if kind == "infant" else [])
    found = faults(party, [passenger.type for passenger in party])
    assert accepted == (found == [])


def test_birth_date_can_be_required() -> None:
    """An airline may require the date of birth for some types."""
    errors = check_passengers(
        [person()], ["adult"], travel=(OUT, BACK), birth_date_required_for=["adult"]
    )
    assert [("/passengers/0/born_on", "required")] == [(e.pointer, e.code) for e in errors]


def test_document_outlives_journey() -> None:
    """A travel document is valid on the last day of travel."""
    passport = TravelDocument(number="P1234567", expires_on=date(2026, 12, 6))
    assert [("/passengers/0/documents/0/expires_on", "document-expires")] == faults(
        [person(documents=[passport])], ["adult"]
    )


def test_leap_day_birthday() -> None:
    """Who is born on 29 February is a year older on 1 March."""
    born_on = date(2024, 2, 29)
    assert [1, 2] == [completed_years(born_on, date(2026, *day)) for day in ((2, 28), (3, 1))]


def test_each_infant_has_an_adult() -> None:
    """Infants get adults' laps in order, and each adult holds one."""
    party = [person("infant"), person(), person("infant"), person()]
    one, adult, two, other = seated_passengers(party)
    assert (adult.id, other.id) == (one.infant_of, two.infant_of)
    assert (None, None) == (adult.infant_of, other.infant_of)


def test_names_are_tidied() -> None:
    """Outer and doubled spaces go; the rest stays as it was typed."""
    (kept,) = seated_passengers([person(given_name="  Anna  Maria ")])
    assert "Anna Maria" == kept.given_name
