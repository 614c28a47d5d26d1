from msgspec import Struct, field


class Dish(Struct, frozen=True, forbid_unknown_fields=True):
    """A special meal: its SSR code (four letters, such as VGML) and its name for passengers."""

    code: str
    name: str


class Settings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What an airline decides about its meals."""

    menu: list[Dish] = field(default_factory=list)
    """The dishes on offer; without any, no meal can be ordered."""

    closes_hours: int = 48
    """A meal can be ordered until this long before departure.

    48 makes the caterer's list final: it is made in the night before the day of the flight.
    """
