"""Which seat a passenger may have, and seats chosen so that a party stays together."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from .contracts import SeatNotAllowed
from .seat_map import Seat

__all__ = ["Traveller", "choose_seats", "require_allowed", "suits"]


class Traveller(Struct, kw_only=True, frozen=True):
    """A passenger who needs a seat; `with_infant` has one on the lap."""

    passenger_id: str
    type: str
    with_infant: bool = False

    @property
    def may_sit_at_exit(self) -> bool:
        """Adults who can help to evacuate; no children, nobody with an infant (EU-OPS 1.280)."""
        return self.type == "adult" and not self.with_infant


def require_allowed(seat: Seat, traveller: Traveller, cabin: str) -> None:
    """Raise SeatNotAllowed with the reason why this traveller can't have the seat."""
    if seat.cabin != cabin:
        raise SeatNotAllowed(
            f"Seat {seat.number} is in {seat.cabin.replace('_', ' ')}; "
            f"this ticket is for {cabin.replace('_', ' ')}."
        )
    if seat.blocked:
        raise SeatNotAllowed(f"Seat {seat.number} is not given to passengers.")
    if seat.exit_row and not traveller.may_sit_at_exit:
        raise SeatNotAllowed(
            f"Seat {seat.number} is at an emergency exit: no children, nobody with an infant."
        )


def suits(seat: Seat, traveller: Traveller, cabin: str) -> bool:
    """Whether the traveller may have the seat, for a choice that the airline makes."""
    return (
        seat.cabin == cabin
        and not seat.blocked
        and (traveller.may_sit_at_exit or not seat.exit_row)
    )


def choose_seats(
    free: Iterable[Seat], party: Sequence[Traveller], companions: Iterable[Seat] = ()
) -> dict[str, str]:
    """Return a seat number for each traveller by passenger id, out of `free` seats of their cabin.

    In this order: near `companions` who have seats already; on as few rows as possible; side
    by side; not at an exit; a window or an aisle for who travels alone; from the front. A
    child sits beside an adult where the row allows it. Those for whom nothing is left are
    missing in the result.
    """
    usable = [seat for seat in free if not seat.blocked]
    anchors = [seat.row for seat in companions]
    order = _children_beside_adults(party)
    at_exit_too = all(traveller.may_sit_at_exit for traveller in party)
    pool = [seat for seat in usable if at_exit_too or not seat.exit_row]
    chosen: dict[str, str] = {}
    if len(pool) < len(order):
        # Exits are better than nothing: those who may sit there do, and leave the others.
        exits = [seat for seat in usable if seat.exit_row and not at_exit_too]
        able = [traveller for traveller in order if traveller.may_sit_at_exit]
        moved = able[: min(len(exits), len(order) - len(pool))]
        chosen = dict(
            zip(
                (traveller.passenger_id for traveller in moved),
                (seat.number for seat in _best(exits, len(moved), anchors)),
                strict=True,
            )
        )
        order = [traveller for traveller in order if traveller not in moved]
    for traveller, seat in zip(order, _best(pool, len(order), anchors), strict=False):
        chosen[traveller.passenger_id] = seat.number
    return chosen


def _children_beside_adults(party: Sequence[Traveller]) -> list[Traveller]:
    adults = [traveller for traveller in party if traveller.type != "child"]
    children = [traveller for traveller in party if traveller.type == "child"]
    if not adults:
        return children
    order: list[Traveller] = []
    for number, adult in enumerate(adults):
        order += [adult, *children[number :: len(adults)]]
    return order


def _best(pool: list[Seat], count: int, anchors: list[int]) -> list[Seat]:
    """Return the best `count` seats (or all, if there are fewer), by row and place."""
    count = min(count, len(pool))
    if not count:
        return []
    rows: dict[int, list[Seat]] = {}
    for seat in pool:
        rows.setdefault(seat.row, []).append(seat)
    numbers = sorted(rows)
    best: tuple[tuple[float, ...], list[Seat]] | None = None
    for start in range(len(numbers)):
        window: list[Seat] = []
        for row in numbers[start:]:
            window += rows[row]
            if len(window) >= count:
                break
        else:
            break
        for seats in _groups(window, count):
            cost = _cost(seats, anchors)
            if best is None or cost < best[0]:
                best = (cost, seats)
    return sorted(best[1], key=lambda seat: (seat.row, seat.place)) if best else []


def _groups(window: list[Seat], count: int) -> list[list[Seat]]:
    """Ways to take `count` seats of these rows: those nearest to each place across."""
    return [
        sorted(window, key=lambda seat: (abs(seat.place - centre), seat.row))[:count]
        for centre in sorted({seat.place for seat in window})
    ]


def _cost(seats: list[Seat], anchors: list[int]) -> tuple[float, ...]:
    rows = [seat.row for seat in seats]
    places = [seat.place for seat in seats]
    away = min((abs(row - anchor) for row in rows for anchor in anchors), default=0)
    span = max(rows) - min(rows)
    spread = max(places) - min(places)
    exits = sum(seat.exit_row for seat in seats)
    middle = sum(not (seat.window or seat.aisle) for seat in seats) if len(seats) == 1 else 0
    return (away + span, exits, spread, middle, min(rows), min(places))
