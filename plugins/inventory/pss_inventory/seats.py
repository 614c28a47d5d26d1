"""How many seats a leg has in each cabin, and how many each booking class may sell."""

import re
from collections.abc import Mapping, Sequence

from .settings import CabinPlan, Settings

__all__ = ["authorised_levels", "cabin_seats", "nested_availability"]

_COUNTED = re.compile(r"([A-Z])(\d{1,3})")
_VARIABLE = "VV"  # what follows is the aircraft's own version code, not saleable seats
_PERCENT = 100


def cabin_seats(configuration: str, aircraft_type: str, settings: Settings) -> dict[str, int]:
    """Seats per cabin from an SSIM configuration like "C24Y150" or "W18Y112VV112".

    Letters that no cabin plan names are left out. Without a usable configuration the settings'
    `aircraft` answers; an unknown type has no seats.
    """
    cabins = {
        letter: cabin for cabin, plan in settings.cabins.items() for letter in plan.designator
    }
    seats: dict[str, int] = {}
    for letter, count in _COUNTED.findall(configuration.partition(_VARIABLE)[0]):
        cabin = cabins.get(letter)
        if cabin is not None and int(count) > 0:
            seats[cabin] = seats.get(cabin, 0) + int(count)
    if seats:
        return seats
    fitted: Mapping[str, int] = settings.aircraft.get(aircraft_type, {})
    return {cabin: count for cabin, count in fitted.items() if cabin in settings.cabins}


def authorised_levels(plan: CabinPlan, capacity: int) -> list[int]:
    """Most seats that each class and all lower ones may take together, highest class first."""
    return [capacity * percent // _PERCENT for percent in plan.authorised]


def nested_availability(
    authorised: Sequence[int], held: Sequence[int], sold: Sequence[int]
) -> list[int]:
    """Seats left in each class, highest first.

    A sale in class i counts against i and every class above it, so class i has left the least
    of what any level j <= i has left: authorised[j] less all that is taken in j and below.
    """
    taken = 0
    left: list[int] = []
    for index in range(len(authorised) - 1, -1, -1):
        taken += held[index] + sold[index]
        left.append(authorised[index] - taken)
    left.reverse()
    lowest = left[0] if left else 0
    for index, level in enumerate(left):
        lowest = min(lowest, level)
        left[index] = max(lowest, 0)
    return left
