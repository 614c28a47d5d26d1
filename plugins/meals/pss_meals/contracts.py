"""What other plugins may import: the event that tells a caterer what to load."""

from datetime import date

from pss_kernel import Event

__all__ = ["CateringListed"]


class CateringListed(Event, name="catering-listed", version=1):
    """The special meals of one flight: how many of each dish, by its code."""

    flight_id: str
    flight: str
    flight_date: date
    dishes: dict[str, int]
