"""One table of a filing, read key by key; what is wrong is recorded and reading goes on."""

import datetime as dt
import re
from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from pss_kernel import exponent

from .source import KeyPath, TomlSource

__all__ = ["TableReader"]

_DECIMAL = re.compile(r"\d{1,12}(\.\d{1,8})?")


class TableReader:
    """Takes values from a table. A wrong value is recorded and read as its default.

    `finish` records the keys nobody asked for.
    """

    def __init__(self, source: TomlSource, where: KeyPath, table: dict[str, Any]) -> None:
        self.source = source
        self.where = where
        self.table = table
        self._known: set[str] = set()
        self._errors_before = source.errors

    @property
    def sound(self) -> bool:
        """Whether nothing wrong was found in this table so far."""
        return self.source.errors == self._errors_before

    def refuse(self, key: str, message: str, mend: str = "") -> None:
        """Record an error at a key of this table."""
        self.source.refuse((*self.where, key), message, mend)

    def warn(self, key: str, message: str, mend: str = "") -> None:
        """Record what is odd at a key of this table, and yet can be filed."""
        self.source.warn((*self.where, key), message, mend)

    def has(self, key: str) -> bool:
        """Whether the key is there, right or wrong."""
        self._known.add(key)
        return key in self.table

    def text(
        self, key: str, pattern: str = r".+", means: str = "text", default: str | None = None
    ) -> str:
        """A string that matches `pattern` whole; required when there is no default."""
        value = self._value(key, required=default is None, means=means)
        if value is None:
            return default or ""
        if isinstance(value, str) and re.fullmatch(pattern, value):
            return value
        self.refuse(key, f"{key} = {value!r} is not {means}", f"write {key} as {means}")
        return default or ""

    def choice(self, key: str, choices: Iterable[str], default: str | None = None) -> str:
        """One of the words."""
        words = list(choices)
        value = self._value(key, required=default is None, means=" or ".join(words))
        if value is None:
            return default or words[0]
        if value in words:
            return str(value)
        self.refuse(key, f"{key} = {value!r} is not known", f"use {', '.join(words)}")
        return default or words[0]

    def choices(self, key: str, choices: Iterable[str]) -> list[str]:
        """A list of some of the words; absent: none."""
        words = list(choices)
        found = self.codes(key, r".*", f"of {', '.join(words)}")
        for value in found:
            if value not in words:
                self.refuse(key, f"{value!r} in {key} is not known", f"use {', '.join(words)}")
        return found

    def codes(self, key: str, pattern: str, means: str, required: bool = False) -> list[str]:
        """A list of strings that match `pattern`."""
        value = self._value(key, required=required, means=f"a list {means}")
        if value is None:
            return []
        if not isinstance(value, list) or not value:
            self.refuse(key, f"{key} is not a list with entries", f'write {key} = ["…"]')
            return []
        wrong = [v for v in value if not (isinstance(v, str) and re.fullmatch(pattern, v))]
        for entry in wrong:
            self.refuse(key, f"{entry!r} in {key} is not {means}", f"write {means}")
        return [v for v in value if v not in wrong]

    def flag(self, key: str) -> bool:
        """A truth value; absent: false."""
        value = self._value(key, required=False, means="true or false")
        if value is not None and not isinstance(value, bool):
            self.refuse(key, f"{key} = {value!r} is not true or false", "write it without quotes")
        return value is True

    def whole(self, key: str, most: int, default: int = 0) -> int:
        """A whole number from 0 to `most`."""
        value = self._value(key, required=False, means="a whole number")
        if value is None:
            return default
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most:
            return value
        self.refuse(key, f"{key} = {value!r} is not a whole number from 0 to {most}", "write it so")
        return default

    def date(self, key: str) -> dt.date | None:
        """A local date, where there is one."""
        value = self._value(key, required=False, means="a date")
        if value is None or (isinstance(value, dt.date) and not isinstance(value, dt.datetime)):
            return value
        self.refuse(key, f"{key} = {value!r} is not a date", f"write {key} = 2026-10-25, unquoted")
        return None

    def validity(self) -> tuple[dt.date | None, dt.date | None]:
        """`valid_from` and `valid_until`, in order."""
        first, last = self.date("valid_from"), self.date("valid_until")
        if first and last and last < first:
            self.refuse("valid_until", "valid_until is before valid_from", "swap the two dates")
        return first, last

    def amount(self, key: str, currency: str, required: bool = False) -> int | None:
        """Minor units of `currency` from a decimal string; None when absent or wrong."""
        value = self.decimal(key, required=required)
        if value is None or not currency:
            return None
        places = exponent(currency)
        minor = value.scaleb(places)
        if minor != minor.to_integral_value():
            self.refuse(
                key,
                f"{key} = {self.table[key]!r} is finer than {currency}",
                f"{currency} has {places} decimals",
            )
            return None
        return int(minor)

    def decimal(self, key: str, required: bool = False) -> Decimal | None:
        """A decimal string that is not negative; None when absent or wrong."""
        value = self._value(key, required=required, means='a decimal string like "59.00"')
        if value is None:
            return None
        if isinstance(value, str) and _DECIMAL.fullmatch(value):
            return Decimal(value)
        mend = f'write {key} = "{value}", in quotes' if type(value) in (int, float) else ""
        self.refuse(
            key, f"{key} = {value!r} is not a decimal string", mend or f'write {key} = "59.00"'
        )
        return None

    def finish(self) -> None:
        """Record the keys that the format does not have."""
        for key in self.table.keys() - self._known:
            near = get_close_matches(key, self._known, n=1)
            mend = f"did you mean {near[0]}?" if near else f"use {', '.join(sorted(self._known))}"
            self.refuse(key, f"{key} is not a key of this table", mend)

    def _value(self, key: str, *, required: bool, means: str) -> Any:
        self._known.add(key)
        value = self.table.get(key)
        if value is None and required:
            self.refuse(key, f"{key} is missing", f"add {key}: {means}")
        return value
