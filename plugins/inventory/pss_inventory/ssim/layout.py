"""Which columns hold what, for the five record types (columns count from 1)."""

from typing import NamedTuple

from .codecs import (
    AIRPORT,
    CARRIER,
    DATE,
    DATE_VARIATION,
    DAYS,
    FREQUENCY,
    OPEN_DATE,
    OPTIONAL_DATE,
    OPTIONAL_TIME,
    TEXT,
    TIME,
    TIME_MODE,
    UTC_VARIATION,
    Codec,
    number,
)

__all__ = [
    "CARRIER_COLUMNS",
    "ELEMENT_COLUMNS",
    "HEADER_COLUMNS",
    "LEG_COLUMNS",
    "SERIAL_COLUMN",
    "TRAILER_COLUMNS",
    "WIDTH",
    "Column",
]

WIDTH = 200
SERIAL_COLUMN = 195


class Column(NamedTuple):
    """A field of a record. Without a `required` one that can be read, the record is unusable."""

    name: str
    first: int
    last: int
    codec: Codec = TEXT
    required: bool = False


HEADER_COLUMNS = (
    Column("title", 2, 35),
    Column("number_of_seasons", 41, 41),
    Column("data_set_serial", 192, 194),
)

CARRIER_COLUMNS = (
    Column("time_mode", 2, 2, TIME_MODE, required=True),
    Column("carrier", 3, 5, CARRIER, required=True),
    Column("season", 11, 13),
    Column("valid_from", 15, 21, OPTIONAL_DATE),
    Column("valid_until", 22, 28, OPEN_DATE),
    Column("created_on", 29, 35, OPTIONAL_DATE),
    Column("title", 36, 64),
    Column("released_on", 65, 71, OPTIONAL_DATE),
    Column("status", 72, 72),
    Column("creator_reference", 73, 107),
    Column("duplicate_designator_marker", 108, 108),
    Column("general_information", 109, 169),
    Column("in_flight_service", 170, 188),
    Column("electronic_ticketing", 189, 190),
    Column("creation_time", 191, 194),
)

_FLIGHT_COLUMNS = (
    Column("operational_suffix", 2, 2),
    Column("carrier", 3, 5, CARRIER, required=True),
    Column("flight_number", 6, 9, number(4, 1), required=True),
    Column("itinerary_variation", 10, 11),
    Column("leg_sequence", 12, 13, number(2, 1, fill="0"), required=True),
    Column("service_type", 14, 14),
)

LEG_COLUMNS = (
    *_FLIGHT_COLUMNS,
    Column("operates_from", 15, 21, DATE, required=True),
    Column("operates_until", 22, 28, OPEN_DATE, required=True),
    Column("days", 29, 35, DAYS, required=True),
    Column("frequency_rate", 36, 36, FREQUENCY, required=True),
    Column("origin", 37, 39, AIRPORT, required=True),
    Column("passenger_departure", 40, 43, TIME, required=True),
    Column("aircraft_departure", 44, 47, OPTIONAL_TIME),
    Column("departure_utc_variation", 48, 52, UTC_VARIATION),
    Column("departure_terminal", 53, 54),
    Column("destination", 55, 57, AIRPORT, required=True),
    Column("aircraft_arrival", 58, 61, OPTIONAL_TIME),
    Column("passenger_arrival", 62, 65, TIME, required=True),
    Column("arrival_utc_variation", 66, 70, UTC_VARIATION),
    Column("arrival_terminal", 71, 72),
    Column("aircraft_type", 73, 75),
    Column("booking_designators", 76, 95),
    Column("booking_modifiers", 96, 100),
    Column("meals", 101, 110),
    Column("joint_operation", 111, 119),
    Column("minimum_connecting_status", 120, 121),
    Column("secure_flight", 122, 122),
    Column("itinerary_variation_overflow", 128, 128),
    Column("aircraft_owner", 129, 131),
    Column("cockpit_crew", 132, 134),
    Column("cabin_crew", 135, 137),
    Column("onward_carrier", 138, 140),
    Column("onward_flight", 141, 144),
    Column("aircraft_rotation_layover", 145, 145),
    Column("onward_suffix", 146, 146),
    Column("flight_transit_layover", 148, 148),
    Column("operating_disclosure", 149, 149),
    Column("traffic_restriction", 150, 160),
    Column("traffic_restriction_overflow", 161, 161),
    Column("configuration", 173, 192),
    Column("departure_day", 193, 193, DATE_VARIATION),
    Column("arrival_day", 194, 194, DATE_VARIATION),
)

ELEMENT_COLUMNS = (
    *_FLIGHT_COLUMNS,
    Column("itinerary_variation_overflow", 28, 28),
    Column("board_point_indicator", 29, 29),
    Column("off_point_indicator", 30, 30),
    Column("dei", 31, 33, number(3, fill="0"), required=True),
    Column("board_point", 34, 36),
    Column("off_point", 37, 39),
    Column("element", 40, 194),
)

TRAILER_COLUMNS = (
    Column("carrier", 3, 5, CARRIER, required=True),
    Column("released_on", 6, 12, OPTIONAL_DATE),
    Column("serial_check", 188, 193),
)
