"""The SSIM reader and writer."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pss_inventory.ssim import (
    Carrier,
    CarrierSchedule,
    FlightLeg,
    Header,
    Reading,
    ScheduleFile,
    SegmentElement,
    UnwritableError,
    read,
    write,
)

VECTORS = Path(__file__).parents[4] / "shared" / "vectors" / "ssim7"


def leg(**changes: object) -> FlightLeg:
    """Make a leg that can be written, with these changes."""
    usual = FlightLeg(
        carrier="Q1",
        flight_number=101,
        operates_from=date(2026, 10, 25),
        operates_until=date(2027, 3, 27),
        days=(1, 2, 3, 4, 5, 6, 7),
        origin="VIE",
        passenger_departure=430,
        departure_utc_variation=60,
        destination="LHR",
        passenger_arrival=520,
        arrival_utc_variation=0,
        aircraft_type="320",
        configuration="C24Y150",
        departure_day=0,
        arrival_day=0,
    )
    return replace(usual, **changes)


def schedule_file(*legs: FlightLeg, **carrier: object) -> ScheduleFile:
    """Make a file of one carrier with these legs."""
    schedule = CarrierSchedule(carrier=Carrier(carrier="Q1", **carrier), legs=list(legs))
    return ScheduleFile(header=Header(), schedules=[schedule])


def written(*legs: FlightLeg) -> list[str]:
    """Write a file with these legs and give its lines."""
    return write(schedule_file(*legs)).decode().splitlines()


def edited(lines: list[str], line: int, column: int, text: str) -> Reading:
    """Read the lines with `text` standing at that line and column instead."""
    old = lines[line - 1]
    new = old[: column - 1] + text + old[column - 1 + len(text) :]
    return read("\n".join([*lines[: line - 1], new, *lines[line:]]).encode())


def vector(name: str) -> bytes:
    """Read a published schedule file; skip where they are not at hand."""
    path = VECTORS / name
    if not path.is_file():
        pytest.skip(f"the published schedule files are not at {VECTORS}")
    return path.read_bytes()


def test_published_file_gives_every_leg() -> None:
    """A real file of 547 lines gives its 514 legs without an error."""
    reading = read(vector("01.txt"))
    assert 514 == len(reading.file.legs)
    assert [] == reading.errors


def test_published_file_is_written_back_with_the_same_legs() -> None:
    """What was read from a real file is read again from what the writer makes of it."""
    file = read(vector("01.txt")).file
    again = read(write(file)).file
    assert [replace(one, line=0) for one in file.legs] == [
        replace(one, line=0) for one in again.legs
    ]


def test_published_file_that_breaks_the_rules_is_read_with_findings() -> None:
    """The deviating file gives its three legs, their elements, and says what is missing."""
    reading = read(vector("03.txt"))
    assert [4331, 4331, 1234] == [one.flight_number for one in reading.file.legs]
    assert [20, 21, 26] == [element.dei for element in reading.file.legs[0].elements]
    assert [(16, 1)] == [(one.line, one.column) for one in reading.findings]


@pytest.mark.parametrize(
    ("column", "text", "expected"),
    [
        (3, "---", 3),
        (6, "12X4", 6),
        (15, "32OCT26", 15),
        (22, "25XXX26", 22),
        (29, "7654321", 29),
        (29, "       ", 29),
        (36, "7", 36),
        (37, "V1E", 37),
        (40, "2460", 40),
        (62, "25  ", 62),
    ],
)
def test_unusable_column_is_an_error_at_its_place(column: int, text: str, expected: int) -> None:
    """A leg with an unreadable column is left out, named by line and column; others stay."""
    lines = written(leg(), leg(flight_number=102))
    reading = edited(lines, 11, column, text)
    assert [(11, expected)] == [(one.line, one.column) for one in reading.errors]
    assert [102] == [one.flight_number for one in reading.file.legs]


@pytest.mark.parametrize(("column", "text"), [(48, "*0100"), (193, "X"), (195, "00000X")])
def test_doubtful_column_is_a_warning_and_the_leg_stays(column: int, text: str) -> None:
    """A column that the schedule does not depend on only warns."""
    reading = edited(written(leg()), 11, column, text)
    assert (11, column, "warning") in [(f.line, f.column, f.severity) for f in reading.findings]
    assert [] == reading.errors
    assert 1 == len(reading.file.legs)


def test_wrong_serial_number_is_a_warning() -> None:
    """A serial number out of order is reported once, and counting goes on from it."""
    reading = edited(written(leg(), leg(flight_number=102)), 11, 195, "000077")
    assert [(11, 195), (12, 195)] == [
        (one.line, one.column) for one in reading.findings if one.column == 195
    ][:2]
    assert [] == reading.errors


def test_short_line_is_read_as_if_filled_with_blanks() -> None:
    """A line whose trailing blanks were cut off warns and is used."""
    lines = written(leg(configuration="", departure_day=None, arrival_day=None))
    lines[10] = lines[10][:75]
    reading = read("\n".join(lines).encode())
    assert (11, 76) in [(one.line, one.column) for one in reading.findings]
    assert 1 == len(reading.file.legs)


def test_long_line_is_an_error() -> None:
    """A line with text past column 200 has shifted columns and is not trusted."""
    lines = written(leg())
    lines[10] = lines[10][:70] + "XX" + lines[10][70:]
    reading = read("\n".join(lines).encode())
    assert [(11, 201)] == [(one.line, one.column) for one in reading.errors]
    assert [] == reading.file.legs


def test_carriage_returns_and_bare_records_read_alike() -> None:
    """Line ends of any system, or none at all, give the same legs."""
    raw = write(schedule_file(leg(), leg(flight_number=102)))
    expected = [101, 102]
    for variant in (raw, raw.replace(b"\n", b"\r\n"), raw.replace(b"\n", b"")):
        assert expected == [one.flight_number for one in read(variant).file.legs]


def test_open_end_and_fortnightly_survive() -> None:
    """00XXX00 is an open end and frequency rate 2 is fortnightly, both ways."""
    lines = written(leg(operates_until=None, frequency_rate=2))
    assert "00XXX00" == lines[10][21:28]
    assert "2" == lines[10][35]
    (back,) = read("\n".join(lines).encode()).file.legs
    assert (None, 2) == (back.operates_until, back.frequency_rate)


def test_writer_makes_blocks_of_five_records_of_200_columns() -> None:
    """Every line has 200 columns, every block five lines, and the serials count records."""
    lines = written(*[leg(flight_number=number) for number in range(101, 108)])
    assert {200} == {len(line) for line in lines}
    assert 0 == len(lines) % 5
    serials = [line[194:] for line in lines if line[0] != "0"]
    assert [f"{n:06}" for n in range(1, 11)] == serials
    assert [] == read("\n".join(lines).encode()).findings


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "Vie"},
        {"carrier": "Q"},
        {"days": ()},
        {"days": (8,)},
        {"flight_number": 12345},
        {"passenger_departure": 1441},
        {"meals": "TOO LONG FOR IT"},
        {"departure_terminal": "É"},
        {"operates_until": date(2026, 10, 24)},
        {"operates_from": date(1999, 1, 1)},
        {"arrival_day": 10},
    ],
)
def test_writer_refuses_what_the_format_cannot_say(changes: dict[str, object]) -> None:
    """The writer is strict: nothing is cut off or bent."""
    with pytest.raises(UnwritableError):
        write(schedule_file(leg(**changes)))


def test_element_without_its_leg_is_an_error() -> None:
    """A segment element that follows another leg is not given to that one."""
    element = SegmentElement(carrier="Q1", flight_number=101, dei=50, element="Q1 999")
    lines = written(leg(elements=(element,)))
    reading = edited(lines, 12, 6, " 999")
    assert [(12, 1)] == [(one.line, one.column) for one in reading.errors]
    assert () == reading.file.legs[0].elements


@given(st.binary(max_size=1500))
def test_any_bytes_give_a_reading(raw: bytes) -> None:
    """Nothing that can stand in a file makes the reader fail."""
    assert isinstance(read(raw), Reading)


@given(st.data())
def test_damaged_file_gives_a_reading(data: st.DataObject) -> None:
    """Bytes changed anywhere in a good file never make the reader fail."""
    raw = bytearray(write(schedule_file(leg(), leg(leg_sequence=2, origin="LHR"))))
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(read(bytes(raw)), Reading)


PRINTABLE = st.characters(min_codepoint=33, max_codepoint=126)
MINUTES = st.integers(0, 1440)
OFFSETS = st.none() | st.integers(-720, 840)
DATES = st.dates(date(2000, 1, 1), date(2099, 12, 31))
AIRPORTS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3)


@st.composite
def legs(draw: st.DrawFn) -> FlightLeg:
    """Draw any leg that the format can say."""
    first, last = sorted((draw(DATES), draw(DATES)))
    origin, destination = draw(AIRPORTS), draw(AIRPORTS)
    return FlightLeg(
        carrier=draw(st.from_regex(r"\A[A-Z0-9]{2,3}\Z")),
        flight_number=draw(st.integers(1, 9999)),
        operational_suffix=draw(st.sampled_from(["", "A", "Z"])),
        leg_sequence=draw(st.integers(1, 99)),
        operates_from=first,
        operates_until=draw(st.none() | st.just(last)),
        days=tuple(sorted(draw(st.sets(st.integers(1, 7), min_size=1)))),
        frequency_rate=draw(st.sampled_from([1, 2])),
        origin=origin,
        passenger_departure=draw(MINUTES),
        aircraft_departure=draw(st.none() | MINUTES),
        departure_utc_variation=draw(OFFSETS),
        departure_terminal=draw(st.text(PRINTABLE, max_size=2)),
        destination=destination,
        aircraft_arrival=draw(st.none() | MINUTES),
        passenger_arrival=draw(MINUTES),
        arrival_utc_variation=draw(OFFSETS),
        arrival_terminal=draw(st.text(PRINTABLE, max_size=2)),
        aircraft_type=draw(st.text(PRINTABLE, max_size=3)),
        meals=draw(st.text(PRINTABLE, max_size=10)),
        traffic_restriction=draw(st.text(PRINTABLE, max_size=11)),
        configuration=draw(st.text(PRINTABLE, max_size=20)),
        departure_day=draw(st.none() | st.integers(-1, 9)),
        arrival_day=draw(st.none() | st.integers(-1, 9)),
    )


@given(st.lists(legs(), max_size=6), st.sampled_from(["local", "utc"]))
def test_what_is_written_is_read_again(given_legs: list[FlightLeg], mode: str) -> None:
    """Write and read undo each other, without an error."""
    reading = read(write(schedule_file(*given_legs, time_mode=mode)))
    assert [] == reading.errors
    assert given_legs == [replace(one, line=0) for one in reading.file.legs]
    assert mode == reading.file.schedules[0].carrier.time_mode
