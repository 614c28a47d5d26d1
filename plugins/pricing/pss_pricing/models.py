"""The tables of pricing; the migrations make them, this describes them for queries."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from pss_kernel import tenant_metadata

__all__ = ["fare", "metadata", "offer_request", "price_filing"]

metadata = tenant_metadata()

price_filing = Table(
    "price_filing",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("filed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("kind IN ('fares', 'taxes')", name="kind"),
)

fare = Table(
    "fare",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("origin", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("brand", Text, nullable=False),
    Column("booking_class", Text, nullable=False),
    Column("basis", Text, nullable=False),
    Column("one_way_minor", BigInteger),
    Column("round_trip_minor", BigInteger),
    Column("advance_purchase_days", Integer, nullable=False),
    Column("minimum_stay_nights", Integer, nullable=False),
    Column("valid_from", Date),
    Column("valid_until", Date),
    CheckConstraint("one_way_minor >= 0", name="one_way"),
    CheckConstraint("round_trip_minor >= 0", name="round_trip"),
    CheckConstraint("num_nonnulls(one_way_minor, round_trip_minor) > 0", name="amount"),
    CheckConstraint("advance_purchase_days >= 0", name="advance_purchase"),
    CheckConstraint("minimum_stay_nights >= 0", name="minimum_stay"),
    CheckConstraint("valid_from <= valid_until", name="validity"),
    Index("ix_fare_origin_destination", "origin", "destination"),
)

offer_request = Table(
    "offer_request",
    metadata,
    Column("key", Text, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("offers", ARRAY(LargeBinary), nullable=False),
    Index("ix_offer_request_expires_at", "expires_at"),
    prefixes=["UNLOGGED"],
)
