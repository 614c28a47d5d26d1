"""Choosing which combinations of itineraries become offers."""

import heapq
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

from msgspec import Struct

from .selection import BrandedItinerary

__all__ = ["Option", "choose", "combinations"]

_MOST_TRIED = 2000  # combinations looked at for one brand: bounds the work of six slices


class Option(Struct, frozen=True):
    """A slice's itinerary in a brand. `price_minor` is for all passengers, taxes included."""

    branded: BrandedItinerary
    price_minor: int
    itinerary_index: int


Combination = tuple[Option, ...]


def choose(by_brand: Sequence[Sequence[Sequence[Option]]], most: int) -> list[Combination]:
    """The combinations to offer: for each brand, each slice's options come in, `most` go out.

    Every brand keeps its cheapest; then every itinerary of every slice its cheapest, as far as
    there is room; then the cheapest of all. Lowest price first.
    """
    candidates = sorted(
        (found for options in by_brand for found in _candidates(options, most)), key=_price
    )
    brands: set[str] = set()
    places: set[tuple[int, int]] = set()
    first: list[Combination] = []
    second: list[Combination] = []
    third: list[Combination] = []
    for candidate in candidates:
        brand = candidate[0].branded.brand.code
        new_places = _places([candidate]) - places
        if brand not in brands:
            first.append(candidate)
        elif new_places:
            second.append(candidate)
        else:
            third.append(candidate)
        brands.add(brand)
        places |= new_places
    return sorted([*first, *second, *third][:most], key=_price)


def combinations(options: Sequence[Sequence[Option]], most: int) -> Iterator[Combination]:
    """One option of each slice, cheapest sum first; only those one can travel in order."""
    ranked = [sorted(slice_options, key=lambda one: one.price_minor) for slice_options in options]
    if not ranked or not all(ranked):
        return
    if len(ranked) == 1:  # one slice, the usual request: nothing to search
        yield from ((option,) for option in ranked[0][:most])
        return
    start = (0,) * len(ranked)
    heap = [(_sum(ranked, start), start)]
    seen = {start}
    given = tried = 0
    while heap and given < most and tried < _MOST_TRIED:
        _, places = heapq.heappop(heap)
        tried += 1
        combination = tuple(ranked[at][place] for at, place in enumerate(places))
        if _in_order(combination):
            given += 1
            yield combination
        for at, place in enumerate(places):
            onward = (*places[:at], place + 1, *places[at + 1 :])
            if place + 1 < len(ranked[at]) and onward not in seen:
                seen.add(onward)
                heapq.heappush(heap, (_sum(ranked, onward), onward))


def _candidates(options: Sequence[Sequence[Option]], most: int) -> list[Combination]:
    """A brand's cheapest combinations, and the cheapest with each itinerary not among them."""
    found = list(combinations(options, most))
    covered = _places(found)
    for at, slice_options in enumerate(options):
        for option in slice_options:
            if (at, option.itinerary_index) not in covered:
                fixed = [*options[:at], [option], *options[at + 1 :]]
                cheapest = list(combinations(fixed, 1))
                covered |= _places(cheapest)
                found.extend(cheapest)
    return found


def _places(found: Sequence[Combination]) -> set[tuple[int, int]]:
    return {(at, one.itinerary_index) for each in found for at, one in enumerate(each)}


def _in_order(combination: Combination) -> bool:
    """Whether each slice departs after the one before it has arrived."""
    for before, after in pairwise(combination):
        arrival = before.branded.itinerary.segments[-1].arriving_at
        departure = after.branded.itinerary.segments[0].departing_at
        if departure - arrival < timedelta(0):
            return False
    return True


def _sum(ranked: Sequence[Sequence[Option]], places: tuple[int, ...]) -> int:
    return sum(ranked[at][place].price_minor for at, place in enumerate(places))


def _price(combination: Combination) -> int:
    return sum(option.price_minor for option in combination)
