"""Reading taxes.toml."""

from pathlib import Path
from typing import Any

from pss_kernel import FileFinding, Invalid, exponent
from pss_pricing.domain.filed import CABINS, PASSENGER_TYPES, Tax, TaxFiling

from .fares import read_currency, table_rows
from .source import TomlSource
from .table import TableReader

__all__ = ["read_taxes"]

_COUNTRY = r"[A-Z]{2}"
_AIRPORT = r"[A-Z]{3}"


def read_taxes(path: Path) -> tuple[TaxFiling, list[FileFinding]]:
    """The filing and all that is wrong with its file; use it only without findings."""
    source = TomlSource(path)
    if not source.content:
        if not source.findings:
            source.refuse((), "the file is empty", 'begin it with currency = "EUR"')
        return TaxFiling(currency=""), source.findings
    file = TableReader(source, (), source.content)
    currency = read_currency(file)
    rates = _read_rates(file, currency)
    taxes = []
    for table in table_rows(file, "tax"):
        tax = _read_tax(table, currency, rates)
        table.finish()
        if tax is not None and table.sound:
            taxes.append(tax)
    file.finish()
    return TaxFiling(currency=currency, exchange_rates=rates, taxes=taxes), source.findings


def _read_rates(file: TableReader, currency: str) -> dict[str, str]:
    rates: dict[str, str] = {}
    for table in table_rows(file, "exchange_rates", single=True):
        for code in table.table:
            rate = table.decimal(code)
            if rate is None:
                continue
            if rate == 0:
                table.refuse(code, f"one {code} is worth nothing", "write what it is worth")
            if code == currency and rate != 1:
                table.refuse(code, f"{code} is the file's own currency", "drop this rate")
            try:
                exponent(code)
            except Invalid as error:
                table.refuse(code, error.detail, "use a code of ISO 4217")
                continue
            rates[code] = str(rate)
    return rates


def _read_tax(table: TableReader, currency: str, rates: dict[str, str]) -> Tax | None:
    applies = table.choice("applies", ("departure", "arrival"))
    in_currency = table.text("currency", r"[A-Z]{3}", 'a currency like "GBP"', currency)
    if in_currency and in_currency != currency and in_currency not in rates:
        table.refuse(
            "currency",
            f"there is no exchange rate for {in_currency}",
            f'add {in_currency} = "…" to [exchange_rates]',
        )
        in_currency = ""
    amount = table.amount("amount", in_currency, required=True)
    first, last = table.validity()
    fields: dict[str, Any] = {
        "code": table.text("code", r"[A-Z0-9]{2,3}", "two or three of A-Z and 0-9"),
        "country": table.text("country", _COUNTRY, 'a country like "GB"'),
        "description": table.text("description", r".{1,80}", "text of at most 80 characters"),
        "per": _read_per(table, applies),
        "scope": table.choice("scope", ("international", "domestic", "any"), "any"),
        "airports": _read_airports(table),
        "cabins": table.choices("cabins", CABINS),
        "destination_countries": table.codes(
            "destination_countries", _COUNTRY, 'of countries like "FR"'
        ),
        "destination_not_in": table.codes("destination_not_in", _COUNTRY, 'of countries like "FR"'),
        "exempt": table.choices("exempt", PASSENGER_TYPES),
        "source": table.text("source", r".+", "where the rate was published"),
    }
    if amount is None or not table.sound:
        return None
    return Tax(
        applies=applies,  # type: ignore[arg-type]  # one of the two words
        amount_minor=amount,
        currency=in_currency,
        valid_from=first,
        valid_until=last,
        **fields,
    )


def _read_per(table: TableReader, applies: str) -> str:
    """Read `per`: "segment", or "journey" for the form without passengers in transit."""
    not_in_transit = f"{applies}_not_in_transit"
    words = ("segment", "departure_not_in_transit", "arrival_not_in_transit")
    per = table.choice("per", words, not_in_transit)
    if per not in ("segment", not_in_transit):
        table.refuse(
            "per", f"per = {per!r} does not go with applies = {applies!r}", f"use {not_in_transit}"
        )
    return "segment" if per == "segment" else "journey"


def _read_airports(table: TableReader) -> list[str]:
    airports = table.codes("airports", _AIRPORT, 'of airports like "LHR"')
    if table.has("airport"):
        airports.append(table.text("airport", _AIRPORT, 'an airport like "LHR"'))
    return airports
