"""What a bar-coded boarding pass says. Texts are as in the barcode, without padding."""

from datetime import date

from msgspec import Struct

__all__ = ["Bcbp", "Leg", "Repeated", "Security", "Unique"]


class Unique(Struct, kw_only=True):
    """Conditional items that a pass has once.

    `passenger_description`: 0 adult, 1 male, 2 female, 3 child, 4 infant. `check_in_source`
    and `issuance_source`: W web, K kiosk, M mobile, O airport agent, … `document_type`: B
    boarding pass, I itinerary receipt. `issue_year` is one digit; `issue_day` counts from 1.
    A bag tag has 13 digits: a 10-digit licence plate and the count of consecutive tags.
    """

    passenger_description: str = ""
    check_in_source: str = ""
    issuance_source: str = ""
    issue_year: int | None = None
    issue_day: int | None = None
    issued_on: date | None = None
    document_type: str = ""
    issuer: str = ""
    bag_tags: list[str] = []
    size: int = 0
    """As declared in the text that was read; the writer works it out itself."""


class Repeated(Struct, kw_only=True):
    """Conditional items that each leg has: document, frequent flyer, allowance."""

    airline_numeric_code: str = ""
    document_number: str = ""
    selectee: str = ""
    document_verification: str = ""
    marketing_carrier: str = ""
    frequent_flyer_airline: str = ""
    frequent_flyer_number: str = ""
    id_ad: str = ""
    baggage_allowance: str = ""
    fast_track: str = ""
    size: int = 0


class Leg(Struct, kw_only=True):
    """One flight segment of a pass; `day_of_year` is its Julian date, `flight_date` resolved."""

    booking_reference: str = ""
    origin: str = ""
    destination: str = ""
    carrier: str = ""
    flight_number: str = ""
    day_of_year: int | None = None
    flight_date: date | None = None
    compartment: str = ""
    seat: str = ""
    sequence: str = ""
    status: str = ""
    repeated: Repeated | None = None
    airline_use: str = ""
    size: int = 0

    @property
    def sequence_number(self) -> int | None:
        """The check-in sequence as a number, without its suffix; None where there is none."""
        digits = self.sequence.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        return int(digits) if digits.isascii() and digits.isdigit() else None


class Security(Struct, kw_only=True):
    """The signature over a pass, not interpreted."""

    type: str = ""
    data: str = ""
    size: int = 0


class Bcbp(Struct, kw_only=True):
    """A whole pass. `version` is None where no leg-1 conditional items say which it is."""

    passenger_name: str = ""
    electronic_ticket: str = "E"
    version: int | None = None
    unique: Unique | None = None
    legs: list[Leg]
    security: Security | None = None
    warnings: list[str] = []
