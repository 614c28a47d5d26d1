"""What an airline has filed: brands, discounts, fares, taxes and rates of exchange."""

from datetime import date
from typing import Literal

from msgspec import Struct

from pss_pricing.contracts import MarketFare

__all__ = [
    "CABINS",
    "PASSENGER_TYPES",
    "Brand",
    "Discounts",
    "FareFiling",
    "FareTerms",
    "Tax",
    "TaxFiling",
]

CABINS = ("economy", "premium_economy", "business", "first")
"""From the lowest to the highest."""

PASSENGER_TYPES = ("adult", "child", "infant")


class Brand(Struct, frozen=True, kw_only=True):
    """A fare brand and its conditions; fees in minor units, per passenger.

    `change_fee_minor` is None where changes are not allowed. `elsewhere_cabin` and
    `elsewhere_class` are booked on flights of a through fare that have no such `cabin`.
    """

    code: str
    name: str
    cabin: str
    refundable: bool = False
    cancel_fee_minor: int = 0
    change_fee_minor: int | None = None
    checked_bags: int = 0
    seat_selection: Literal["free", "paid", "none"] = "paid"
    elsewhere_cabin: str | None = None
    elsewhere_class: str | None = None


class Discounts(Struct, frozen=True, kw_only=True):
    """Percent off the adult fare."""

    child: int = 25
    infant: int = 90

    def percent(self, passenger_type: str) -> int:
        """What is taken off for that passenger type."""
        return {"child": self.child, "infant": self.infant}.get(passenger_type, 0)


class FareTerms(Struct, frozen=True, kw_only=True):
    """What all fares of an airline share."""

    currency: str
    brands: list[Brand]
    discounts: Discounts = Discounts()


class FareFiling(Struct, frozen=True, kw_only=True):
    """All of an airline's fares; each fare stands for one direction."""

    terms: FareTerms
    fares: list[MarketFare]


class Tax(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tax as it is levied, in its own currency; see the plugin's README for the rules.

    Empty lists do not restrict.
    """

    code: str
    country: str
    description: str
    applies: Literal["departure", "arrival"]
    per: Literal["segment", "journey"]
    scope: Literal["international", "domestic", "any"] = "any"
    amount_minor: int
    currency: str
    airports: list[str] = []
    cabins: list[str] = []
    destination_countries: list[str] = []
    destination_not_in: list[str] = []
    exempt: list[str] = []
    valid_from: date | None = None
    valid_until: date | None = None
    source: str = ""


class TaxFiling(Struct, frozen=True, kw_only=True):
    """All taxes, and `exchange_rates`: how many of `currency` one unit of another is worth."""

    currency: str
    exchange_rates: dict[str, str] = {}
    taxes: list[Tax] = []
