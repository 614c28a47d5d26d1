"""How single columns of an SSIM record are read and written.

`read` takes the text of the columns, exactly as wide as they are, and raises ValueError with a
sentence for people. `write` gives the text back, not yet padded on the right.
"""

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

__all__ = [
    "AIRPORT",
    "CARRIER",
    "DATE",
    "DATE_VARIATION",
    "DAYS",
    "FREQUENCY",
    "OPEN_DATE",
    "OPTIONAL_DATE",
    "OPTIONAL_TIME",
    "TEXT",
    "TIME",
    "TIME_MODE",
    "UTC_VARIATION",
    "Codec",
    "number",
]

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
OPEN_END = "00XXX00"
MINUTES_PER_DAY = 1440
MINUTES_PER_HOUR = 60
CENTURY = 2000  # two-digit years: the format is younger than 2000 in every file in use
FARTHEST_VARIATION = 9
DESIGNATOR_LENGTHS = (2, 3)


class Codec(NamedTuple):
    """A pair of functions that undo each other on well-formed text."""

    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _capitals(text: str) -> bool:
    return text.isascii() and text.isalpha() and text.isupper()


def _write_text(value: str) -> str:
    if not (value.isascii() and value.isprintable()):
        raise ValueError("only printable ASCII may be written")
    if value != value.rstrip():
        raise ValueError("text must not end with a space")
    return value


def _read_carrier(text: str) -> str:
    code = text.rstrip()
    if len(code) not in DESIGNATOR_LENGTHS or not (code.isascii() and code.isalnum()):
        raise ValueError(f"{text!r} is not an airline designator")
    if code != code.upper():
        raise ValueError(f"{text!r} is not an airline designator: use capital letters")
    return code


def _read_airport(text: str) -> str:
    if not _capitals(text):
        raise ValueError(f"{text!r} is not an airport code of three capital letters")
    return text


@lru_cache(maxsize=4096)
def _read_date(text: str) -> date:
    day, month, year = text[:2], text[2:5], text[5:7]
    if not (_digits(day) and _digits(year) and month in MONTHS):
        raise ValueError(f"{text!r} is not a date like 25OCT26")
    try:
        return date(CENTURY + int(year), MONTHS.index(month) + 1, int(day))
    except ValueError:
        raise ValueError(f"{text!r} is not a day of the calendar") from None


def _write_date(value: date) -> str:
    if not CENTURY <= value.year < CENTURY + 100:
        raise ValueError(f"{value} does not fit a two-digit year")
    return f"{value.day:02}{MONTHS[value.month - 1]}{value.year % 100:02}"


def _read_optional_date(text: str) -> date | None:
    return None if text in {"       ", OPEN_END} else _read_date(text)


def _read_open_date(text: str) -> date | None:
    return None if text == OPEN_END else _read_date(text)


def _read_days(text: str) -> tuple[int, ...]:
    for position, letter in enumerate(text, start=1):
        if letter not in {" ", str(position)}:
            raise ValueError(f"{text!r} is not days of operation like '1 3 5  '")
    if text.isspace():
        raise ValueError("no day of operation is given")
    return tuple(int(letter) for letter in text if letter != " ")


def _write_days(value: tuple[int, ...]) -> str:
    if not value or set(value) - set(range(1, 8)):
        raise ValueError(f"{value} are not days of operation")
    return "".join(str(day) if day in value else " " for day in range(1, 8))


def _read_frequency(text: str) -> int:
    if text not in {" ", "1", "2"}:
        raise ValueError(f"frequency rate {text!r} is neither blank (weekly) nor 2 (fortnightly)")
    return 2 if text == "2" else 1


def _write_frequency(value: int) -> str:
    if value not in {1, 2}:
        raise ValueError(f"{value} is not a frequency rate")
    return "2" if value == 2 else ""  # noqa: PLR2004 -- the rate itself


def _read_time(text: str) -> int:
    if not _digits(text):
        raise ValueError(f"{text!r} is not a time like 0745")
    hours, minutes = int(text[:2]), int(text[2:])
    total = hours * MINUTES_PER_HOUR + minutes
    if minutes >= MINUTES_PER_HOUR or total > MINUTES_PER_DAY:
        raise ValueError(f"{text!r} is not a time of day")
    return total


def _write_time(value: int) -> str:
    if not 0 <= value <= MINUTES_PER_DAY:
        raise ValueError(f"{value} minutes is not a time of day")
    return f"{value // MINUTES_PER_HOUR:02}{value % MINUTES_PER_HOUR:02}"


def _read_optional_time(text: str) -> int | None:
    return None if text.isspace() else _read_time(text)


def _read_utc_variation(text: str) -> int | None:
    if text.isspace():
        return None
    if text[0] not in "+-":
        raise ValueError(f"{text!r} is not a UTC variation like +0100")
    minutes = _read_time(text[1:])
    return -minutes if text[0] == "-" else minutes


def _write_utc_variation(value: int | None) -> str:
    return "" if value is None else ("-" if value < 0 else "+") + _write_time(abs(value))


def _read_date_variation(text: str) -> int | None:
    if text == " ":
        return None
    if text in {"A", "J"}:  # the day before; both letters are met in practice
        return -1
    if not _digits(text):
        raise ValueError(f"date variation {text!r} is neither a digit nor A (the day before)")
    return int(text)


def _write_date_variation(value: int | None) -> str:
    if value is None:
        return ""
    if not -1 <= value <= FARTHEST_VARIATION:
        raise ValueError(f"a date variation of {value} days cannot be written")
    return "A" if value < 0 else str(value)


def _read_time_mode(text: str) -> str:
    if text not in {"L", "U"}:
        raise ValueError(f"time mode {text!r} is neither L (local) nor U (UTC)")
    return "utc" if text == "U" else "local"


def number(width: int, smallest: int = 0, *, fill: str = " ") -> Codec:
    """Make a codec of a right-justified whole number, filled on the left with blanks or zeros."""

    def read(text: str) -> int:
        digits = text.strip()
        if not _digits(digits) or int(digits) < smallest:
            raise ValueError(f"{text!r} is not a number of at least {smallest}")
        return int(digits)

    def write(value: int) -> str:
        text = str(value)
        if value < smallest or len(text) > width:
            raise ValueError(f"{value} does not fit {width} columns")
        return text.rjust(width, fill)

    return Codec(read, write)


def _checked(read: Callable[[str], str], width: int) -> Codec:
    """Text that is written only when it would be read back as it is."""

    def write(value: str) -> str:
        read(value.ljust(width))
        return value

    return Codec(read, write)


TEXT = Codec(str.rstrip, _write_text)
CARRIER = _checked(_read_carrier, 3)
AIRPORT = _checked(_read_airport, 3)
DATE = Codec(_read_date, _write_date)
OPTIONAL_DATE = Codec(_read_optional_date, lambda value: _write_date(value) if value else "")
OPEN_DATE = Codec(_read_open_date, lambda value: _write_date(value) if value else OPEN_END)
DAYS = Codec(_read_days, _write_days)
FREQUENCY = Codec(_read_frequency, _write_frequency)
TIME = Codec(_read_time, _write_time)
OPTIONAL_TIME = Codec(
    _read_optional_time, lambda value: "" if value is None else _write_time(value)
)
UTC_VARIATION = Codec(_read_utc_variation, _write_utc_variation)
DATE_VARIATION = Codec(_read_date_variation, _write_date_variation)
TIME_MODE = Codec(_read_time_mode, lambda value: "U" if value == "utc" else "L")
