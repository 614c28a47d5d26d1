"""When check-in is open, by the database's clock."""

from datetime import datetime, timedelta

from .contracts import CheckInClosed, CheckInNotOpen
from .settings import Settings

__all__ = ["require_open"]


def require_open(now: datetime, departing_at: datetime, settings: Settings, *, flight: str) -> None:
    """Raise CheckInNotOpen or CheckInClosed outside the window before this departure.

    `departing_at` is in the airport's own zone; the times in the answer are too.
    """
    opens_at = departing_at - timedelta(hours=settings.check_in_opens_hours)
    closes_at = departing_at - timedelta(minutes=settings.check_in_closes_minutes)
    if now < opens_at:
        raise CheckInNotOpen(
            f"Check-in of {flight} opens at {opens_at:%Y-%m-%d %H:%M} local time.",
            mend="Come back then.",
        )
    if now >= closes_at:
        raise CheckInClosed(
            f"Check-in of {flight} closed at {closes_at:%Y-%m-%d %H:%M} local time."
        )
