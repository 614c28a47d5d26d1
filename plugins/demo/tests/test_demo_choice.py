"""Which dates, markets, offers and seats the demonstration takes."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_demo.choice import Window, choose_offer, markets_to_try, other_flight, seats_together
from pss_demo.last_seat import taken_from
from pss_sdk import Money, Offer
from pss_sdk.models import (
    Authorisations,
    CabinRows,
    Conditions,
    Flight,
    Market,
    PriceBreakdown,
    Seat,
    SeatMap,
    SeatRow,
    Segment,
    Slice,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
WINDOW = Window(earliest=NOON + timedelta(hours=24), latest=NOON + timedelta(hours=48))


def make_offer(total: str, hours: float, *, segments: int = 2, bags: int = 1) -> Offer:
    """Make an offer that leaves so many hours after noon."""
    departing = NOON + timedelta(hours=hours)
    flown = [
        Segment(
            id=f"seg_{number}",
            flight_id=f"flt_{number}",
            flight=f"Q1{number}",
            flight_date=departing.date(),
            origin="LHR",
            destination="VIE",
            departing_at=departing + timedelta(hours=3 * number),
            departing_time_zone="Europe/London",
            arriving_at=departing + timedelta(hours=3 * number + 2),
            arriving_time_zone="Europe/Vienna",
            aircraft_type="320",
            cabin="economy",
            booking_class="K",
            fare_basis="K",
        )
        for number in range(segments)
    ]
    money = Money(total, "EUR")
    return Offer(
        id=f"off_{total}",
        total=money,
        expires_at=NOON,
        brand="Classic",
        slices=[Slice(origin="LHR", destination="ATH", segments=flown)],
        conditions=Conditions(
            refundable=False, changeable=False, checked_bags=bags, seat_selection="free"
        ),
        price_breakdown=PriceBreakdown(base=money, taxes=money, total=money),
    )


def make_map(*rows: tuple[int, str, bool]) -> SeatMap:
    """Make a cabin of rows: number, seats A to F (``.`` free, ``x`` taken), at an exit or not."""
    return SeatMap(
        segment_id="seg_1",
        flight="Q11",
        cabin="economy",
        cabins=[
            CabinRows(
                columns="ABC DEF",
                rows=[
                    SeatRow(
                        row=number,
                        exit_row=at_exit,
                        seats=[
                            Seat(
                                seat=f"{number}{column}",
                                column=column,
                                status="available" if sign == "." else "occupied",
                            )
                            for column, sign in zip("ABCDEF", signs, strict=True)
                        ],
                    )
                    for number, signs, at_exit in rows
                ],
            )
        ],
    )


def test_the_window_leaves_time_for_extras() -> None:
    """Where meals are ordered until a day ahead, the departure is later than that."""
    window = Window.around(NOON, opens_hours=48, closes_minutes=45, service_hours=24)
    assert window.earliest == NOON + timedelta(hours=24, minutes=15)
    assert window.latest == NOON + timedelta(hours=47, minutes=45)


def test_extras_that_close_before_check_in_opens_do_not_empty_the_window() -> None:
    """Then the window is that of check-in alone."""
    window = Window.around(NOON, opens_hours=24, closes_minutes=90, service_hours=48)
    assert window.earliest == NOON + timedelta(minutes=105)
    assert window.latest == NOON + timedelta(hours=23, minutes=45)


def test_departures_too_near_to_be_sold_are_outside() -> None:
    """Sale ends an hour before departure, even where check-in goes on."""
    window = Window.around(NOON, opens_hours=72, closes_minutes=30, service_hours=0)
    assert not window.holds(NOON + timedelta(minutes=70))
    assert window.holds(NOON + timedelta(minutes=80))


@given(
    start=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2030, 1, 1)),  # noqa: DTZ001 - UTC is set below
    hours=st.integers(min_value=3, max_value=100),
    at=st.floats(min_value=0, max_value=1),
    offset=st.integers(min_value=-12 * 60, max_value=14 * 60),
)
def test_every_departure_inside_is_on_a_date_that_is_searched(
    start: datetime, hours: int, at: float, offset: int
) -> None:
    """Whatever the hour of the run and wherever the airport is."""
    window = Window.around(
        start.replace(tzinfo=UTC), opens_hours=hours, closes_minutes=45, service_hours=24
    )
    departing = window.earliest + at * (window.latest - window.earliest)
    assert (departing + timedelta(minutes=offset)).date() in window.dates()


@given(start=st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2030, 1, 1)))  # noqa: DTZ001 - UTC is set below
def test_two_flights_a_day_are_enough_at_any_hour(start: datetime) -> None:
    """A window of check-in that opens two days ahead always holds one of a day's two flights."""
    now = start.replace(tzinfo=UTC)
    window = Window.around(now, opens_hours=48, closes_minutes=45, service_hours=24)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    flights = [
        midnight + timedelta(days=day, hours=hour, minutes=minute)
        for day in range(5)
        for hour, minute in ((8, 40), (12, 15))
    ]
    assert any(window.holds(flight) for flight in flights)


