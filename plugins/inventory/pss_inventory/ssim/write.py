"""The strict writer: records of exactly 200 columns, serial-numbered, in blocks of five."""

from msgspec import Struct

from .layout import (
    CARRIER_COLUMNS,
    ELEMENT_COLUMNS,
    HEADER_COLUMNS,
    LEG_COLUMNS,
    SERIAL_COLUMN,
    TRAILER_COLUMNS,
    WIDTH,
    Column,
)
from .records import CarrierSchedule, Header, ScheduleFile, Trailer

__all__ = ["UnwritableError", "write"]

RECORDS_PER_BLOCK = 5
LARGEST_SERIAL = 999_999
END_OF_SET_COLUMN = 194


class UnwritableError(ValueError):
    """A record holds something that the format has no way to say."""


class _Lines:
    """The lines so far, and the serial number of the last record."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.serial = 0

    def add(self, kind: str, record: Struct, columns: tuple[Column, ...], **marks: str) -> None:
        cells = [" "] * WIDTH
        cells[0] = kind
        for name, first, last, codec, _ in columns:
            value = marks.get(name, getattr(record, name))
            try:
                text = codec.write(value)
            except ValueError as error:
                raise UnwritableError(f"record {kind}, {name} (column {first}): {error}") from error
            if len(text) > last - first + 1:
                raise UnwritableError(
                    f"record {kind}, {name} (column {first}): {text!r} is too long"
                )
            cells[first - 1 : first - 1 + len(text)] = text
        self._number(cells)

    def _number(self, cells: list[str]) -> None:
        self.serial += 1
        if self.serial > LARGEST_SERIAL:
            raise UnwritableError(f"a file holds at most {LARGEST_SERIAL} records")
        cells[SERIAL_COLUMN - 1 :] = f"{self.serial:06}"
        self.lines.append("".join(cells))

    def mark(self, column: int, letter: str) -> None:
        line = self.lines[-1]
        self.lines[-1] = line[: column - 1] + letter + line[column:]

    def fill_block(self) -> None:
        missing = -len(self.lines) % RECORDS_PER_BLOCK
        self.lines.extend(["0" * WIDTH] * missing)


def write(file: ScheduleFile) -> bytes:
    """Give the file as bytes, each line ending with a line feed.

    Serial numbers, serial checks and continuation marks are made here. Raises UnwritableError.
    """
    if not file.schedules:
        raise UnwritableError("a file needs at least one carrier's schedule")
    out = _Lines()
    out.add("1", file.header or Header(), HEADER_COLUMNS)
    out.fill_block()
    for schedule in file.schedules:
        _write_schedule(out, schedule, ends=schedule is file.schedules[-1])
    return ("\n".join(out.lines) + "\n").encode("ascii")


def _write_schedule(out: _Lines, schedule: CarrierSchedule, *, ends: bool) -> None:
    out.add("2", schedule.carrier, CARRIER_COLUMNS)
    out.fill_block()
    for leg in schedule.legs:
        if leg.operates_until is not None and leg.operates_until < leg.operates_from:
            raise UnwritableError(f"record 3, operates_until: before {leg.operates_from}")
        out.add("3", leg, LEG_COLUMNS)
        for element in leg.elements:
            out.add("4", element, ELEMENT_COLUMNS)
    out.fill_block()
    trailer = schedule.trailer or Trailer(carrier=schedule.carrier.carrier)
    out.add("5", trailer, TRAILER_COLUMNS, serial_check=f"{out.serial:06}")
    out.mark(END_OF_SET_COLUMN, "E" if ends else "C")
    out.fill_block()
