"""Seats per cabin and nested availability."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import ValidationError, convert

from pss_inventory.seats import authorised_levels, cabin_seats, nested_availability
from pss_inventory.settings import CabinPlan, Settings

SETTINGS = Settings(aircraft={"AT7": {"economy": 70}})


@pytest.mark.parametrize(
    ("configuration", "aircraft_type", "expected"),
    [
        ("C24W18Y120", "320", {"business": 24, "premium_economy": 18, "economy": 120}),
        ("W18Y112VV112", "733", {"premium_economy": 18, "economy": 112}),
        ("Y118VVCGO", "735", {"economy": 118}),
        ("", "AT7", {"economy": 70}),
        ("", "999", {}),
        ("Y000", "999", {}),
    ],
)
def test_seats_come_from_the_configuration_or_the_aircraft(
    configuration: str, aircraft_type: str, expected: dict[str, int]
) -> None:
    """The line's configuration counts; without one, what the settings say of the type."""
    assert expected == cabin_seats(configuration, aircraft_type, SETTINGS)


def test_levels_are_percentages_of_the_capacity() -> None:
    """Each class may take its share, rounded down to whole seats."""
    plan = CabinPlan(designator="Y", classes=["Y", "K"], authorised=[105, 33])
    assert [105, 33] == authorised_levels(plan, 100)
    assert [52, 16] == authorised_levels(plan, 50)


def test_a_sale_counts_against_its_class_and_all_above() -> None:
    """Three sold in the lowest class leave less in every class, and none below the cap."""
    assert [7, 3, 0] == nested_availability([10, 6, 3], [0, 0, 1], [0, 0, 2])


def test_a_class_never_has_more_than_a_class_above_it() -> None:
    """When the highest class has sold the cabin out, nothing is left below."""
    assert [0, 0, 0] == nested_availability([10, 6, 3], [10, 0, 0], [0, 0, 0])


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.tuples(
            st.lists(st.integers(0, 30), min_size=n, max_size=n),
            st.lists(st.integers(0, n - 1), max_size=60),
        )
    )
)
def test_selling_only_what_is_left_never_oversells(case: tuple[list[int], list[int]]) -> None:
    """However sales come, a class and all below it never pass their level."""
    authorised, wishes = case
    sold = [0] * len(authorised)
    none = [0] * len(authorised)
    for index in wishes:
        if nested_availability(authorised, none, sold)[index] > 0:
            sold[index] += 1
    for index, level in enumerate(authorised):
        assert sum(sold[index:]) <= level


@pytest.mark.parametrize(
    "settings",
    [
        {"horizon_days": 0},
        {"minimum_connecting_minutes": 90, "maximum_connecting_minutes": 60},
        {"cabins": {"upper": {"designator": "C", "classes": ["J"], "authorised": [100]}}},
        {"cabins": {"economy": {"designator": "Y", "classes": ["Y"], "authorised": []}}},
        {"cabins": {"economy": {"designator": "Y", "classes": ["Y", "Y"], "authorised": [1, 1]}}},
        {"aircraft": {"320": {"roof": 3}}},
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings: dict[str, object]) -> None:
    """Wrong settings are found when they are read."""
    with pytest.raises(ValidationError):
        convert(settings, Settings)
