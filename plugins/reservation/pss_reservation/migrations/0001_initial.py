"""Orders with their passengers, segments, services, history and cancellations."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE orders (
    id text NOT NULL,
    booking_reference text NOT NULL,
    status text NOT NULL,
    offer jsonb NOT NULL,
    currency text NOT NULL,
    total_minor bigint NOT NULL,
    departs_at timestamptz NOT NULL,
    payment_required_by timestamptz NOT NULL,
    attention text,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_orders PRIMARY KEY (id),
    CONSTRAINT uq_orders_booking_reference UNIQUE (booking_reference),
    CONSTRAINT ck_orders_status CHECK (status IN
        ('held', 'confirmed', 'ticketed', 'cancelled', 'expired', 'needs_attention')),
    CONSTRAINT ck_orders_total_minor CHECK (total_minor >= 0)
)""")
    op.execute("""
CREATE INDEX ix_orders_payment_required_by ON orders (payment_required_by)
    WHERE status = 'held'""")
    op.execute("CREATE INDEX ix_orders_attention ON orders (id) WHERE attention IS NOT NULL")
    op.execute("""
CREATE TABLE order_passenger (
    id text NOT NULL,
    order_id text NOT NULL,
    position integer NOT NULL,
    type text NOT NULL,
    title text,
    given_name text NOT NULL,
    family_name text NOT NULL,
    born_on date,
    email text,
    phone text,
    documents jsonb NOT NULL,
    infant_of text,
    CONSTRAINT pk_order_passenger PRIMARY KEY (id),
    CONSTRAINT uq_order_passenger_order_id_position UNIQUE (order_id, position),
    CONSTRAINT fk_order_passenger_order_id FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT ck_order_passenger_type CHECK (type IN ('adult', 'child', 'infant'))
)""")
    op.execute("""
CREATE TABLE order_segment (
    id text NOT NULL,
    order_id text NOT NULL,
    position integer NOT NULL,
    flight_id text NOT NULL,
    origin text NOT NULL,
    destination text NOT NULL,
    cabin text NOT NULL,
    booking_class text NOT NULL,
    leg_ids bigint[] NOT NULL,
    CONSTRAINT pk_order_segment PRIMARY KEY (id),
    CONSTRAINT uq_order_segment_order_id_position UNIQUE (order_id, position),
    CONSTRAINT fk_order_segment_order_id FOREIGN KEY (order_id) REFERENCES orders (id)
)""")
    op.execute("CREATE INDEX ix_order_segment_flight_id ON order_segment (flight_id)")
    op.execute("""
CREATE TABLE order_service (
    id text NOT NULL,
    order_id text NOT NULL,
    type text NOT NULL,
    passenger_id text NOT NULL,
    segment_id text NOT NULL,
    detail text NOT NULL,
    currency text NOT NULL,
    price_minor bigint NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_order_service PRIMARY KEY (id),
    CONSTRAINT uq_order_service_passenger_id_segment_id_type
        UNIQUE (passenger_id, segment_id, type),
    CONSTRAINT fk_order_service_order_id FOREIGN KEY (order_id) REFERENCES orders (id)
)""")
    op.execute("CREATE INDEX ix_order_service_order_id ON order_service (order_id)")
    op.execute("""
CREATE TABLE order_history (
    id bigint GENERATED ALWAYS AS IDENTITY,
    order_id text NOT NULL,
    occurred_at timestamptz NOT NULL,
    change text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    actor text NOT NULL,
    detail text NOT NULL,
    CONSTRAINT pk_order_history PRIMARY KEY (id),
    CONSTRAINT fk_order_history_order_id FOREIGN KEY (order_id) REFERENCES orders (id)
)""")
    op.execute("CREATE INDEX ix_order_history_order_id ON order_history (order_id, id)")
    op.execute("""
CREATE TABLE cancellation (
    id text NOT NULL,
    order_id text NOT NULL,
    status text NOT NULL,
    paid boolean NOT NULL,
    currency text NOT NULL,
    refund_minor bigint NOT NULL,
    penalty_minor bigint NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    CONSTRAINT pk_cancellation PRIMARY KEY (id),
    CONSTRAINT fk_cancellation_order_id FOREIGN KEY (order_id) REFERENCES orders (id),
    CONSTRAINT ck_cancellation_status CHECK (status IN ('quoted', 'confirmed')),
    CONSTRAINT ck_cancellation_amounts CHECK (refund_minor >= 0 AND penalty_minor >= 0)
)""")
    op.execute("""
CREATE UNIQUE INDEX uq_cancellation_confirmed ON cancellation (order_id)
    WHERE status = 'confirmed'""")


def downgrade() -> None:
    op.execute("""
DROP TABLE cancellation, order_history, order_service, order_segment, order_passenger, orders""")
