"""What other plugins may use of inventory: flights, availability and seat holds."""

from datetime import date, datetime
from typing import Literal

from msgspec import Struct

from pss_kernel import Conflict, UnitOfWork, service

__all__ = [
    "Airport",
    "CabinAvailability",
    "ClassAvailability",
    "Flight",
    "Itinerary",
    "Leg",
    "Market",
    "SeatRequest",
    "Segment",
    "SoldOut",
    "airport",
    "availability",
    "confirm_seats",
    "flight_by_id",
    "flights_of_legs",
    "hold_seats",
    "markets",
    "release_seats",
]


class SoldOut(Conflict):
    """A leg has fewer seats left in the booking class than were asked for."""

    code = "sold-out"


class ClassAvailability(Struct, frozen=True):
    """Seats that may still be sold in one booking class, nested, and never shown above 9."""

    booking_class: str
    seats: int


class CabinAvailability(Struct, frozen=True):
    """A cabin ("first", "business", "premium_economy", "economy"), highest class first."""

    cabin: str
    classes: list[ClassAvailability]


class Segment(Struct, frozen=True):
    """A board and an off point of one dated flight; several legs when it stops on the way.

    `flight_date` is the local departure date of the flight's first leg. `departing_at` and
    `arriving_at` are aware and in the airport's own zone. `leg_ids` are in flying order.
    """

    flight_id: str
    flight: str
    carrier: str
    flight_number: str
    flight_date: date
    origin: str
    destination: str
    departing_at: datetime
    arriving_at: datetime
    departing_time_zone: str
    arriving_time_zone: str
    aircraft_type: str
    leg_ids: list[int]
    cabins: list[CabinAvailability]
    origin_country: str
    destination_country: str
    departure_terminal: str | None
    arrival_terminal: str | None


class Itinerary(Struct, frozen=True):
    """One way of travelling: one segment, or two with a connection between them."""

    segments: list[Segment]


class SeatRequest(Struct, frozen=True):
    """Seats wanted in one booking class on every one of the legs."""

    leg_ids: list[int]
    cabin: str
    booking_class: str
    seats: int


class Leg(Struct, frozen=True):
    """One take-off and landing of a dated flight; `cabins` is seats fitted per cabin."""

    leg_id: int
    sequence: int
    origin: str
    destination: str
    departing_at: datetime
    departing_at_utc: datetime
    departing_time_zone: str
    arriving_at: datetime
    arriving_at_utc: datetime
    arriving_time_zone: str
    aircraft_type: str
    cabins: dict[str, int]


class Flight(Struct, frozen=True):
    """A dated flight with its legs in flying order."""

    id: str
    flight: str
    carrier: str
    flight_number: str
    flight_date: date
    status: Literal["scheduled", "cancelled"]
    legs: list[Leg]


class Market(Struct, frozen=True):
    """An origin and a destination that flights on sale join, with one connection at most."""

    origin: str
    destination: str


class Airport(Struct, frozen=True):
    """An airport of the airline's network; `country` is ISO 3166-1 alpha-2, the zone IANA's."""

    code: str
    name: str
    city: str
    country: str
    time_zone: str


@service
async def availability(
    uow: UnitOfWork,
    origin: str,
    destination: str,
    departure_date: date,
    seats: int,
    cabin: str | None = None,
) -> list[Itinerary]:
    """Find itineraries with seats left, soonest arrival first.

    `departure_date` is the local date at `origin`. An itinerary is given when each of its
    segments has a booking class with at least `seats` (1 to 9) left, in `cabin` where one
    is named. Raises Invalid with code "unknown-airport".
    """


@service
async def hold_seats(uow: UnitOfWork, hold_id: str, requests: list[SeatRequest]) -> None:
    """Hold all the seats or none; decided as the transaction commits.

    Raises SoldOut when any leg is short, Conflict "flight-departed" when a leg has left or is
    not known, and Conflict "hold-exists" when `hold_id` was used before.
    """


@service
async def confirm_seats(uow: UnitOfWork, hold_id: str) -> None:
    """Turn held seats into sold ones. Again is harmless.

    Raises NotFound for an unknown hold and Conflict "hold-released" for one given back.
    """


@service
async def release_seats(uow: UnitOfWork, hold_id: str) -> None:
    """Give held or sold seats back. Again, or for an unknown hold, is harmless."""


@service
async def flight_by_id(uow: UnitOfWork, flight_id: str) -> Flight:
    """Give the dated flight. Raises NotFound."""


@service
async def flights_of_legs(uow: UnitOfWork, leg_ids: list[int]) -> dict[int, Flight]:
    """Give the flight of each leg that exists, by leg id."""


@service
async def markets(uow: UnitOfWork) -> list[Market]:
    """List every market on sale, ordered by origin and destination."""


@service
async def airport(uow: UnitOfWork, code: str) -> Airport:
    """Give an airport the airline flies to or from. Raises NotFound for any other."""
