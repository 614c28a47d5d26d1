"""The rules of ordering a meal."""

from datetime import UTC, datetime, timedelta

import pytest

from pss_kernel import Conflict, Invalid
from pss_meals.menu import choose, refuse_late
from pss_meals.settings import Dish

MENU = [Dish("VGML", "Vegan meal"), Dish("KSML", "Kosher meal")]
DEPARTURE = datetime(2026, 11, 23, 6, 10, tzinfo=UTC)


def test_dish_by_code() -> None:
    """A dish is chosen by its code, in any case."""
    assert MENU[0] == choose(MENU, "vgml")


@pytest.mark.parametrize("code", [None, "", "XXXX"])
def test_not_on_menu(code: str | None) -> None:
    """Anything else is refused with the codes that there are."""
    with pytest.raises(Invalid) as refused:
        choose(MENU, code)
    (error,) = refused.value.errors
    assert ("/code", "On offer: VGML, KSML.") == (error.pointer, error.detail)


def test_closing_time() -> None:
    """A meal can be ordered up to the closing time, and not a second later."""
    closing = DEPARTURE - timedelta(hours=24)
    refuse_late(closing, DEPARTURE, 24)
    with pytest.raises(Conflict) as refused:
        refuse_late(closing + timedelta(seconds=1), DEPARTURE, 24)
    assert "meals-closed" == refused.value.code
