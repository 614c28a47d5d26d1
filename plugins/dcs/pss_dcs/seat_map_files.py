"""An airline's seat maps as TOML: checked with every error at once, each with line and mend."""

import re
import tomllib
from pathlib import Path
from typing import Any

from msgspec import convert

from pss_kernel import FileFinding

from .seat_map import CABINS, SeatMap

__all__ = ["check_seat_map", "read_seat_map"]

_KEYS = {"cabin", "rows", "columns", "blocked", "exit_rows", "skip_rows"}
_LAST_ROW = 999  # a boarding pass has three digits for it
_Fault = tuple[int | None, str | None, str, str]
"""Index of the cabin (None: the file itself), key, what is wrong, how to mend it."""


def read_seat_map(path: Path) -> SeatMap:
    """Return the seat map in a file that `check_seat_map` found nothing wrong with."""
    return convert(tomllib.loads(path.read_text(encoding="utf-8")), SeatMap)


def check_seat_map(path: Path) -> list[FileFinding]:
    """Everything that is wrong with a seat map's file."""
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        return [FileFinding(path=path, message=f"This is not UTF-8: {error.reason}.")]
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = (
            (int(n) for n in place.groups()) if place else (len(text.splitlines()) or 1, None)
        )
        return [
            FileFinding(
                path=path, line=line, column=column, message="This is not TOML.",
                mend=f"{str(error).partition(' (at')[0]}.",
            )
        ]  # fmt: skip
    return [
        FileFinding(path=path, line=_line(text, index, key), message=message, mend=mend)
        for index, key, message, mend in _faults(tables)
    ]


def _faults(tables: dict[str, Any]) -> list[_Fault]:
    faults: list[_Fault] = []
    aircraft_type = tables.get("aircraft_type")
    if not isinstance(aircraft_type, str) or not re.fullmatch("[A-Z0-9]{3}", aircraft_type):
        faults.append(
            (None, "aircraft_type", "The aircraft type is missing or has not three characters.",
             'Write IATA\'s code, such as aircraft_type = "320".')
        )  # fmt: skip
    faults += [
        (None, key, f"Nothing is known about {key!r}.", "Remove it, or correct its name.")
        for key in tables
        if key not in {"aircraft_type", "cabin"}
    ]
    cabins = tables.get("cabin")
    if not isinstance(cabins, list) or not cabins or not all(isinstance(c, dict) for c in cabins):
        return [
            *faults,
            (None, "cabin", "The seat map has no cabins.", "Add a [[cabin]] table for each."),
        ]
    taken: dict[int, str] = {}
    for index, cabin in enumerate(cabins):
        faults += _cabin_faults(index, cabin, taken)
    return faults


def _cabin_faults(index: int, cabin: dict[str, Any], taken: dict[int, str]) -> list[_Fault]:
    faults: list[_Fault] = [
        (index, key, f"Nothing is known about {key!r} of a cabin.",
         f"A cabin has {', '.join(sorted(_KEYS))}.")
        for key in cabin
        if key not in _KEYS
    ]  # fmt: skip
    if cabin.get("cabin") not in CABINS:
        faults.append(
            (index, "cabin", f"There is no cabin {cabin.get('cabin')!r}.",
             f"Use one of {', '.join(CABINS)}.")
        )  # fmt: skip
    rows = _rows(cabin.get("rows"))
    if rows is None:
        faults.append(
            (index, "rows", "The rows are the first and the last row, both from 1 to 999.",
             "Write them as rows = [1, 4].")
        )  # fmt: skip
    columns = cabin.get("columns")
    if not isinstance(columns, str) or not _good_columns(columns):
        faults.append(
            (index, "columns", "The columns are different letters with a blank for each aisle.",
             'Write them as columns = "ABC DEF".')
        )  # fmt: skip
        columns = None
    faults += _list_faults(index, cabin, rows, columns)
    if rows is not None:
        skipped = cabin.get("skip_rows")
        kept = [row for row in rows if not isinstance(skipped, list) or row not in skipped]
        twice = sorted(row for row in kept if row in taken)
        if twice:
            faults.append(
                (index, "rows", f"Row {twice[0]} is in another cabin too.",
                 "Give each row to one cabin.")
            )  # fmt: skip
        taken.update(dict.fromkeys(kept, str(cabin.get("cabin"))))
    return faults


def _rows(value: object) -> range | None:
    if (
        not isinstance(value, list)
        or len(value) != 2  # noqa: PLR2004 - first and last
        or not all(type(row) is int for row in value)
    ):
        return None
    first, last = value
    return range(first, last + 1) if 1 <= first <= last <= _LAST_ROW else None


def _good_columns(columns: str) -> bool:
    letters = columns.replace(" ", "")
    return bool(re.fullmatch(r"[A-Z]+( [A-Z]+)*", columns)) and len(set(letters)) == len(letters)


def _list_faults(
    index: int, cabin: dict[str, Any], rows: range | None, columns: str | None
) -> list[_Fault]:
    faults: list[_Fault] = []
    for key in ("exit_rows", "skip_rows"):
        value = cabin.get(key, [])
        if not isinstance(value, list) or not all(type(row) is int for row in value):
            faults.append((index, key, f"{key} is a list of rows.", f"Write {key} = [13]."))
        elif rows is not None and any(row not in rows for row in value):
            outside = next(row for row in value if row not in rows)
            faults.append(
                (index, key, f"Row {outside} is not in this cabin.", "Correct or remove it.")
            )
    blocked = cabin.get("blocked", [])
    if not isinstance(blocked, list) or not all(isinstance(seat, str) for seat in blocked):
        faults.append((index, "blocked", "blocked is a list of seats.", 'Write blocked = ["1A"].'))
    elif rows is not None and columns is not None:
        seats = {f"{row}{column}" for row in rows for column in columns.replace(" ", "")}
        faults += [
            (index, "blocked", f"There is no seat {seat!r} in this cabin.", "Correct or remove it.")
            for seat in blocked
            if seat not in seats
        ]
    return faults


def _line(text: str, index: int | None, key: str | None) -> int | None:
    """Return the line of a key in its cabin's table, or of the table, or None."""
    cabin: int | None = None
    table: int | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(r"\s*\[\[\s*cabin\s*\]\]", line):
            cabin = 0 if cabin is None else cabin + 1
            table = number if cabin == index else table
        elif cabin == index and key and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return table
