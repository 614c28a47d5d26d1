"""The tables of inventory, in the schema of whichever airline the unit of work is bound to."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ARRAY

from pss_kernel import tenant_metadata

__all__ = [
    "airport",
    "flight",
    "flight_segment",
    "leg",
    "leg_cabin",
    "market",
    "metadata",
    "schedule_file",
    "seat_hold",
]

metadata = tenant_metadata()

airport = Table(
    "airport",
    metadata,
    Column("code", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("city", Text, nullable=False),
    Column("country", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
)

flight = Table(
    "flight",
    metadata,
    Column("id", Text, primary_key=True),
    Column("carrier", Text, nullable=False),
    Column("flight_number", Text, nullable=False),
    Column("flight_date", Date, nullable=False),
    Column("status", Text, nullable=False, server_default="scheduled"),
    Column("schedule_digest", Text, nullable=False),
    CheckConstraint("status IN ('scheduled', 'cancelled')", name="status"),
    UniqueConstraint("carrier", "flight_number", "flight_date"),
    Index(None, "flight_date"),
)

leg = Table(
    "leg",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("flight_id", Text, ForeignKey("flight.id", ondelete="CASCADE"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("departing_at", DateTime(timezone=True), nullable=False),
    Column("arriving_at", DateTime(timezone=True), nullable=False),
    Column("aircraft_type", Text, nullable=False),
    UniqueConstraint("flight_id", "sequence"),
)

leg_cabin = Table(
    "leg_cabin",
    metadata,
    Column("leg_id", BigInteger, ForeignKey("leg.id", ondelete="CASCADE"), nullable=False),
    Column("cabin", Text, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("classes", ARRAY(Text), nullable=False),
    Column("authorised", ARRAY(Integer), nullable=False),
    Column("held", ARRAY(Integer), nullable=False),
    Column("sold", ARRAY(Integer), nullable=False),
    PrimaryKeyConstraint("leg_id", "cabin"),
    CheckConstraint(
        "cardinality(authorised) = cardinality(classes)"
        " AND cardinality(held) = cardinality(classes)"
        " AND cardinality(sold) = cardinality(classes)",
        name="classes",
    ),
    CheckConstraint("0 <= ALL (held) AND 0 <= ALL (sold)", name="taken"),
    postgresql_with={"fillfactor": 70},
)

flight_segment = Table(
    "flight_segment",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("flight_id", Text, ForeignKey("flight.id", ondelete="CASCADE"), nullable=False),
    Column("carrier", Text, nullable=False),
    Column("flight_number", Text, nullable=False),
    Column("flight_date", Date, nullable=False),
    Column("origin", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("departure_date", Date, nullable=False),
    Column("departing_at", DateTime(timezone=True), nullable=False),
    Column("arriving_at", DateTime(timezone=True), nullable=False),
    Column("aircraft_type", Text, nullable=False),
    Column("departure_terminal", Text),
    Column("arrival_terminal", Text),
    Column("leg_ids", ARRAY(BigInteger), nullable=False),
    Index(None, "flight_id"),
    Index(None, "origin", "departure_date"),
    Index(None, "origin", "destination", "departing_at"),
)

seat_hold = Table(
    "seat_hold",
    metadata,
    Column("hold_id", Text, nullable=False),
    Column("leg_id", BigInteger, nullable=False),
    Column("cabin", Text, nullable=False),
    Column("booking_class", Text, nullable=False),
    Column("seats", Integer, nullable=False),
    Column("state", Text, nullable=False),
    PrimaryKeyConstraint("hold_id", "leg_id", "cabin", "booking_class"),
    CheckConstraint("seats > 0", name="seats"),
    CheckConstraint("state IN ('held', 'sold', 'released')", name="state"),
)

market = Table(
    "market",
    metadata,
    Column("origin", Text, nullable=False),
    Column("destination", Text, nullable=False),
    PrimaryKeyConstraint("origin", "destination"),
)

schedule_file = Table(
    "schedule_file",
    metadata,
    Column("name", Text, primary_key=True),
    Column("source", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("expanded_until", Date, nullable=False),
    Column("loaded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("source IN ('tenant', 'import')", name="source"),
)
