"""The special meal of a passenger on a segment."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE meal (
    passenger_id text NOT NULL,
    segment_id text NOT NULL,
    order_id text NOT NULL,
    flight_id text NOT NULL,
    flight text NOT NULL,
    flight_date date NOT NULL,
    code text NOT NULL,
    CONSTRAINT pk_meal PRIMARY KEY (passenger_id, segment_id)
)""")
    op.execute("CREATE INDEX ix_meal_order_id ON meal (order_id)")
    op.execute("CREATE INDEX ix_meal_flight_date ON meal (flight_date)")


def downgrade() -> None:
    op.execute("DROP TABLE meal")
