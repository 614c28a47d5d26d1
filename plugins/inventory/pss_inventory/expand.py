"""From periods of operation to dated flights, in UTC.

Local times become moments by the airport's IANA zone; the UTC variation of the file is only
compared. A date of operation belongs to the board point of the flight's first leg; the date
variations count from it. Where they are blank, each moment is the first that is possible after
the one before.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from .periods import LONGEST_BLOCK, Moments, Operation, operating_dates
from .ssim import Finding, FlightLeg, ScheduleFile

__all__ = ["DatedFlight", "DatedLeg", "Expansion", "FlightKey", "expand"]

# IATA service types (SSIM appendix C) whose legs carry passengers who can book.
PASSENGER_SERVICES = frozenset("JSUQGBRCOL")
MARGIN = timedelta(days=2)  # dates in UTC mode, and of later legs, may be a local day away


class FlightKey(NamedTuple):
    """What names a dated flight; the number carries the operational suffix ("974Z")."""

    carrier: str
    flight_number: str
    flight_date: date


class DatedLeg(NamedTuple):
    """A leg on its day; both moments are UTC, `departure_date` is local."""

    sequence: int
    origin: str
    destination: str
    departing_at: datetime
    arriving_at: datetime
    departure_date: date
    aircraft_type: str
    departure_terminal: str
    arrival_terminal: str
    seats: tuple[tuple[str, int], ...]
    closed_to: str  # traffic restriction codes, one for each off point from here on


class DatedFlight(NamedTuple):
    """A flight on its day, its legs in flying order."""

    key: FlightKey
    legs: tuple[DatedLeg, ...]

    @property
    def digest(self) -> str:
        """Changes when anything of the flight changes."""
        return hashlib.blake2b(msgspec.json.encode(self.legs), digest_size=12).hexdigest()


class Expansion(NamedTuple):
    """The dated flights, and what was odd about their legs."""

    flights: dict[FlightKey, DatedFlight]
    findings: list[Finding]


SeatsOf = Callable[[FlightLeg], Mapping[str, int]]
ZoneOf = Callable[[str], ZoneInfo | None]


def expand(
    file: ScheduleFile, start: date, end: date, zone_of: ZoneOf, seats_of: SeatsOf
) -> Expansion:
    """Give every flight of the file with a flight date from `start` to `end`, both included.

    Legs that carry no passengers are left out. `zone_of` gives an airport's time zone or None,
    `seats_of` the seats that a leg has in each cabin.
    """
    return _Expander(zone_of, seats_of).expand(file, start, end)


class _Expander:
    """One expansion: its flights so far and its findings."""

    def __init__(self, zone_of: ZoneOf, seats_of: SeatsOf) -> None:
        self.zone_of = zone_of
        self.seats_of = seats_of
        self.flights: dict[FlightKey, DatedFlight] = {}
        self.lines: dict[FlightKey, int] = {}
        self.doubled: set[tuple[int, int]] = set()
        self.compared: set[tuple[int, int]] = set()
        self.findings: list[Finding] = []

    def expand(self, file: ScheduleFile, start: date, end: date) -> Expansion:
        for schedule in file.schedules:
            utc = schedule.carrier.time_mode == "utc"
            for legs in _variations(schedule.legs):
                self._variation(legs, start, end, utc=utc)
        return Expansion(self.flights, self.findings)

    def _find(self, leg: FlightLeg, column: int, message: str, *, error: bool = False) -> None:
        self.findings.append(Finding(leg.line, column, message, "error" if error else "warning"))

    def _variation(self, legs: list[FlightLeg], start: date, end: date, *, utc: bool) -> None:
        """One itinerary variation of one flight: all its legs, on all its dates."""
        by_sequence: dict[int, dict[date, Operation]] = {}
        seats: dict[int, tuple[tuple[str, int], ...]] = {}
        for leg in legs:
            seats[id(leg)] = tuple(self.seats_of(leg).items())
            if not seats[id(leg)]:
                self._find(leg, 173, f"no seats are known for aircraft {leg.aircraft_type!r}")
            operations = by_sequence.setdefault(leg.leg_sequence, {})
            for day, operation in self._operations(leg, start, end, utc=utc):
                if day in operations:
                    self._double(leg, operations[day].leg.line, day)
                operations[day] = operation
        first = min(by_sequence)
        if first != 1:
            self._find(legs[0], 12, f"the flight begins with leg {first}")
        for day in sorted(by_sequence[first]):
            chain = _chain(by_sequence, day)
            self._add(chain, start, end, seats)

    def _operations(
        self, leg: FlightLeg, start: date, end: date, *, utc: bool
    ) -> Iterator[tuple[date, Operation]]:
        zones = self._zones(leg)
        if zones is None:
            return
        moments = Moments(leg, *((UTC, UTC) if utc else zones))
        last: tuple[date, Operation] | None = None
        for day in operating_dates(leg, start - MARGIN, end + MARGIN):
            operation = moments.on(day)
            if operation is None:
                self._find(leg, 58, f"on {day} the leg would arrive before it departs")
                return
            if last is None:
                self._compare(leg, operation, zones)
                if moments.arrival_day_is_wrong:
                    self._find(leg, 194, "the arrival's date variation does not fit the times")
            last = (day, operation)
            yield last
        if last is not None:
            self._compare(leg, last[1], zones)

    def _zones(self, leg: FlightLeg) -> tuple[ZoneInfo, ZoneInfo] | None:
        origin, destination = self.zone_of(leg.origin), self.zone_of(leg.destination)
        if origin is None:
            self._find(leg, 37, f"airport {leg.origin} is not known", error=True)
        if destination is None:
            self._find(leg, 55, f"airport {leg.destination} is not known", error=True)
        return (origin, destination) if origin and destination else None

    def _compare(
        self, leg: FlightLeg, operation: Operation, zones: tuple[ZoneInfo, ZoneInfo]
    ) -> None:
        for column, given, moment, zone, airport in (
            (48, leg.departure_utc_variation, operation.departing_at, zones[0], leg.origin),
            (66, leg.arrival_utc_variation, operation.arriving_at, zones[1], leg.destination),
        ):
            offset = moment.astimezone(zone).utcoffset() or timedelta()
            place = (leg.line, column)
            if given is None or timedelta(minutes=given) == offset or place in self.compared:
                continue
            self.compared.add(place)
            self._find(
                leg,
                column,
                f"{airport} is {_offset(offset)} from UTC on {moment:%d%b%y}, not"
                f" {_offset(timedelta(minutes=given))}; the time zone decides",
            )

    def _add(
        self,
        chain: list[Operation],
        start: date,
        end: date,
        seats: Mapping[int, tuple[tuple[str, int], ...]],
    ) -> None:
        legs = tuple(self._dated(operation, seats[id(operation.leg)]) for operation in chain)
        leg = chain[0].leg
        number = f"{leg.flight_number}{leg.operational_suffix.strip()}"
        key = FlightKey(leg.carrier, number, legs[0].departure_date)
        if not start <= key.flight_date <= end:
            return
        if key in self.flights:
            self._double(leg, self.lines[key], key.flight_date)
        self.flights[key] = DatedFlight(key, legs)
        self.lines[key] = leg.line

    def _double(self, leg: FlightLeg, line: int, day: date) -> None:
        if (line, leg.line) not in self.doubled:
            self.doubled.add((line, leg.line))
            flight = f"{leg.carrier}{leg.flight_number}{leg.operational_suffix.strip()}"
            self._find(leg, 6, f"{flight} on {day} also stands in line {line}; this one is used")

    def _dated(self, operation: Operation, seats: tuple[tuple[str, int], ...]) -> DatedLeg:
        leg = operation.leg
        zone = self.zone_of(leg.origin) or UTC
        return DatedLeg(
            leg.leg_sequence,
            leg.origin,
            leg.destination,
            operation.departing_at,
            operation.arriving_at,
            operation.departing_at.astimezone(zone).date(),
            leg.aircraft_type,
            leg.departure_terminal.strip(),
            leg.arrival_terminal.strip(),
            seats,
            leg.traffic_restriction,
        )


def _variations(legs: list[FlightLeg]) -> Iterator[list[FlightLeg]]:
    """Group the passenger legs by flight and itinerary variation, in file order."""
    groups: dict[tuple[object, ...], list[FlightLeg]] = {}
    for leg in legs:
        if leg.service_type in PASSENGER_SERVICES:
            key = (
                leg.carrier,
                leg.flight_number,
                leg.operational_suffix,
                leg.itinerary_variation_overflow,
                leg.itinerary_variation,
            )
            groups.setdefault(key, []).append(leg)
    yield from groups.values()


def _chain(by_sequence: Mapping[int, Mapping[date, Operation]], day: date) -> list[Operation]:
    """Chain the legs of the flight that begins on `day`, as far as each follows the last.

    Some files date a later leg by its own departure: that is tried a day (or two) on.
    """
    sequences = sorted(by_sequence)
    chain = [by_sequence[sequences[0]][day]]
    for sequence in sequences[1:]:
        before = chain[-1]
        for later in range(3):
            operation = by_sequence[sequence].get(day + timedelta(days=later))
            if (
                operation is not None
                and operation.leg.origin == before.leg.destination
                and before.arriving_at <= operation.departing_at
                and operation.departing_at < before.arriving_at + LONGEST_BLOCK
            ):
                chain.append(operation)
                break
        else:
            break
    return chain


def _offset(value: timedelta) -> str:
    minutes = round(value.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
