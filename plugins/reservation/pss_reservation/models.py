"""The tables. `orders` has the plural because ORDER is a reserved word of SQL."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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
    "cancellation",
    "metadata",
    "order_history",
    "order_passenger",
    "order_segment",
    "order_service",
    "orders",
]

metadata = tenant_metadata()
Moment = DateTime(timezone=True)

orders = Table(
    "orders",
    metadata,
    Column("id", Text, primary_key=True),
    Column("booking_reference", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("offer", JSONB, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total_minor", BigInteger, nullable=False),
    Column("departs_at", Moment, nullable=False),
    Column("payment_required_by", Moment, nullable=False),
    Column("attention", Text),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("booking_reference", name="uq_orders_booking_reference"),
    CheckConstraint(
        "status IN ('held', 'confirmed', 'ticketed', 'cancelled', 'expired', 'needs_attention')",
        name="status",
    ),
    CheckConstraint("total_minor >= 0", name="total_minor"),
    Index(
        "ix_orders_payment_required_by",
        "payment_required_by",
        postgresql_where=text("status = 'held'"),
    ),
    Index("ix_orders_attention", "id", postgresql_where=text("attention IS NOT NULL")),
)

order_passenger = Table(
    "order_passenger",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("orders.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("title", Text),
    Column("given_name", Text, nullable=False),
    Column("family_name", Text, nullable=False),
    Column("born_on", Date),
    Column("email", Text),
    Column("phone", Text),
    Column("documents", JSONB, nullable=False),
    Column("infant_of", Text),
    # Sealed since 0002, where born_on, email, phone and documents stood in clear before.
    Column("personal", Personal("date of birth, e-mail, telephone, travel documents")),
    UniqueConstraint("order_id", "position", name="uq_order_passenger_order_id_position"),
    CheckConstraint("type IN ('adult', 'child', 'infant')", name="type"),
)

order_segment = Table(
    "order_segment",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("orders.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("flight_id", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("cabin", Text, nullable=False),
    Column("booking_class", Text, nullable=False),
    Column("leg_ids", ARRAY(BigInteger), nullable=False),
    UniqueConstraint("order_id", "position", name="uq_order_segment_order_id_position"),
    Index("ix_order_segment_flight_id", "flight_id"),
)

order_service = Table(
    "order_service",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("orders.id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("passenger_id", Text, nullable=False),
    Column("segment_id", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("price_minor", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint(
        "passenger_id",
        "segment_id",
        "type",
        name="uq_order_service_passenger_id_segment_id_type",
    ),
    Index("ix_order_service_order_id", "order_id"),
)

order_history = Table(
    "order_history",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("order_id", Text, ForeignKey("orders.id"), nullable=False),
    Column("occurred_at", Moment, nullable=False),
    Column("change", Text, nullable=False),
    Column("from_status", Text),
    Column("to_status", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Index("ix_order_history_order_id", "order_id", "id"),
)

cancellation = Table(
    "cancellation",
    metadata,
    Column("id", Text, primary_key=True),
    Column("order_id", Text, ForeignKey("orders.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("paid", Boolean, nullable=False),
    Column("currency", Text, nullable=False),
    Column("refund_minor", BigInteger, nullable=False),
    Column("penalty_minor", BigInteger, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("confirmed_at", Moment),
    CheckConstraint("status IN ('quoted', 'confirmed')", name="status"),
    CheckConstraint("refund_minor >= 0 AND penalty_minor >= 0", name="amounts"),
    Index(
        "uq_cancellation_confirmed",
        "order_id",
        unique=True,
        postgresql_where=text("status = 'confirmed'"),
    ),
)
