"""Passengers on board, and every scan at the gate."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE boarding (
            check_in_id text NOT NULL,
            flight_id text NOT NULL,
            passenger_id text NOT NULL,
            segment_id text NOT NULL,
            name text NOT NULL,
            seat text,
            sequence integer NOT NULL,
            board_point text NOT NULL,
            boarded_at timestamp with time zone NOT NULL,
            CONSTRAINT pk_boarding PRIMARY KEY (check_in_id),
            CONSTRAINT uq_boarding_passenger_id_segment_id UNIQUE (passenger_id, segment_id)
        )
    """)
    op.execute("CREATE INDEX ix_boarding_flight_id ON boarding (flight_id)")
    op.execute("""
        CREATE TABLE boarding_scan (
            id bigint GENERATED ALWAYS AS IDENTITY,
            flight_id text NOT NULL,
            scanned_at timestamp with time zone NOT NULL,
            board_point text,
            result text NOT NULL,
            detail text NOT NULL,
            passenger_id text,
            barcode_sha256 text NOT NULL,
            actor text NOT NULL,
            CONSTRAINT pk_boarding_scan PRIMARY KEY (id),
            CONSTRAINT ck_boarding_scan_result CHECK (result IN (
                'boarded', 'already_boarded', 'wrong_flight', 'wrong_date', 'not_checked_in',
                'unknown_passenger', 'offloaded', 'unreadable'
            ))
        )
    """)
    op.execute("CREATE INDEX ix_boarding_scan_flight_id_id ON boarding_scan (flight_id, id)")


def downgrade() -> None:
    op.execute("DROP TABLE boarding_scan, boarding")
