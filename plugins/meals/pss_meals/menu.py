"""The rules of ordering a meal. Pure: no database, no web."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from pss_kernel import Conflict, FieldError, Invalid

from .settings import Dish

__all__ = ["choose", "refuse_late"]


def choose(menu: Sequence[Dish], code: str | None) -> Dish:
    """Find the dish on the menu. Raises Invalid, naming what there is."""
    for dish in menu:
        if code is not None and dish.code == code.upper():
            return dish
    on_offer = ", ".join(dish.code for dish in menu) or "nothing"
    raise Invalid(
        "That meal is not on the menu.",
        errors=[FieldError(pointer="/code", code="not-on-menu", detail=f"On offer: {on_offer}.")],
    )


def refuse_late(now: datetime, departing_at: datetime, closes_hours: int) -> None:
    """Raise Conflict (`meals-closed`) when the caterer has no time left."""
    if now > departing_at - timedelta(hours=closes_hours):
        raise Conflict(
            f"Meals are ordered until {closes_hours} hours before departure.", code="meals-closed"
        )
