"""Any text gives a result or a typed error; what is written is read back."""

import string
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pss_dcs import bcbp
from pss_kernel import Invalid

LETTERS = string.ascii_uppercase
ALNUM = LETTERS + string.digits


def words(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most)


digits = st.integers
repeated = st.builds(
    bcbp.Repeated,
    airline_numeric_code=st.one_of(st.just(""), words(string.digits, 3, 3)),
    document_number=st.one_of(st.just(""), words(string.digits, 10, 10)),
    selectee=st.sampled_from(["", "0", "1"]),
    document_verification=st.sampled_from(["", "0", "1", "2"]),
    marketing_carrier=st.one_of(st.just(""), words(ALNUM, 2, 3)),
    frequent_flyer_airline=st.one_of(st.just(""), words(ALNUM, 2, 3)),
    frequent_flyer_number=words(ALNUM, 0, 16),
    id_ad=st.sampled_from(["", "0", "N"]),
    baggage_allowance=st.sampled_from(["", "20K", "1PC", "0PC"]),
    fast_track=st.sampled_from(["", "Y", "N"]),
)
legs = st.builds(
    bcbp.Leg,
    booking_reference=words(ALNUM, 5, 7),
    origin=words(LETTERS, 3, 3),
    destination=words(LETTERS, 3, 3),
    carrier=words(ALNUM, 2, 3),
    flight_number=st.builds("{:04d}{}".format, digits(0, 9999), st.sampled_from(["", "D"])),
    day_of_year=digits(1, 366),
    compartment=words(LETTERS, 1, 1),
    seat=st.one_of(
        st.sampled_from(["", "INF"]),
        st.builds("{:03d}{}".format, digits(1, 99), st.sampled_from("ABCDEF")),
    ),
    sequence=st.builds("{:04d}{}".format, digits(1, 9999), st.sampled_from(["", "A"])),
    status=st.sampled_from("0123456789A"),
    repeated=st.one_of(st.none(), repeated),
    airline_use=words(ALNUM + "*/- ", 0, 40),
)
unique = st.builds(
    bcbp.Unique,
    passenger_description=st.sampled_from(["", "0", "1", "3", "4"]),
    check_in_source=st.sampled_from(["", "W", "O"]),
    issuance_source=st.sampled_from(["", "W", "M"]),
    issue_year=digits(0, 9),
    issue_day=digits(1, 366),
    document_type=st.sampled_from(["", "B"]),
    issuer=st.one_of(st.just(""), words(ALNUM, 2, 3)),
    bag_tags=st.lists(words(string.digits, 13, 13), max_size=3),
)
names = st.builds("{}/{}".format, words(LETTERS, 1, 9), words(LETTERS, 1, 10))
passes = st.builds(
    bcbp.Bcbp,
    passenger_name=names,
    electronic_ticket=st.sampled_from(["E", "L"]),
    unique=st.one_of(st.none(), unique),
    legs=st.lists(legs, min_size=1, max_size=4),
    security=st.one_of(
        st.none(),
        st.builds(bcbp.Security, type=st.just("1"), data=words(ALNUM, 1, 100)),
    ),
)


def without_sizes(read: bcbp.Bcbp) -> bcbp.Bcbp:
    """Leave out what only a reader knows."""
    return replace(
        read,
        version=None,
        unique=read.unique and replace(read.unique, size=0),
        legs=[
            replace(leg, size=0, repeated=leg.repeated and replace(leg.repeated, size=0))
            for leg in read.legs
        ],
        security=read.security and replace(read.security, size=0),
    )


