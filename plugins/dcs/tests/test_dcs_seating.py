"""Which seats are chosen for a party, and who may sit where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_dcs.contracts import SeatNotAllowed
from pss_dcs.seat_map import CabinLayout, Seat, SeatMap
from pss_dcs.seating import Traveller, choose_seats, require_allowed

LAYOUT = CabinLayout(
    cabin="economy", rows=(10, 16), columns="ABC DEF", exit_rows=[12], blocked=["16F"]
)
SEATS = {seat.number: seat for seat in LAYOUT.seats()}


def party(*types: str) -> list[Traveller]:
    return [
        Traveller(passenger_id=f"p{number}", type=kind.rstrip("+"), with_infant=kind.endswith("+"))
        for number, kind in enumerate(types)
    ]


def free_but(*taken: str) -> list[Seat]:
    return [seat for number, seat in SEATS.items() if number not in taken]


def test_seats_know_what_they_are() -> None:
    """Windows are outermost, aisle seats are beside a blank of the columns."""
    traits = {seat.column: (seat.window, seat.aisle) for seat in SEATS.values() if seat.row == 10}
    assert traits == {
        "A": (True, False),
        "B": (False, False),
        "C": (False, True),
        "D": (False, True),
        "E": (False, False),
        "F": (True, False),
    }


def test_skipped_rows_have_no_seats() -> None:
    """Row 13 of a superstitious airline does not exist."""
    layout = CabinLayout(cabin="economy", rows=(12, 14), columns="AB", skip_rows=[13])
    seat_map = SeatMap(aircraft_type="320", cabin=[layout])
    assert list(seat_map.seats) == ["12A", "12B", "14A", "14B"]


@pytest.mark.parametrize(
    ("taken", "types", "expected"),
    [
        # Alone: a window or an aisle before a middle seat.
        ([], ["adult"], ["10A"]),
        (["10A"], ["adult"], ["10C"]),
        # Together in a row, side by side, across the aisle if need be.
        ([], ["adult", "adult"], ["10A", "10B"]),
        (["10A", "10C"], ["adult", "adult"], ["10D", "10E"]),
        ([], ["adult"] * 3, ["10A", "10B", "10C"]),
        # A row with room for all is better than one further forward without.
        (["10B", "10C", "10D", "10E"], ["adult"] * 3, ["11A", "11B", "11C"]),
        # A child sits beside an adult.
        ([], ["child", "adult", "child", "adult"], ["10B", "10A", "10D", "10C"]),
    ],
)
def test_parties_sit_together(taken: list[str], types: list[str], expected: list[str]) -> None:
    """On few rows, side by side, from the front."""
    chosen = choose_seats(free_but(*taken), party(*types))
    assert [chosen[f"p{number}"] for number in range(len(types))] == expected


def test_a_companion_is_seated_near_those_who_chose() -> None:
    """A seat in the row of the companion, or the next one."""
    chosen = choose_seats(free_but("15C"), party("adult"), [SEATS["15C"]])
    assert chosen["p0"].startswith("15")


def test_families_are_kept_from_exits() -> None:
    """With a child or an infant in the party nobody is put into the exit row."""
    front = [seat for seat in SEATS.values() if seat.row in {12, 16}]
    chosen = choose_seats(front, party("adult+", "child"))
    assert {seat[:-1] for seat in chosen.values()} == {"16"}


def test_exits_are_used_when_nothing_else_is_left() -> None:
    """Then an adult who may sit there does, so that the child has the other seat."""
    chosen = choose_seats([SEATS["12A"], SEATS["14A"]], party("child", "adult"))
    assert chosen == {"p0": "14A", "p1": "12A"}


def test_who_finds_no_seat_is_left_out() -> None:
    """Fewer seats than people: as many as there are."""
    assert len(choose_seats([SEATS["14A"]], party("adult", "adult"))) == 1
    assert choose_seats([], party("adult")) == {}
    assert choose_seats([SEATS["12A"]], party("child")) == {}


@given(
    st.lists(st.sampled_from(sorted(SEATS)), unique=True),
    st.lists(st.sampled_from(["adult", "adult+", "child"]), min_size=1, max_size=9),
)
def test_chosen_seats_are_free_and_allowed(taken: list[str], types: list[str]) -> None:
    """Whatever is free: nobody shares a seat, and everybody may sit where they are put."""
    travellers = party(*types)
    free = free_but(*taken)
    chosen = choose_seats(free, travellers)
    assert len(set(chosen.values())) == len(chosen)
    assert set(chosen.values()) <= {seat.number for seat in free}
    for traveller in travellers:
        if traveller.passenger_id in chosen:
            require_allowed(SEATS[chosen[traveller.passenger_id]], traveller, "economy")
    open_to_all = [seat for seat in free if not (seat.blocked or seat.exit_row)]
    assert len(chosen) >= min(len(open_to_all), len(travellers))


@pytest.mark.parametrize(
    ("seat", "kind", "cabin"),
    [
        ("12A", "child", "economy"),
        ("12A", "adult+", "economy"),
        ("16F", "adult", "economy"),
        ("10A", "adult", "business"),
    ],
)
def test_seats_that_are_not_allowed(seat: str, kind: str, cabin: str) -> None:
    """Exits for those who can help only, no blocked seats, one's own cabin."""
    with pytest.raises(SeatNotAllowed) as refusal:
        require_allowed(SEATS[seat], party(kind)[0], cabin)
    assert refusal.value.code == "seat-not-allowed"
