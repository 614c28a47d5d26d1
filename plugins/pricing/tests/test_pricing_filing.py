"""Reading fares and taxes from an airline's files."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pss_kernel import FileFinding
from pss_pricing.files import check_fares, check_taxes
from pss_pricing.filing.fares import read_fares
from pss_pricing.filing.taxes import read_taxes

FARES = """\
currency = "EUR"
[discounts]
child = 33
[[brand]]
code = "LIGHT"
name = "Light"
cabin = "economy"
change_fee = "60.00"
[[fare]]
market = "VIE-LHR"
brand = "LIGHT"
booking_class = "K"
basis = "KOWLGT"
one_way = "59.00"
round_trip = "49.5"
advance_purchase_days = 14
[[fare_group]]
markets = ["VIE-ATH", "VIE-JFK"]
directional = true
valid_from = 2026-10-25
levels = [
  { brand = "LIGHT", booking_class = "L", basis = "LOW", one_way = "39.00" },
  { brand = "LIGHT", booking_class = "K", basis = "KOW", one_way = "59.00" },
]
"""
TAXES = """\
currency = "EUR"
[exchange_rates]
GBP = "1.17"
JPY = "0.0061"
[[tax]]
code = "GB"
country = "GB"
description = "Air Passenger Duty"
applies = "departure"
scope = "international"
amount = "15.00"
currency = "GBP"
exempt = ["infant", "child"]
source = "https://example.org/rates"
[[tax]]
code = "TK"
country = "JP"
description = "Tourist tax"
applies = "departure"
airport = "NRT"
per = "segment"
amount = "1000"
currency = "JPY"
source = "https://example.org/rates"
"""


def written(folder: Path, text: str, name: str = "fares.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def said(findings: list[FileFinding]) -> list[tuple[int | None, str]]:
    return [(finding.line, finding.message.removesuffix(".")) for finding in findings]


def test_fares(tmp_path: Path) -> None:
    """Markets go both ways unless directional; a group gives each market every level."""
    filing, findings = read_fares([written(tmp_path, FARES)])
    assert findings == []
    assert (filing.terms.discounts.child, filing.terms.discounts.infant) == (33, 90)
    assert filing.terms.brands[0].change_fee_minor == 6000
    assert [
        (one.origin, one.destination, one.basis, one.one_way_minor, one.round_trip_minor)
        for one in filing.fares
    ] == [
        ("VIE", "LHR", "KOWLGT", 5900, 4950),
        ("LHR", "VIE", "KOWLGT", 5900, 4950),
        ("VIE", "ATH", "LOW", 3900, None),
        ("VIE", "JFK", "LOW", 3900, None),
        ("VIE", "ATH", "KOW", 5900, None),
        ("VIE", "JFK", "KOW", 5900, None),
    ]
    assert (14, date(2026, 10, 25)) == (
        filing.fares[0].advance_purchase_days,
        filing.fares[2].valid_from,
    )


def test_brands_of_another_file(tmp_path: Path) -> None:
    """A fare may use a brand of another file, and each file reports its own errors."""
    head, _, tail = FARES.partition("[[fare]]")
    written(tmp_path, head, "brands.toml")
    path = written(tmp_path, f'currency = "EUR"\n[[fare]]{tail}', "europe.toml")
    assert check_fares(path) == []
    path.write_text(path.read_text().replace('"LIGHT"', '"NONE"', 1))
    assert [one.message for one in check_fares(path)] == ["brand NONE is not filed."]
    assert check_fares(tmp_path / "brands.toml") == []


def test_every_error_at_once(tmp_path: Path) -> None:
    """All errors of a file come together, each at its line and with a mend."""
    text = (
        FARES.replace('"economy"', '"cellar"')
        .replace('one_way = "59.00"\nround', "one_way = 59.0\nround")
        .replace('round_trip = "49.5"', 'round_trip = "49.555"')
        .replace("advance_purchase_days = 14", "advanced_purchase_days = 14")
        .replace('basis = "KOW"', 'basis = "KOW-"')
        .replace("2026-10-25", '"2026-10-25"')
    )
    findings = check_fares(written(tmp_path, text))
    assert {
        (7, "cabin = 'cellar' is not known"),
        (14, "one_way = 59.0 is not a decimal string"),
        (15, "round_trip = '49.555' is finer than EUR"),
        (16, "advanced_purchase_days is not a key of this table"),
        (20, "valid_from = '2026-10-25' is not a date"),
        (23, "basis = 'KOW-' is not at most 8 of A-Z and 0-9"),
    } == set(said(findings))
    assert all(finding.mend for finding in findings)
    assert "Did you mean advance_purchase_days?" in [finding.mend for finding in findings]


def test_fare_filed_twice(tmp_path: Path) -> None:
    """The second filing of a fare names the first."""
    again = FARES[FARES.index("[[fare]]") : FARES.index("[[fare_group]]")]
    findings = check_fares(written(tmp_path, FARES + again.replace("VIE-LHR", "LHR-VIE")))
    assert [finding.message for finding in findings] == [
        "KOWLGT in class K is filed twice for LHR-VIE, first in fares.toml line 9."
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ('one_way = "59.00"\nround_trip = "49.5"\n', "", 9, "the fare has no amount"),
        ('"VIE-LHR"', '"VIE-VIE"', 10, "VIE-VIE goes nowhere"),
        (
            "advance_purchase_days = 14",
            "minimum_stay_nights = 2",
            16,
            "a minimum stay needs round_trip and no one_way",
        ),
        ('change_fee = "60.00"', 'cancel_fee = "1"', 8, "cancel_fee without refundable = true"),
        ('currency = "EUR"', 'currency = "EUX"', 1, None),
        ("child = 33", "child = 101", 3, "child = 101 is not a whole number from 0 to 100"),
        ("[discounts]", "[[discounts]]", 2, "discounts is not written as [discounts]"),
    ],
)
def test_fare_rules(tmp_path: Path, old: str, new: str, line: int, message: str | None) -> None:
    """What a fare, a brand or the discounts may not say is refused at its line."""
    found = said(check_fares(written(tmp_path, FARES.replace(old, new))))
    assert line in [one[0] for one in found]
    assert message is None or message in [one[1] for one in found]


def test_yen_have_no_decimals(tmp_path: Path) -> None:
    """Amounts in a currency without decimals are whole."""
    text = FARES.replace('"EUR"', '"JPY"').replace(".00", "").replace("49.5", "4950")
    filing, findings = read_fares([written(tmp_path, text)])
    assert findings == []
    assert (filing.fares[0].one_way_minor, filing.fares[0].round_trip_minor) == (59, 4950)


def test_taxes(tmp_path: Path) -> None:
    """A tax is in transit's favour unless it says otherwise, and keeps its own currency."""
    filing, findings = read_taxes(written(tmp_path, TAXES, "taxes.toml"))
    assert findings == []
    assert filing.exchange_rates == {"GBP": "1.17", "JPY": "0.0061"}
    assert [
        (tax.code, tax.per, tax.amount_minor, tax.currency, tax.airports) for tax in filing.taxes
    ] == [("GB", "journey", 1500, "GBP", []), ("TK", "segment", 1000, "JPY", ["NRT"])]


