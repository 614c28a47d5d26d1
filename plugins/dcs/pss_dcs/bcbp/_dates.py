"""From the day of a year to a date: a pass carries no year, or only its last digit.

Rules (the resolution gives none): a pass was issued in the latest year with that last digit
whose day is not more than one day after `reference` (clocks of two time zones may disagree);
a flight leaves on or after the day of issue and less than a year later; where no issue date
is known, the flight leaves within the year that begins a week before `reference`, because
passes are read from check-in until shortly after departure.
"""

from datetime import date, timedelta

__all__ = ["resolve_flight_date", "resolve_issue_date"]

_LOOK_BACK = timedelta(days=7)
_CLOCK_SKEW = timedelta(days=1)
_LAST_DAY_OF_LEAP_YEAR = 366


def resolve_issue_date(year_digit: int, day_of_year: int, reference: date) -> date | None:
    """Date of issue from one digit of the year; None for a day that no such year has."""
    for year in range(reference.year + 1, max(reference.year - 40, 0), -1):
        if year % 10 == year_digit:
            issued = _date_of(year, day_of_year)
            if issued is not None and issued - reference <= _CLOCK_SKEW:
                return issued
    return None


def resolve_flight_date(
    day_of_year: int, reference: date, issued_on: date | None = None
) -> date | None:
    """Date of a flight: the first such day from `issued_on`, or a week before `reference`.

    None for a day that none of the years in question has.
    """
    if issued_on is not None:
        first = issued_on
    else:
        first = max(reference, date.min + _LOOK_BACK) - _LOOK_BACK
    for year in (first.year, first.year + 1):
        flight_date = _date_of(year, day_of_year)
        if flight_date is not None and flight_date >= first:
            return flight_date
    return None


def _date_of(year: int, day_of_year: int) -> date | None:
    if not 1 <= day_of_year <= _LAST_DAY_OF_LEAP_YEAR or not date.min.year <= year < date.max.year:
        return None
    day = date(year, 1, 1) + timedelta(days=day_of_year - 1)
    return day if day.year == year else None