def test_the_cheapest_offer_with_a_bag_and_a_connection_inside_the_window_is_taken() -> None:
    """Nonstop ones, early ones, late ones and those without a bag are passed over."""
    wanted = make_offer("300.00", 30)
    offers = [
        make_offer("100.00", 23),
        make_offer("110.00", 49),
        make_offer("120.00", 30, segments=1),
        make_offer("200.00", 30, bags=0),
        make_offer("1000.00", 30),
        wanted,
    ]
    assert choose_offer(offers, WINDOW, connection=True) == wanted
    assert choose_offer(offers, WINDOW, connection=False) == offers[2]
    assert choose_offer(offers[:2], WINDOW, connection=True) is None


def test_an_offer_without_a_bag_is_better_than_none() -> None:
    """Where no fare includes a bag, the cheapest counts."""
    offers = [make_offer("200.00", 30, bags=0), make_offer("99.00", 30, bags=0)]
    assert choose_offer(offers, WINDOW, connection=True) == offers[1]


def test_favourite_markets_come_first() -> None:
    """Those that are not on sale are left out, the others follow."""
    on_sale = [Market(origin=one[0], destination=one[1]) for one in ("AB", "CD", "EF")]
    assert markets_to_try([("E", "F"), ("X", "Y")], on_sale) == [("E", "F"), ("A", "B"), ("C", "D")]


@pytest.mark.parametrize(
    ("rows", "seats"),
    [
        ([(1, "......", False)], ["1A", "1B", "1C"]),
        ([(1, "x.x...", False)], ["1D", "1E", "1F"]),
        ([(1, "......", True), (2, ".....x", False)], ["2A", "2B", "2C"]),
        ([(1, "..x..x", False), (2, "x....x", False)], ["2B", "2C", "2D"]),
        ([(1, "..x..x", False), (2, "xxxxxx", False)], ["1A", "1B", "1D"]),
        ([(1, "xxxxx.", False)], ["1F"]),
    ],
)
def test_seats_are_side_by_side_where_that_is_possible(
    rows: list[tuple[int, str, bool]], seats: list[str]
) -> None:
    """In one row, never at an exit; else scattered; else as many as there are."""
    assert seats_together(make_map(*rows), 3) == seats


def test_the_wrong_flight_is_another_one() -> None:
    """The first flight that is not the passenger's own; None when there is no other."""
    flights = [
        Flight(id=f"flt_{number}", flight=f"Q1{number}", flight_date=date(2026, 11, 23),
               status="scheduled", legs=[])
        for number in (1, 2)
    ]  # fmt: skip
    assert other_flight(flights, "Q11") == flights[1]
    assert other_flight(flights[:1], "Q11") is None


def test_seats_taken_in_a_class_include_all_lower_classes() -> None:
    """Booking classes are nested: a level covers its class and all below."""
    leg = Authorisations(
        leg_id=1,
        cabin="economy",
        capacity=100,
        authorised={"Y": 100, "K": 50, "L": 20},
        held={"Y": 1, "K": 2, "L": 4},
        sold={"Y": 8, "K": 16, "L": 32},
    )
    assert [taken_from(leg, name) for name in "YKL"] == [63, 54, 36]
