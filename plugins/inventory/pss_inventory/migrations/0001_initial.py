"""Airports, dated flights, their seats, holds on them, and the schedule files they came from."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE airport (
    code text CONSTRAINT pk_airport PRIMARY KEY,
    name text NOT NULL,
    city text NOT NULL,
    country text NOT NULL,
    time_zone text NOT NULL
);

CREATE TABLE flight (
    id text CONSTRAINT pk_flight PRIMARY KEY,
    carrier text NOT NULL,
    flight_number text NOT NULL,
    flight_date date NOT NULL,
    status text NOT NULL DEFAULT 'scheduled',
    schedule_digest text NOT NULL,
    CONSTRAINT ck_flight_status CHECK (status IN ('scheduled', 'cancelled')),
    CONSTRAINT uq_flight_carrier_flight_number_flight_date
        UNIQUE (carrier, flight_number, flight_date)
);
CREATE INDEX ix_flight_flight_date ON flight (flight_date);

CREATE TABLE leg (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_leg PRIMARY KEY,
    flight_id text NOT NULL CONSTRAINT fk_leg_flight_id REFERENCES flight ON DELETE CASCADE,
    sequence integer NOT NULL,
    origin text NOT NULL,
    destination text NOT NULL,
    departing_at timestamptz NOT NULL,
    arriving_at timestamptz NOT NULL,
    aircraft_type text NOT NULL,
    CONSTRAINT uq_leg_flight_id_sequence UNIQUE (flight_id, sequence)
);

CREATE TABLE leg_cabin (
    leg_id bigint NOT NULL CONSTRAINT fk_leg_cabin_leg_id REFERENCES leg ON DELETE CASCADE,
    cabin text NOT NULL,
    capacity integer NOT NULL,
    classes text[] NOT NULL,
    authorised integer[] NOT NULL,
    held integer[] NOT NULL,
    sold integer[] NOT NULL,
    CONSTRAINT pk_leg_cabin PRIMARY KEY (leg_id, cabin),
    CONSTRAINT ck_leg_cabin_classes CHECK (
        cardinality(authorised) = cardinality(classes)
        AND cardinality(held) = cardinality(classes)
        AND cardinality(sold) = cardinality(classes)
    ),
    CONSTRAINT ck_leg_cabin_taken CHECK (0 <= ALL (held) AND 0 <= ALL (sold))
) WITH (fillfactor = 70);

CREATE TABLE flight_segment (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_flight_segment PRIMARY KEY,
    flight_id text NOT NULL
        CONSTRAINT fk_flight_segment_flight_id REFERENCES flight ON DELETE CASCADE,
    carrier text NOT NULL,
    flight_number text NOT NULL,
    flight_date date NOT NULL,
    origin text NOT NULL,
    destination text NOT NULL,
    departure_date date NOT NULL,
    departing_at timestamptz NOT NULL,
    arriving_at timestamptz NOT NULL,
    aircraft_type text NOT NULL,
    departure_terminal text,
    arrival_terminal text,
    leg_ids bigint[] NOT NULL
);
CREATE INDEX ix_flight_segment_flight_id ON flight_segment (flight_id);
CREATE INDEX ix_flight_segment_origin_departure_date ON flight_segment (origin, departure_date);
CREATE INDEX ix_flight_segment_origin_destination_departing_at
    ON flight_segment (origin, destination, departing_at);

CREATE TABLE seat_hold (
    hold_id text NOT NULL,
    leg_id bigint NOT NULL,
    cabin text NOT NULL,
    booking_class text NOT NULL,
    seats integer NOT NULL,
    state text NOT NULL,
    CONSTRAINT pk_seat_hold PRIMARY KEY (hold_id, leg_id, cabin, booking_class),
    CONSTRAINT ck_seat_hold_seats CHECK (seats > 0),
    CONSTRAINT ck_seat_hold_state CHECK (state IN ('held', 'sold', 'released'))
);

CREATE TABLE market (
    origin text NOT NULL,
    destination text NOT NULL,
    CONSTRAINT pk_market PRIMARY KEY (origin, destination)
);

CREATE TABLE schedule_file (
    name text CONSTRAINT pk_schedule_file PRIMARY KEY,
    source text NOT NULL,
    content bytea NOT NULL,
    expanded_until date NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ck_schedule_file_source CHECK (source IN ('tenant', 'import'))
);
"""


def upgrade() -> None:
    op.execute(TABLES)


def downgrade() -> None:
    op.execute(
        "DROP TABLE schedule_file, market, seat_hold, flight_segment, leg_cabin, leg, flight,"
        " airport"
    )
