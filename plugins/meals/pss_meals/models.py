from sqlalchemy import Column, Date, Index, Table, Text

from pss_kernel import tenant_metadata

__all__ = ["meal", "metadata"]

metadata = tenant_metadata()

meal = Table(
    "meal",
    metadata,
    Column("passenger_id", Text, primary_key=True),
    Column("segment_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("flight_id", Text, nullable=False),
    Column("flight", Text, nullable=False),
    Column("flight_date", Date, nullable=False),
    Column("code", Text, nullable=False),
    Index("ix_meal_order_id", "order_id"),
    Index("ix_meal_flight_date", "flight_date"),
)
