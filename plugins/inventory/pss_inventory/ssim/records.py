"""The records of an SSIM chapter 7 schedule file, as structs.

IATA sells the Standard Schedules Information Manual; the columns used here (see `layout`) come
from two public readers that agree with each other: rok/ssim and wcagreen/rusty-ssim.

Times of day are minutes after midnight (0 to 1440, as the format knows 2400), UTC variations
are minutes east of UTC. A text field that is blank in the file is "".
"""

from datetime import date
from typing import Literal

from msgspec import Struct, field

__all__ = [
    "Carrier",
    "CarrierSchedule",
    "Finding",
    "FlightLeg",
    "Header",
    "Reading",
    "ScheduleFile",
    "SegmentElement",
    "Severity",
    "Trailer",
]

Severity = Literal["error", "warning"]


class Header(Struct, kw_only=True, frozen=True):
    """Record type 1."""

    title: str = "AIRLINE STANDARD SCHEDULE DATA SET"
    number_of_seasons: str = ""
    data_set_serial: str = ""


class Carrier(Struct, kw_only=True, frozen=True):
    """Record type 2. `valid_until` None is "until further notice"."""

    carrier: str
    time_mode: Literal["local", "utc"] = "local"
    season: str = ""
    valid_from: date | None = None
    valid_until: date | None = None
    created_on: date | None = None
    title: str = ""
    released_on: date | None = None
    status: str = ""
    creator_reference: str = ""
    duplicate_designator_marker: str = ""
    general_information: str = ""
    in_flight_service: str = ""
    electronic_ticketing: str = ""
    creation_time: str = ""


class SegmentElement(Struct, kw_only=True, frozen=True):
    """Record type 4: one data element (`dei`) about a board and off point of a flight."""

    carrier: str
    flight_number: int
    operational_suffix: str = ""
    itinerary_variation: str = "01"
    leg_sequence: int = 1
    service_type: str = "J"
    itinerary_variation_overflow: str = ""
    board_point_indicator: str = ""
    off_point_indicator: str = ""
    dei: int
    board_point: str = ""
    off_point: str = ""
    element: str = ""


class FlightLeg(Struct, kw_only=True, frozen=True):
    """Record type 3: one leg of a flight over a period of operation.

    `days` are ISO weekdays (1 Monday to 7 Sunday). `operates_until` None is "until further
    notice" (00XXX00). `frequency_rate` 2 is every second week, counted from `operates_from`.
    `departure_day` and `arrival_day` are the date variations: days between the date of
    operation and the date at that airport, None where the file leaves them blank.
    `line` is where the record stood, 0 for one made by a program.
    """

    carrier: str
    flight_number: int
    operational_suffix: str = ""
    itinerary_variation: str = "01"
    itinerary_variation_overflow: str = ""
    leg_sequence: int = 1
    service_type: str = "J"
    operates_from: date
    operates_until: date | None
    days: tuple[int, ...]
    frequency_rate: int = 1
    origin: str
    passenger_departure: int
    aircraft_departure: int | None = None
    departure_utc_variation: int | None = None
    departure_terminal: str = ""
    destination: str
    aircraft_arrival: int | None = None
    passenger_arrival: int
    arrival_utc_variation: int | None = None
    arrival_terminal: str = ""
    aircraft_type: str = ""
    booking_designators: str = ""
    booking_modifiers: str = ""
    meals: str = ""
    joint_operation: str = ""
    minimum_connecting_status: str = ""
    secure_flight: str = ""
    aircraft_owner: str = ""
    cockpit_crew: str = ""
    cabin_crew: str = ""
    onward_carrier: str = ""
    onward_flight: str = ""
    onward_suffix: str = ""
    aircraft_rotation_layover: str = ""
    flight_transit_layover: str = ""
    operating_disclosure: str = ""
    traffic_restriction: str = ""
    traffic_restriction_overflow: str = ""
    configuration: str = ""
    departure_day: int | None = None
    arrival_day: int | None = None
    elements: tuple[SegmentElement, ...] = ()
    line: int = 0


class Trailer(Struct, kw_only=True, frozen=True):
    """Record type 5. `ends` is False when another carrier's schedule follows."""

    carrier: str
    released_on: date | None = None
    serial_check: str = ""
    ends: bool = True


class CarrierSchedule(Struct, kw_only=True):
    """What stands between one record type 2 and its record type 5."""

    carrier: Carrier
    legs: list[FlightLeg] = field(default_factory=list)
    trailer: Trailer | None = None


class ScheduleFile(Struct, kw_only=True):
    """A whole schedule file."""

    header: Header | None = None
    schedules: list[CarrierSchedule] = field(default_factory=list)

    @property
    def legs(self) -> list[FlightLeg]:
        """The legs of every carrier, in file order."""
        return [leg for schedule in self.schedules for leg in schedule.legs]


class Finding(Struct, frozen=True):
    """Something wrong at a place of the file (`line` and `column` count from 1).

    An error means that a record could not be used or that its meaning is in doubt; a warning
    that it was used as it stands.
    """

    line: int
    column: int
    message: str
    severity: Severity = "error"


class Reading(Struct, kw_only=True):
    """What a schedule file says, and everything that is wrong with it."""

    file: ScheduleFile
    findings: list[Finding] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """The findings that stop an import."""
        return [finding for finding in self.findings if finding.severity == "error"]
