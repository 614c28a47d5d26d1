"""Reading fares/*.toml."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import airportsdata

from pss_kernel import FileFinding, Invalid, exponent
from pss_pricing.contracts import MarketFare
from pss_pricing.domain.filed import CABINS, Brand, Discounts, FareFiling, FareTerms

from .source import KeyPath, TomlSource
from .table import TableReader

__all__ = ["read_fares", "table_rows"]

_MARKET = r"[A-Z]{3}-[A-Z]{3}"
_BRAND = r"[A-Z0-9]{1,10}"
_BASIS = r"[A-Z0-9]{1,8}"
_MOST_DAYS = 365
_MOST_BAGS = 9


def read_fares(paths: Iterable[Path]) -> tuple[FareFiling, list[FileFinding]]:
    """One filing from all its files, and all that is wrong with them.

    The filing is only to be used when there are no errors among the findings.
    """
    sources = [TomlSource(path) for path in sorted(paths)]
    reading = _Reading()
    readers = [TableReader(source, (), source.content) for source in sources]
    for reader in readers:
        if reader.table:
            reading.shared(reader)
    for reader in readers:
        if reader.table:
            reading.fares_of(reader)
            reader.finish()
    terms = FareTerms(
        currency=reading.currency,
        brands=list(reading.brands.values()),
        discounts=reading.discounts or Discounts(),
    )
    findings = [finding for source in sources for finding in source.findings]
    return FareFiling(terms=terms, fares=reading.fares), findings


def _warn_of_airports(table: TableReader, key: str, markets: Iterable[str]) -> None:
    """An airport may be newer than the list of airports: no error, but most often a slip."""
    codes = dict.fromkeys(code for market in markets for code in market.split("-"))
    for code in codes:
        if code not in _airports():
            table.warn(key, f"no airport {code} is known", "correct the code if it is a slip")


@lru_cache(maxsize=1)
def _airports() -> frozenset[str]:
    return frozenset(airportsdata.load("IATA"))


class _Reading:
    """What was read so far from the files of one filing."""

    def __init__(self) -> None:
        self.currency = ""
        self.brands: dict[str, Brand] = {}
        self.discounts: Discounts | None = None
        self.fares: list[MarketFare] = []
        self._seen: dict[tuple[object, ...], str] = {}

    def shared(self, file: TableReader) -> None:
        """The currency, the discounts and the brands, which all files share."""
        currency = read_currency(file)
        if self.currency and currency and currency != self.currency:
            file.refuse(
                "currency",
                f"other files are in {self.currency}, this one in {currency}",
                "file all fares in the airline's own currency",
            )
        self.currency = self.currency or currency
        for table in table_rows(file, "discounts", single=True):
            self._read_discounts(table)
        for table in table_rows(file, "brand"):
            brand = _read_brand(table, self.currency)
            if brand.code in self.brands:
                table.refuse("code", f"brand {brand.code} is filed twice", "keep one of them")
            self.brands.setdefault(brand.code, brand)

    def fares_of(self, file: TableReader) -> None:
        """The fares, single and in groups."""
        for table in table_rows(file, "fare"):
            market = table.text("market", _MARKET, 'a market like "VIE-LHR"')
            _warn_of_airports(table, "market", [market] if market else [])
            directional = table.flag("directional")
            validity = table.validity()
            self._read_level(table, [market] if market else [], directional, validity)
        for table in table_rows(file, "fare_group"):
            markets = table.codes("markets", _MARKET, 'markets like "VIE-LHR"', required=True)
            _warn_of_airports(table, "markets", markets)
            directional = table.flag("directional")
            validity = table.validity()
            if not table.has("levels"):
                table.refuse("levels", "a fare_group has no levels", "add levels = [{ … }]")
            for level in table_rows(table, "levels"):
                self._read_level(level, markets, directional, validity)
            table.finish()

    def _read_discounts(self, table: TableReader) -> None:
        discounts = Discounts(
            child=table.whole("child", 100, Discounts().child),
            infant=table.whole("infant", 100, Discounts().infant),
        )
        table.finish()
        if self.discounts is not None:
            table.refuse("", "discounts stand in two files", "keep [discounts] in one file")
        self.discounts = discounts

    def _read_level(
        self,
        table: TableReader,
        markets: list[str],
        directional: bool,
        validity: tuple[Any, Any],
    ) -> None:
        fare = _read_fare(table, self.currency, set(self.brands))
        table.finish()
        for market in markets:
            origin, _, destination = market.partition("-")
            if origin == destination:
                table.refuse("market", f"{market} goes nowhere", "name two different airports")
                continue
            ways = [(origin, destination), (destination, origin)]
            for one, other in ways[: 1 if directional else 2]:
                self._add(table, one, other, validity, fare)

    def _add(
        self,
        table: TableReader,
        origin: str,
        destination: str,
        validity: tuple[Any, Any],
        fare: dict[str, Any],
    ) -> None:
        key = (
            origin,
            destination,
            fare["brand"],
            fare["booking_class"],
            fare["basis"],
            validity[0],
        )
        here = f"{table.source.path.name} line {table.source.line(table.where)}"
        if table.sound and key in self._seen:
            table.refuse(
                "basis",
                f"{fare['basis']} in class {fare['booking_class']} is filed twice for "
                f"{origin}-{destination}, first in {self._seen[key]}",
                "drop one, or give them different bases or valid_from dates",
            )
        self._seen.setdefault(key, here)
        first, last = validity
        self.fares.append(
            MarketFare(
                origin=origin, destination=destination, valid_from=first, valid_until=last, **fare
            )
        )


def read_currency(file: TableReader) -> str:
    """The file's `currency`; "" when it is missing or not one of ISO 4217."""
    currency = file.text("currency", r"[A-Z]{3}", 'a currency like "EUR"')
    try:
        exponent(currency or "EUR")
    except Invalid as error:
        file.refuse("currency", error.detail, "use a code of ISO 4217")
        return ""
    return currency


