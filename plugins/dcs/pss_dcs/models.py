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
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from pss_kernel import Personal, tenant_metadata

__all__ = [
    "bag",
    "bag_tag_counter",
    "boarding_pass",
    "check_in",
    "check_in_sequence",
    "metadata",
    "seat_assignment",
    "seat_map",
]

metadata = tenant_metadata()
Moment = DateTime(timezone=True)

seat_map = Table(
    "seat_map",
    metadata,
    Column("aircraft_type", Text, primary_key=True),
    Column("layout", JSONB, nullable=False),
)

seat_assignment = Table(
    "seat_assignment",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("leg_id", BigInteger, nullable=False),
    Column("seat", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("passenger_id", Text, nullable=False),
    Column("segment_id", Text, nullable=False),
    Column("assigned_at", Moment, nullable=False, server_default=text("now()")),
    Column("released_at", Moment),
    Index(
        "uq_seat_assignment_leg_id_seat",
        "leg_id",
        "seat",
        unique=True,
        postgresql_where=text("released_at IS NULL"),
    ),
    Index(
        "uq_seat_assignment_leg_id_passenger_id",
        "leg_id",
        "passenger_id",
        unique=True,
        postgresql_where=text("released_at IS NULL"),
    ),
    Index("ix_seat_assignment_order_id", "order_id"),
)

check_in_sequence = Table(
    "check_in_sequence",
    metadata,
    Column("leg_id", BigInteger, primary_key=True, autoincrement=False),
    Column("last_sequence", Integer, nullable=False),
)

boarding_pass = Table(
    "boarding_pass",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("passenger_id", Text, nullable=False),
    Column("bcbp", Text, nullable=False),
    Column("issued_at", Moment, nullable=False),
    Column("voided_at", Moment),
    Index("ix_boarding_pass_order_id", "order_id"),
)

check_in = Table(
    "check_in",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("booking_reference", Text, nullable=False),
    Column("passenger_id", Text, nullable=False),
    Column("passenger_type", Text, nullable=False),
    Column("title", Text),
    Column("given_name", Text, nullable=False),
    Column("family_name", Text, nullable=False),
    Column("infant_of", Text),
    Column("segment_id", Text, nullable=False),
    Column("flight_id", Text, nullable=False),
    Column("flight", Text, nullable=False),
    Column("flight_date", Date, nullable=False),
    Column("origin", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("leg_ids", ARRAY(BigInteger), nullable=False),
    Column("board_leg_id", BigInteger, nullable=False),
    Column("cabin", Text, nullable=False),
    Column("booking_class", Text, nullable=False),
    Column("seat", Text),
    Column("sequence", Integer, nullable=False),
    Column("ticket_number", Text, nullable=False),
    Column("coupon_number", Integer, nullable=False),
    Column("boarding_pass_id", Text, ForeignKey("boarding_pass.id"), nullable=False),
    Column("travel_document", JSONB),  # in clear, before 0002
    Column("sealed_document", Personal("travel document")),
    Column("checked_in_at", Moment, nullable=False),
    Column("offloaded_at", Moment),
    UniqueConstraint("board_leg_id", "sequence", name="uq_check_in_board_leg_id_sequence"),
    CheckConstraint("passenger_type IN ('adult', 'child', 'infant')", name="passenger_type"),
    Index(
        "uq_check_in_passenger_id_segment_id",
        "passenger_id",
        "segment_id",
        unique=True,
        postgresql_where=text("offloaded_at IS NULL"),
    ),
    Index("ix_check_in_flight_id", "flight_id"),
    Index("ix_check_in_order_id", "order_id"),
    Index("ix_check_in_boarding_pass_id", "boarding_pass_id"),
)

bag_tag_counter = Table(
    "bag_tag_counter",
    metadata,
    Column("accounting_code", Text, primary_key=True),
    Column("last_serial", Integer, nullable=False),
)

bag = Table(
    "bag",
    metadata,
    Column("tag", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("passenger_id", Text, nullable=False),
    Column("boarding_pass_id", Text, ForeignKey("boarding_pass.id"), nullable=False),
    Column("destination", Text, nullable=False),
    Column("declared_weight_kg", Integer),
    Column("issued_at", Moment, nullable=False),
    Column("offloaded_at", Moment),
    CheckConstraint("tag ~ '^[0-9]{10}$'", name="tag"),
    Index("ix_bag_boarding_pass_id", "boarding_pass_id"),
)
