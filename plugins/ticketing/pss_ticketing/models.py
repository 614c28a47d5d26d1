"""The tables of this plugin; `ticket_sale` is the state of issuing one paid order."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from pss_kernel import tenant_metadata

__all__ = ["metadata", "ticket", "ticket_coupon", "ticket_range", "ticket_sale"]

metadata = tenant_metadata()

ticket_range = Table(
    "ticket_range",
    metadata,
    Column("accounting_code", Text, primary_key=True),
    Column("first_serial", BigInteger, primary_key=True, autoincrement=False),
    Column("last_serial", BigInteger, nullable=False),
    Column("next_serial", BigInteger, nullable=False),
    CheckConstraint(
        "0 <= first_serial AND first_serial <= next_serial"
        " AND next_serial <= last_serial + 1 AND last_serial <= 9999999999",
        name="serials",
    ),
)

ticket_sale = Table(
    "ticket_sale",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("paid_minor", BigInteger, nullable=False),
    Column("base_minor", BigInteger, nullable=False),
    Column("tax_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("reason", Text),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Column("checked_at", DateTime(timezone=True), nullable=False, index=True),
    Column("disagreement", Text),
    CheckConstraint("status IN ('due', 'failed', 'issued', 'cancelled')", name="status"),
    Index(
        "ix_ticket_sale_unissued",
        "changed_at",
        postgresql_where=text("status IN ('due', 'failed')"),
    ),
    Index(
        "ix_ticket_sale_disagreement",
        "order_id",
        postgresql_where=text("disagreement IS NOT NULL"),
    ),
)

ticket = Table(
    "ticket",
    metadata,
    Column("number", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("passenger_id", Text, nullable=False),
    Column("passenger_name", Text, nullable=False),
    Column("first_segment_id", Text, nullable=False),
    Column("conjunction", SmallInteger, nullable=False),
    Column("base_minor", BigInteger, nullable=False),
    Column("tax_minor", BigInteger, nullable=False),
    Column("currency", Text, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("order_id", "passenger_id", "first_segment_id"),
    CheckConstraint("number ~ '^[0-9]{13}$'", name="number"),
)

ticket_coupon = Table(
    "ticket_coupon",
    metadata,
    Column("ticket_number", Text, ForeignKey(ticket.c.number), primary_key=True),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("passenger_id", Text, nullable=False),
    Column("segment_id", Text, nullable=False),
    Column("flight", Text, nullable=False),
    Column("flight_date", Date, nullable=False),
    Column("origin", Text, nullable=False),
    Column("destination", Text, nullable=False),
    Column("booking_class", Text, nullable=False),
    Column("fare_basis", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("passenger_id", "segment_id"),
    CheckConstraint("number BETWEEN 1 AND 4", name="number"),
    CheckConstraint("status IN ('open', 'checked_in', 'flown', 'refunded', 'void')", name="status"),
)