def test_tax_errors(tmp_path: Path) -> None:
    """Every error of the taxes comes at once."""
    text = (
        TAXES.replace('GBP = "1.17"', 'USD = "0"')
        .replace('per = "segment"', 'per = "arrival_not_in_transit"')
        .replace('amount = "1000"', 'amount = "1000.5"')
        .replace('["infant", "child"]', '["senior"]')
        .replace('country = "JP"', 'country = "Japan"')
    )
    assert {
        (3, "one USD is worth nothing"),
        (12, "there is no exchange rate for GBP"),
        (13, "'senior' in exempt is not known"),
        (17, "country = 'Japan' is not a country like \"GB\""),
        (21, "per = 'arrival_not_in_transit' does not go with applies = 'departure'"),
        (22, "amount = '1000.5' is finer than JPY"),
    } <= set(said(check_taxes(written(tmp_path, text, "taxes.toml"))))


def test_syntax_error(tmp_path: Path) -> None:
    """A file that is not TOML is one finding, at the place the parser stopped."""
    (finding,) = check_fares(written(tmp_path, 'currency = "EUR"\n[[fare]]\nmarket =\n'))
    assert (finding.line, finding.message.startswith("not TOML")) == (3, True)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.binary(max_size=200)
    | st.builds(
        lambda base, at, cut, junk: base.encode()[:at] + junk + base.encode()[at + cut :],
        st.sampled_from([FARES, TAXES]),
        st.integers(0, len(FARES)),
        st.integers(0, 40),
        st.binary(max_size=8),
    )
)
def test_any_bytes(tmp_path: Path, raw: bytes) -> None:
    """Any bytes are read or refused with findings, never a crash."""
    path = tmp_path / "any.toml"
    path.write_bytes(raw)
    assert isinstance(check_fares(path), list)
    assert isinstance(check_taxes(path), list)


def test_unknown_airports_are_warned_of(tmp_path: Path) -> None:
    """A market whose airport nobody knows is filed, with a warning at its line, once a code."""
    text = FARES.replace("VIE-LHR", "LIS-XXQ").replace('"VIE-JFK"', '"XXQ-VIE", "XXQ-JFK"')
    findings = check_fares(written(tmp_path, text))
    assert [(10, "no airport XXQ is known"), (18, "no airport XXQ is known")] == said(findings)
    assert {"warning"} == {finding.severity for finding in findings}
    filing, _ = read_fares([written(tmp_path, text)])
    assert ("LIS", "XXQ") in {(fare.origin, fare.destination) for fare in filing.fares}
