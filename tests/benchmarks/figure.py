"""One line of the report: a figure, and the limit that it is held against."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Figure", "show"]


@dataclass
class Figure:
    """One line of the report."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    limit_name: str = ""

    @property
    def ratio(self) -> float | None:
        """Of the limit."""
        return self.value / self.limit if self.limit else None


def show(figures: Iterable[Figure]) -> None:
    """Print a row for each; ratios travel between machines better than absolutes do."""
    for one in figures:
        beside = (
            f"{one.limit:>12,.1f} {one.unit:4} {one.ratio:>7.2f}  {one.limit_name}"
            if one.limit and one.ratio
            else ""
        )
        sys.stdout.write(f"{one.name:38}{one.value:>12,.1f} {one.unit:4}{beside}\n")