def read_or_refuse(text: str) -> None:
    """Read the text; any error but a typed refusal passes on to the test."""
    code = "bcbp-read"
    try:
        bcbp.read(text, reference=date(2026, 11, 23))
    except Invalid as refusal:
        code = refusal.code
    assert code.startswith("bcbp-")


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text crashes the reader."""
    read_or_refuse(text)


@given(passes, st.data())
def test_a_damaged_pass_is_read_or_refused(written: bcbp.Bcbp, data: st.DataObject) -> None:
    """A pass cut, or with one character changed, is read or refused."""
    text = bcbp.write(written)
    at = data.draw(st.integers(0, len(text) - 1))
    read_or_refuse(text[:at])
    read_or_refuse(text[:at] + data.draw(st.characters()) + text[at + 1 :])


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(raw: bytes) -> None:
    """Bytes of no text at all are read as one character each."""
    read_or_refuse("M1" + raw.decode("latin-1"))


@given(passes)
def test_what_is_written_is_read_back(written: bcbp.Bcbp) -> None:
    """Legs, conditional items, bag tags and security survive the barcode, without a warning."""
    assert written == without_sizes(bcbp.read(bcbp.write(written)))


@given(st.dates(date(2001, 1, 1), date(2099, 1, 1)), st.integers(0, 340), st.integers(0, 6))
def test_a_flight_date_is_found_again(issued: date, ahead: int, late: int) -> None:
    """A pass of the last months, read until a week after departure, gives its flight's date."""
    flight_date = issued + timedelta(days=ahead)
    day = flight_date.timetuple().tm_yday
    scanned = flight_date + timedelta(days=late)
    assert flight_date == bcbp.resolve_flight_date(day, issued, issued)
    assert flight_date == bcbp.resolve_flight_date(day, scanned)
    assert issued == bcbp.resolve_issue_date(issued.year % 10, issued.timetuple().tm_yday, scanned)


def test_the_last_day_of_a_leap_year_waits_for_one() -> None:
    """Day 366 near a year without one has no date."""
    assert bcbp.resolve_flight_date(366, date(2026, 11, 23)) is None
    assert date(2028, 12, 31) == bcbp.resolve_flight_date(366, date(2028, 11, 23))


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_name_can_be_printed(family: str, given_name: str) -> None:
    """A name in any script gives a field that the strict writer takes."""
    name = bcbp.printed_name(family, given_name, "Mrs")
    leg = bcbp.Leg(
        booking_reference="ABC234", origin="VIE", destination="LHR", carrier="Q1",
        flight_number="101", day_of_year=1, compartment="Y", sequence="1", status="1",
    )  # fmt: skip
    assert name == bcbp.read(bcbp.write(bcbp.Bcbp(passenger_name=name, legs=[leg]))).passenger_name


@pytest.mark.parametrize(
    ("family", "given_name", "title", "printed"),
    [
        ("Müller", "Jörg", "Mr", "MUELLER/JOERG MR"),
        ("Groß", "Zoë", None, "GROSS/ZOE"),
        ("O'Neill", "Seán", None, "ONEILL/SEAN"),
        ("Nuñez-Ibáñez", "Ana", None, "NUNEZ IBANEZ/ANA"),
        ("Łukasiewicz", "Ørjan Æneas", "Dr", "LUKASIEWICZ/OERJAN"),
        ("Wolfeschlegelsteinhausen", "Hubert", None, "WOLFESCHLEGELSTEIN/H"),
        ("Щукин", "Юрий", None, "SHCHUKIN/IURII"),
        ("Παπαδόπουλος", "Γιώργος", None, "PAPADOPOYLOS/GIORGOS"),
        ("山田", "", None, "X"),
        ("Mononym", "", "Mr", "MONONYM"),
    ],
)
def test_names_are_written_in_latin_letters(
    family: str, given_name: str, title: str | None, printed: str
) -> None:
    """Letters follow ICAO Doc 9303; what is too long loses title, then given names."""
    assert printed == bcbp.printed_name(family, given_name, title)


def test_the_writer_names_every_wrong_field() -> None:
    """All that a barcode can't carry is refused at once, each with its pointer."""
    wrong = bcbp.Bcbp(
        passenger_name="Müller/Jörg",
        unique=bcbp.Unique(bag_tags=["123"], issue_year=6),
        legs=[
            bcbp.Leg(
                booking_reference="ABC234", origin="vie", destination="LHR", carrier="Q1",
                flight_number="12345", compartment="Y", seat="12", sequence="1", status="1",
            )
        ],
    )  # fmt: skip
    with pytest.raises(Invalid) as refusal:
        bcbp.write(wrong)
    assert [error.pointer for error in refusal.value.errors] == [
        "/passenger_name",
        "/legs/0/origin",
        "/legs/0/flight_number",
        "/legs/0/seat",
        "/legs/0/day_of_year",
        "/unique/issue_day",
        "/unique/bag_tags",
    ]
    assert refusal.value.code == "bcbp-field"
