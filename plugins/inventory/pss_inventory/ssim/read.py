"""The lenient reader: any bytes give records and findings, never an exception."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

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
from .records import (
    Carrier,
    CarrierSchedule,
    Finding,
    FlightLeg,
    Header,
    Reading,
    ScheduleFile,
    SegmentElement,
    Severity,
    Trailer,
)

__all__ = ["read"]

MOST_FINDINGS = 1000
LARGEST_SERIAL = 999_999
END_OF_SET_COLUMN = 194
SERIAL_CHECK_COLUMN = 188
DAYS_COLUMN = 29
PERIOD_COLUMN = 15
PERIOD_END_COLUMN = 22

_PRINTABLE = {code: chr(code) if 32 <= code < 127 else "?" for code in range(256)}  # noqa: PLR2004


def read(raw: bytes) -> Reading:
    """Read a chapter 7 file.

    Every record that can be used is in the answer's `file`; every problem is in its `findings`
    with line and column: the first thousand errors and the first thousand warnings.
    """
    return _Reader().read(raw)


class _Reader:
    """One pass over a file: what was read, what is expected next and what was wrong."""

    def __init__(self) -> None:
        self.file = ScheduleFile()
        self.findings: list[Finding] = []
        self.schedule: CarrierSchedule | None = None
        self.elements: list[SegmentElement] = []
        self.serial = 0
        self.line = 0
        self.found: Counter[Severity] = Counter()

    def read(self, raw: bytes) -> Reading:
        for self.line, text in _lines(raw):
            self._record(text)
        self._close_leg()
        if self.line == 0:
            self._find(1, "the file is empty")
        elif self.schedule is not None:
            # What was cut off is unknown: its flights would be withdrawn without a word.
            self._find(1, "the file ends without a trailer (record type 5)")
        elif not self.file.schedules:
            self._find(1, "the file has no carrier's schedule (record type 2)")
        for severity, count in self.found.items():
            if count > MOST_FINDINGS:
                rest = f"{count - MOST_FINDINGS} further {severity}s are not listed"
                self.findings.append(Finding(self.line, 1, rest, severity))
        return Reading(file=self.file, findings=self.findings)

    def _find(self, column: int, message: str, severity: Severity = "error") -> None:
        self.found[severity] += 1
        if self.found[severity] <= MOST_FINDINGS:
            self.findings.append(Finding(self.line, column, message, severity))

    def _record(self, text: str) -> None:
        clean = text.translate(_PRINTABLE)
        if clean != text:
            column = next(i for i, (a, b) in enumerate(zip(clean, text, strict=True), 1) if a != b)
            self._find(column, "a character is not printable ASCII; read as '?'", "warning")
        kind = clean[:1]
        if kind == "0":
            if clean.strip("0 "):
                self._find(1, "a filler line must hold zeros only", "warning")
            return
        if kind not in _RECORDS:
            self._find(1, f"there is no record type {kind!r}; 1 to 5 and zero filler are known")
            return
        if len(clean) > WIDTH and clean[WIDTH:].strip():
            self._find(WIDTH + 1, f"the record has {len(clean)} columns instead of {WIDTH}")
            return
        if len(clean) != WIDTH:
            self._find(
                min(len(clean), WIDTH) + 1,
                f"the record has {len(clean)} columns instead of {WIDTH}",
                "warning",
            )
        padded = clean.ljust(WIDTH)[:WIDTH]
        self._check_serial(padded)
        _RECORDS[kind](self, padded)

    def _check_serial(self, text: str) -> None:
        self.serial = self.serial % LARGEST_SERIAL + 1
        given = text[SERIAL_COLUMN - 1 :]
        if not (given.isascii() and given.isdigit()):
            self._find(SERIAL_COLUMN, f"{given!r} is not a record serial number", "warning")
        elif int(given) != self.serial:
            self._find(
                SERIAL_COLUMN, f"serial number {given} where {self.serial:06} follows", "warning"
            )
            self.serial = int(given)

    def _fields(self, text: str, columns: tuple[Column, ...]) -> dict[str, Any] | None:
        """Read the record's fields, without the unreadable ones; None when unusable."""
        fields: dict[str, Any] = {}
        usable = True
        for name, first, last, codec, required in columns:
            try:
                fields[name] = codec.read(text[first - 1 : last])
            except ValueError as error:
                self._find(first, str(error), "error" if required else "warning")
                usable = usable and not required
        return fields if usable else None

    def add_header(self, text: str) -> None:
        fields = self._fields(text, HEADER_COLUMNS)
        if self.file.header is not None or self.file.schedules:
            self._find(1, "a header (record type 1) belongs at the start", "warning")
        if fields is not None and self.file.header is None:
            self.file.header = Header(**fields)

    def add_carrier(self, text: str) -> None:
        self._close_leg()
        if self.file.header is None and not self.file.schedules:
            self._find(1, "no header (record type 1) came before", "warning")
        if self.schedule is not None:
            self._find(1, "the schedule before has no trailer (record type 5)")
        fields = self._fields(text, CARRIER_COLUMNS)
        if fields is not None:
            self._open(Carrier(**fields))

    def _open(self, carrier: Carrier) -> CarrierSchedule:
        self.schedule = CarrierSchedule(carrier=carrier)
        self.file.schedules.append(self.schedule)
        return self.schedule

    def add_leg(self, text: str) -> None:
        self._close_leg()
        fields = self._fields(text, LEG_COLUMNS)
        if fields is None:
            return
        leg = FlightLeg(**fields, line=self.line)
        schedule = self.schedule
        if schedule is None:
            self._find(1, "no carrier (record type 2) came before; read as local time")
            schedule = self._open(Carrier(carrier=leg.carrier))
        elif schedule.carrier.carrier != leg.carrier:
            self._find(3, f"{leg.carrier} in the schedule of {schedule.carrier.carrier}", "warning")
        if leg.operates_until is not None and leg.operates_until < leg.operates_from:
            self._find(PERIOD_END_COLUMN, "the period ends before it begins")
            return
        if leg.origin == leg.destination:
            self._find(55, f"the leg ends where it begins, in {leg.origin}", "warning")
        self._check_period(leg, schedule.carrier)
        schedule.legs.append(leg)

    def _check_period(self, leg: FlightLeg, carrier: Carrier) -> None:
        if carrier.valid_from is not None and leg.operates_from < carrier.valid_from:
            self._find(PERIOD_COLUMN, "the period begins before the carrier's does", "warning")
        if carrier.valid_until is not None and (
            leg.operates_until is None or leg.operates_until > carrier.valid_until
        ):
            self._find(PERIOD_END_COLUMN, "the period ends after the carrier's does", "warning")
        if leg.operates_until is not None:
            span = (leg.operates_until - leg.operates_from).days
            first = leg.operates_from.isoweekday()
            met = {(first + day - 1) % 7 + 1 for day in range(min(span, 6) + 1)}
            if not met & set(leg.days):
                self._find(DAYS_COLUMN, "no day of operation falls within the period", "warning")

    def add_element(self, text: str) -> None:
        fields = self._fields(text, ELEMENT_COLUMNS)
        if fields is None:
            return
        element = SegmentElement(**fields)
        leg = self.schedule.legs[-1] if self.schedule and self.schedule.legs else None
        if leg is None or (leg.carrier, leg.flight_number, leg.leg_sequence) != (
            element.carrier,
            element.flight_number,
            element.leg_sequence,
        ):
            self._find(1, "a segment element belongs after the leg it is about")
            return
        self.elements.append(element)

    def _close_leg(self) -> None:
        """Give the elements read since the last leg to that leg."""
        if self.elements and self.schedule is not None:
            leg = self.schedule.legs[-1]
            self.schedule.legs[-1] = replace(leg, elements=tuple(self.elements))
        self.elements = []

    def add_trailer(self, text: str) -> None:
        self._close_leg()
        fields = self._fields(text, TRAILER_COLUMNS)
        if fields is None:
            return
        mark = text[END_OF_SET_COLUMN - 1]
        if mark not in {"C", "E"}:
            self._find(END_OF_SET_COLUMN, f"{mark!r} is neither C (continues) nor E", "warning")
        if fields["serial_check"] != f"{(self.serial - 1) % (LARGEST_SERIAL + 1):06}":
            self._find(SERIAL_CHECK_COLUMN, "the serial check is not the number before", "warning")
        if self.schedule is None:
            self._find(1, "a trailer without a carrier (record type 2)", "warning")
            return
        self.schedule.trailer = Trailer(**fields, ends=mark != "C")
        self.schedule = None


_RECORDS = {
    "1": _Reader.add_header,
    "2": _Reader.add_carrier,
    "3": _Reader.add_leg,
    "4": _Reader.add_element,
    "5": _Reader.add_trailer,
}


def _lines(raw: bytes) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not blank, numbered; bare 200-byte records are cut up."""
    text = raw.decode("latin-1")
    if "\n" not in text and "\r" not in text and len(text) > WIDTH:
        lines = [text[start : start + WIDTH] for start in range(0, len(text), WIDTH)]
    else:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for index, line in enumerate(lines, start=1):
        if line.strip(" \t\0\x1a"):  # the last is the end-of-file mark of old systems
            yield index, line
