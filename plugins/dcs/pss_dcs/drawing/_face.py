"""All that a drawn boarding pass shows; both forms are drawn from it alone."""

from datetime import date, datetime

from msgspec import Struct

__all__ = ["Brand", "Face", "FaceSegment", "when"]


class Brand(Struct, kw_only=True, frozen=True):
    """An airline's name and colours, as "#RRGGBB"; anything else falls back to slate."""

    name: str
    primary_color: str = ""
    accent_color: str = ""
    tagline: str = ""


class FaceSegment(Struct, kw_only=True, frozen=True):
    """One flight of a pass. Times are local, with their offset. `gate` only where known."""

    flight: str
    flight_date: date
    origin: str
    origin_name: str
    destination: str
    destination_name: str
    departing_at: datetime
    arriving_at: datetime
    cabin: str
    seat: str | None
    sequence: int
    gate: str | None = None
    terminal: str | None = None

    @property
    def seat_text(self) -> str:
        """The seat as the passenger reads it; a dash where there is none."""
        return self.seat or "\N{EN DASH}"

    @property
    def cabin_text(self) -> str:
        """The cabin in words: "Premium economy"."""
        return self.cabin.replace("_", " ").capitalize()

    @property
    def arrival_text(self) -> str:
        """Time of arrival, with the days after departure: "06:15 +1"."""
        days = (self.arriving_at.date() - self.departing_at.date()).days
        return f"{self.arriving_at:%H:%M}" + (f" {days:+d}" if days else "")

    @property
    def details(self) -> list[tuple[str, str]]:
        """Label and text of everything but the route and the seat, in the order of need."""
        known = [("Flight", self.flight), ("Date", when(self.departing_at))]
        if self.terminal:
            known.append(("Terminal", self.terminal))
        if self.gate:
            known.append(("Gate", self.gate))
        return [*known, ("Sequence", f"{self.sequence:03d}"), ("Cabin", self.cabin_text)]


class Face(Struct, kw_only=True, frozen=True):
    """One passenger's boarding pass. `bcbp` is the text of the barcode."""

    passenger_name: str
    passenger_type: str
    booking_reference: str
    ticket_number: str
    bcbp: str
    segments: list[FaceSegment]
    bag_tags: list[str] = []

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Label and text of what belongs to the passenger."""
        ticket = self.ticket_number
        facts = [
            ("Booking", self.booking_reference),
            ("E-ticket", f"{ticket[:3]} {ticket[3:]}" if ticket else ""),
        ]
        if self.passenger_type != "adult":
            facts.insert(0, ("Travels as", self.passenger_type.capitalize()))
        if self.bag_tags:
            facts.append(("Bags", str(len(self.bag_tags))))
        return [(label, text) for label, text in facts if text]


def when(moment: datetime) -> str:
    """Return a day as people say it: "23 Nov 2026"."""
    return f"{moment.day} {moment:%b %Y}"
