"""Seat map files: every error at once, each with its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_dcs.seat_map_files import check_seat_map, read_seat_map

GOOD = """\
aircraft_type = "320"

[[cabin]]
cabin = "business"
rows = [1, 4]
columns = "AC DF"
blocked = ["1A"]

[[cabin]]
cabin = "economy"
rows = [5, 31]
columns = "ABC DEF"
exit_rows = [12, 14]
skip_rows = [13]
"""

BAD = """\
aircraft_type = "A320"
colour = "blue"

[[cabin]]
cabin = "salon"
rows = [4, 1]
columns = "AB  CC"
seats = 3

[[cabin]]
cabin = "economy"
rows = [5, 31]
columns = "ABC DEF"
exit_rows = [40]
skip_rows = "13"
blocked = ["5A", "5X"]

[[cabin]]
cabin = "economy"
rows = [31, 33]
columns = "AC DF"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "320.toml"


def test_a_good_file_is_read(path: Path) -> None:
    """Rows, columns and what they are like."""
    path.write_text(GOOD, encoding="utf-8")
    assert check_seat_map(path) == []
    seats = read_seat_map(path).seats
    assert len(seats) == 4 * 4 + 26 * 6
    assert seats["1A"].blocked
    assert seats["14F"].exit_row
    assert "13A" not in seats


def test_every_error_is_found_with_its_line(path: Path) -> None:
    """One look at the findings is enough to mend the file."""
    path.write_text(BAD, encoding="utf-8")
    findings = check_seat_map(path)
    assert sorted((one.line or 0, one.message) for one in findings) == [
        (1, "The aircraft type is missing or has not three characters."),
        (2, "Nothing is known about 'colour'."),
        (5, "There is no cabin 'salon'."),
        (6, "The rows are the first and the last row, both from 1 to 999."),
        (7, "The columns are different letters with a blank for each aisle."),
        (8, "Nothing is known about 'seats' of a cabin."),
        (14, "Row 40 is not in this cabin."),
        (15, "skip_rows is a list of rows."),
        (16, "There is no seat '5X' in this cabin."),
        (20, "Row 31 is in another cabin too."),
    ]
    assert all(one.mend for one in findings)


@pytest.mark.parametrize(
    ("text", "line"), [("aircraft_type =", 1), ('a = 1\n[[cabin]\nb = "2"', 2)]
)
def test_what_is_not_toml_is_said(path: Path, text: str, line: int) -> None:
    """The place of the mistake is given."""
    path.write_text(text, encoding="utf-8")
    (finding,) = check_seat_map(path)
    assert finding.line == line


@given(raw=st.binary(max_size=80))
def test_any_bytes_give_findings(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    """No file crashes the check."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(raw)
    assert check_seat_map(path)


@given(
    rows=st.one_of(st.integers(), st.text(max_size=3), st.lists(st.integers(-1, 1000), max_size=3)),
    columns=st.one_of(st.integers(), st.text("ABC ", max_size=6)),
)
def test_a_file_without_findings_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, rows: object, columns: object
) -> None:
    """What passes the check makes a seat map."""
    path = tmp_path_factory.getbasetemp() / "some.toml"
    cabin = f'[[cabin]]\ncabin = "economy"\nrows = {rows!r}\ncolumns = {columns!r}\n'
    path.write_text(f'aircraft_type = "320"\n{cabin}', encoding="utf-8")
    if not check_seat_map(path):
        assert read_seat_map(path).seats