def table_rows(parent: TableReader, key: str, *, single: bool = False) -> Iterator[TableReader]:
    """A reader for each table of an array of tables (`single`: for the one table)."""
    if not parent.has(key):
        return
    value = parent.table[key]
    where: KeyPath = (*parent.where, key)
    if single and isinstance(value, dict):
        yield TableReader(parent.source, where, value)
    elif not single and isinstance(value, list):
        for index, row in enumerate(value):
            if isinstance(row, dict):
                yield TableReader(parent.source, (*where, index), row)
            else:
                parent.source.refuse((*where, index), f"{row!r} is not a table", "write { … }")
    else:
        header = f"[{key}]" if single else f"[[{key}]]"
        parent.refuse(key, f"{key} is not written as {header}", f"begin it with {header}")


def _read_brand(table: TableReader, currency: str) -> Brand:
    refundable = table.flag("refundable")
    cancel_fee = table.amount("cancel_fee", currency)
    if cancel_fee is not None and not refundable:
        table.refuse(
            "cancel_fee", "cancel_fee without refundable = true", "add refundable = true or drop it"
        )
    elsewhere_cabin, elsewhere_class = _read_elsewhere(table)
    brand = Brand(
        code=table.text("code", _BRAND, "at most 10 of A-Z and 0-9"),
        name=table.text("name", r".{1,40}", "text of at most 40 characters"),
        cabin=table.choice("cabin", CABINS),
        refundable=refundable,
        cancel_fee_minor=cancel_fee or 0,
        change_fee_minor=table.amount("change_fee", currency),
        checked_bags=table.whole("checked_bags", _MOST_BAGS),
        seat_selection=table.choice("seat_selection", ("free", "paid", "none"), "paid"),  # type: ignore[arg-type]  # one of the three words
        elsewhere_cabin=elsewhere_cabin,
        elsewhere_class=elsewhere_class,
    )
    table.finish()
    return brand


def _read_elsewhere(table: TableReader) -> tuple[str | None, str | None]:
    """What a through fare books where the brand's cabin does not fly; both keys or none."""
    cabin, booking_class = table.has("elsewhere_cabin"), table.has("elsewhere_class")
    if not cabin and not booking_class:
        return None, None
    return (
        table.choice("elsewhere_cabin", CABINS),
        table.text("elsewhere_class", r"[A-Z]", "one capital letter"),
    )


def _read_fare(table: TableReader, currency: str, brands: set[str]) -> dict[str, Any]:
    """What a fare has whatever its market."""
    brand = table.text("brand", _BRAND, "the code of a brand")
    if brand and brand not in brands:
        known = ", ".join(sorted(brands)) or "none"
        table.refuse("brand", f"brand {brand} is not filed", f"add a [[brand]]; filed: {known}")
    one_way = table.amount("one_way", currency)
    round_trip = table.amount("round_trip", currency)
    if not table.has("one_way") and not table.has("round_trip"):
        table.refuse("one_way", "the fare has no amount", "add one_way or round_trip")
    stay = table.whole("minimum_stay_nights", _MOST_DAYS)
    if stay and (one_way is not None or not table.has("round_trip")):
        table.refuse(
            "minimum_stay_nights",
            "a minimum stay needs round_trip and no one_way",
            "file the one_way amount as a fare of its own",
        )
    return {
        "brand": brand,
        "booking_class": table.text("booking_class", r"[A-Z]", "one capital letter"),
        "basis": table.text("basis", _BASIS, "at most 8 of A-Z and 0-9"),
        "one_way_minor": one_way,
        "round_trip_minor": round_trip,
        "advance_purchase_days": table.whole("advance_purchase_days", _MOST_DAYS),
        "minimum_stay_nights": stay,
    }
