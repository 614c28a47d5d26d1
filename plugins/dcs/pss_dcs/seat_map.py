"""Seat maps: which seats an aircraft type has, and what each is like."""

from functools import cached_property

from msgspec import Struct

__all__ = ["CABINS", "CabinLayout", "Seat", "SeatMap"]

CABINS = ("first", "business", "premium_economy", "economy")


class Seat(Struct, kw_only=True, frozen=True):
    """One seat. `place` is its position across the cabin, aisles counted; `number` is "12C"."""

    row: int
    column: str
    place: int
    cabin: str
    exit_row: bool
    blocked: bool
    window: bool
    aisle: bool

    @property
    def number(self) -> str:
        """Row and column as on a boarding pass: "12C"."""
        return f"{self.row}{self.column}"


class CabinLayout(Struct, kw_only=True, frozen=True):
    """Rows of one cabin that have the same columns.

    `rows` are the first and the last row. `columns` are the letters from left to right with a
    blank for each aisle, "ABC DEF". `skip_rows` do not exist; `blocked` seats are never given.
    """

    cabin: str
    rows: tuple[int, int]
    columns: str
    blocked: list[str] = []
    exit_rows: list[int] = []
    skip_rows: list[int] = []

    def row_numbers(self) -> list[int]:
        """Return the rows that exist, from the front."""
        first, last = self.rows
        return [row for row in range(first, last + 1) if row not in self.skip_rows]

    def seats(self) -> list[Seat]:
        """All seats, from the front, left to right."""
        return [
            self._seat(row, place, column)
            for row in self.row_numbers()
            for place, column in enumerate(self.columns)
            if column != " "
        ]

    def _seat(self, row: int, place: int, column: str) -> Seat:
        beside = (self.columns[place - 1 : place], self.columns[place + 1 : place + 2])
        return Seat(
            row=row,
            column=column,
            place=place,
            cabin=self.cabin,
            exit_row=row in self.exit_rows,
            blocked=f"{row}{column}" in self.blocked,
            window=place in {0, len(self.columns) - 1},
            aisle=" " in beside,
        )


class SeatMap(Struct, kw_only=True, frozen=True, dict=True):
    """The seats of an aircraft type (IATA's three characters, "320")."""

    aircraft_type: str
    cabin: list[CabinLayout]

    @cached_property
    def seats(self) -> dict[str, Seat]:
        """Every seat by its number."""
        return {seat.number: seat for layout in self.cabin for seat in layout.seats()}
