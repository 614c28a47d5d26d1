"""The tables of this plugin. A scan keeps the barcode's digest only: it names a person."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from pss_kernel import tenant_metadata

__all__ = ["boarding", "boarding_scan", "metadata"]

metadata = tenant_metadata()

boarding = Table(
    "boarding",
    metadata,
    Column("check_in_id", Text, primary_key=True),
    Column("flight_id", Text, nullable=False, index=True),
    Column("passenger_id", Text, nullable=False),
    Column("segment_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("seat", Text),
    Column("sequence", Integer, nullable=False),
    Column("board_point", Text, nullable=False),
    Column("boarded_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("passenger_id", "segment_id"),
)

boarding_scan = Table(
    "boarding_scan",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("flight_id", Text, nullable=False),
    Column("scanned_at", DateTime(timezone=True), nullable=False),
    Column("board_point", Text),
    Column("result", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("passenger_id", Text),
    Column("barcode_sha256", Text, nullable=False),
    Column("actor", Text, nullable=False),
    CheckConstraint(
        "result IN ('boarded', 'already_boarded', 'wrong_flight', 'wrong_date',"
        " 'not_checked_in', 'unknown_passenger', 'offloaded', 'unreadable')",
        name="result",
    ),
    Index(None, "flight_id", "id"),
)
