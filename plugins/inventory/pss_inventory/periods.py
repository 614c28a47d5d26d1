"""When a leg operates: its dates, and the moments of its departure and arrival."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from .ssim import FlightLeg

__all__ = ["LONGEST_BLOCK", "Moments", "Operation", "operating_dates"]

LONGEST_BLOCK = timedelta(hours=24)
FORTNIGHT_WEEKS = 2
DAYS_PER_WEEK = 7
FAR_END = date(2099, 12, 31)


class Operation(NamedTuple):
    """One leg record on one date of operation; both moments are UTC."""

    leg: FlightLeg
    departing_at: datetime
    arriving_at: datetime


def operating_dates(leg: FlightLeg, start: date, end: date) -> Iterator[date]:
    """List the record's dates of operation from `start` to `end`, both included."""
    last = min(leg.operates_until or FAR_END, end)
    day = max(leg.operates_from, start)
    while day <= last:
        week = (day - leg.operates_from).days // DAYS_PER_WEEK
        if day.isoweekday() in leg.days and (
            leg.frequency_rate != FORTNIGHT_WEEKS or week % FORTNIGHT_WEEKS == 0
        ):
            yield day
        day += timedelta(days=1)


class Moments:
    """Turns the times of one leg into moments, day by day, as the zones' rules are that day.

    `origin` and `destination` are the zones that the times are stated in.
    """

    def __init__(self, leg: FlightLeg, origin: tzinfo, destination: tzinfo) -> None:
        self.leg = leg
        self.origin = origin
        self.destination = destination
        self.departure = timedelta(minutes=leg.passenger_departure, days=leg.departure_day or 0)
        self.arrival = timedelta(minutes=leg.passenger_arrival)
        self.arrival_day_is_wrong = False

    def on(self, day: date) -> Operation | None:
        """Place the leg on that date of operation; None when no arrival can follow.

        The date variation of the arrival is taken where it fits; else, and where it is blank,
        the first arrival after the departure is.
        """
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 -- zoned just below
        departing = (midnight + self.departure).replace(tzinfo=self.origin).astimezone(UTC)
        given = self.leg.arrival_day
        if given is not None:
            arriving = self._arrival(midnight, given)
            if departing < arriving <= departing + LONGEST_BLOCK:
                return Operation(self.leg, departing, arriving)
            self.arrival_day_is_wrong = True
        for days in range(-1, (self.leg.departure_day or 0) + 3):
            arriving = self._arrival(midnight, days)
            if departing < arriving <= departing + LONGEST_BLOCK:
                return Operation(self.leg, departing, arriving)
        return None

    def _arrival(self, midnight: datetime, days: int) -> datetime:
        local = midnight + self.arrival + timedelta(days=days)
        return local.replace(tzinfo=self.destination).astimezone(UTC)
