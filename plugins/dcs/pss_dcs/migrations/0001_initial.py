from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE seat_map (
            aircraft_type text CONSTRAINT pk_seat_map PRIMARY KEY,
            layout jsonb NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE seat_assignment (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_seat_assignment PRIMARY KEY,
            leg_id bigint NOT NULL,
            seat text NOT NULL,
            order_id text NOT NULL,
            passenger_id text NOT NULL,
            segment_id text NOT NULL,
            assigned_at timestamptz NOT NULL DEFAULT now(),
            released_at timestamptz
        )
    """)
    # Who has a seat is decided here: one passenger per seat and leg, one seat per passenger.
    op.execute("""
        CREATE UNIQUE INDEX uq_seat_assignment_leg_id_seat
        ON seat_assignment (leg_id, seat) WHERE released_at IS NULL
    """)
    op.execute("""
        CREATE UNIQUE INDEX uq_seat_assignment_leg_id_passenger_id
        ON seat_assignment (leg_id, passenger_id) WHERE released_at IS NULL
    """)
    op.execute("CREATE INDEX ix_seat_assignment_order_id ON seat_assignment (order_id)")
    op.execute("""
        CREATE TABLE check_in_sequence (
            leg_id bigint CONSTRAINT pk_check_in_sequence PRIMARY KEY,
            last_sequence integer NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE boarding_pass (
            id text CONSTRAINT pk_boarding_pass PRIMARY KEY,
            order_id text NOT NULL,
            passenger_id text NOT NULL,
            bcbp text NOT NULL,
            issued_at timestamptz NOT NULL,
            voided_at timestamptz
        )
    """)
    op.execute("CREATE INDEX ix_boarding_pass_order_id ON boarding_pass (order_id)")
    op.execute("""
        CREATE TABLE check_in (
            id text CONSTRAINT pk_check_in PRIMARY KEY,
            order_id text NOT NULL,
            booking_reference text NOT NULL,
            passenger_id text NOT NULL,
            passenger_type text NOT NULL,
            title text,
            given_name text NOT NULL,
            family_name text NOT NULL,
            infant_of text,
            segment_id text NOT NULL,
            flight_id text NOT NULL,
            flight text NOT NULL,
            flight_date date NOT NULL,
            origin text NOT NULL,
            destination text NOT NULL,
            leg_ids bigint[] NOT NULL,
            board_leg_id bigint NOT NULL,
            cabin text NOT NULL,
            booking_class text NOT NULL,
            seat text,
            sequence integer NOT NULL,
            ticket_number text NOT NULL,
            coupon_number integer NOT NULL,
            boarding_pass_id text NOT NULL
                CONSTRAINT fk_check_in_boarding_pass_id REFERENCES boarding_pass (id),
            travel_document jsonb,
            checked_in_at timestamptz NOT NULL,
            offloaded_at timestamptz,
            CONSTRAINT uq_check_in_board_leg_id_sequence UNIQUE (board_leg_id, sequence),
            CONSTRAINT ck_check_in_passenger_type
                CHECK (passenger_type IN ('adult', 'child', 'infant'))
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX uq_check_in_passenger_id_segment_id
        ON check_in (passenger_id, segment_id) WHERE offloaded_at IS NULL
    """)
    op.execute("CREATE INDEX ix_check_in_flight_id ON check_in (flight_id)")
    op.execute("CREATE INDEX ix_check_in_order_id ON check_in (order_id)")
    op.execute("CREATE INDEX ix_check_in_boarding_pass_id ON check_in (boarding_pass_id)")
    op.execute("""
        CREATE TABLE bag_tag_counter (
            accounting_code text CONSTRAINT pk_bag_tag_counter PRIMARY KEY,
            last_serial integer NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE bag (
            tag text CONSTRAINT pk_bag PRIMARY KEY,
            order_id text NOT NULL,
            passenger_id text NOT NULL,
            boarding_pass_id text NOT NULL
                CONSTRAINT fk_bag_boarding_pass_id REFERENCES boarding_pass (id),
            destination text NOT NULL,
            declared_weight_kg integer,
            issued_at timestamptz NOT NULL,
            offloaded_at timestamptz,
            CONSTRAINT ck_bag_tag CHECK (tag ~ '^[0-9]{10}$')
        )
    """)
    op.execute("CREATE INDEX ix_bag_boarding_pass_id ON bag (boarding_pass_id)")


def downgrade() -> None:
    op.execute("DROP TABLE bag, bag_tag_counter, check_in, boarding_pass, check_in_sequence")
    op.execute("DROP TABLE seat_assignment, seat_map")
