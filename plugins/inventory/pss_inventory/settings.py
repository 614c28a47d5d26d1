"""What an airline sets for its inventory in `[plugins.inventory]`."""

from msgspec import Struct, field

__all__ = ["CABINS", "CabinPlan", "Settings"]

# From the highest to the lowest.
CABINS = ("first", "business", "premium_economy", "economy")


class CabinPlan(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How one cabin is sold.

    `designator` holds the letters that stand for the cabin in an SSIM aircraft configuration
    ("C24Y150"). `classes` run from the highest to the lowest booking class; `authorised` gives
    for each the percentage of the cabin's seats that it and all lower classes may take together
    (above 100 is overbooking).
    """

    designator: str
    classes: list[str]
    authorised: list[int]

    def __post_init__(self) -> None:
        if not (self.designator.isalpha() and self.designator.isupper()):
            raise ValueError("designator must be capital letters, for example C")
        if not self.classes or any(len(c) != 1 or not ("A" <= c <= "Z") for c in self.classes):
            raise ValueError("classes must be single capital letters")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("classes must not repeat a letter")
        if len(self.authorised) != len(self.classes):
            raise ValueError("authorised must have one percentage for each class")
        if any(not 0 <= percent <= 200 for percent in self.authorised):  # noqa: PLR2004 -- a percentage
            raise ValueError("authorised must be percentages from 0 to 200")


def _usual_cabins() -> dict[str, CabinPlan]:
    return {
        "first": CabinPlan(designator="F", classes=["F", "A"], authorised=[100, 60]),
        "business": CabinPlan(designator="CJ", classes=["J", "C", "D"], authorised=[100, 70, 40]),
        "premium_economy": CabinPlan(designator="W", classes=["W", "P"], authorised=[100, 60]),
        "economy": CabinPlan(
            designator="YM",
            classes=["Y", "B", "M", "H", "Q", "K", "L"],
            authorised=[100, 95, 90, 80, 65, 45, 25],
        ),
    }


class Settings(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The airline's inventory.

    `carrier` is the airline designator whose flights are loaded ("" takes every carrier of the
    file). `horizon_days` is how far ahead flights are open. A connection is offered from
    `minimum_connecting_minutes` to `maximum_connecting_minutes`. `aircraft` gives seats per
    cabin for aircraft types whose SSIM lines carry no configuration: {"320": {"economy": 180}}.
    """

    carrier: str = ""
    horizon_days: int = 330
    minimum_connecting_minutes: int = 45
    maximum_connecting_minutes: int = 720
    cabins: dict[str, CabinPlan] = field(default_factory=_usual_cabins)
    aircraft: dict[str, dict[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.horizon_days <= 400:  # noqa: PLR2004 -- about a year of sale
            raise ValueError("horizon_days must be from 1 to 400")
        if not 0 <= self.minimum_connecting_minutes <= self.maximum_connecting_minutes:
            raise ValueError("minimum_connecting_minutes must not pass the maximum")
        unknown = {*self.cabins, *(c for seats in self.aircraft.values() for c in seats)}
        if unknown := unknown - set(CABINS):
            raise ValueError(
                f"no such cabin: {', '.join(sorted(unknown))}; use {', '.join(CABINS)}"
            )
        letters = [letter for plan in self.cabins.values() for letter in plan.classes]
        if len(set(letters)) != len(letters):
            raise ValueError("a booking class must belong to one cabin only")
