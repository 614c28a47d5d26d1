"""One line of the report: a figure, and the limit that it is held against."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figure"]


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
