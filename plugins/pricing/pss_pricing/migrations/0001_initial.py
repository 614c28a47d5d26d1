"""Filed fares and taxes, and the offers made from them."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
    CREATE TABLE price_filing (
        kind text NOT NULL,
        version text NOT NULL,
        document jsonb NOT NULL,
        filed_at timestamptz NOT NULL DEFAULT now(),
        CONSTRAINT pk_price_filing PRIMARY KEY (kind),
        CONSTRAINT ck_price_filing_kind CHECK (kind IN ('fares', 'taxes'))
    )
    """)
    op.execute("""
    CREATE TABLE fare (
        id bigint GENERATED ALWAYS AS IDENTITY,
        origin text NOT NULL,
        destination text NOT NULL,
        brand text NOT NULL,
        booking_class text NOT NULL,
        basis text NOT NULL,
        one_way_minor bigint,
        round_trip_minor bigint,
        advance_purchase_days integer NOT NULL,
        minimum_stay_nights integer NOT NULL,
        valid_from date,
        valid_until date,
        CONSTRAINT pk_fare PRIMARY KEY (id),
        CONSTRAINT ck_fare_one_way CHECK (one_way_minor >= 0),
        CONSTRAINT ck_fare_round_trip CHECK (round_trip_minor >= 0),
        CONSTRAINT ck_fare_amount CHECK (num_nonnulls(one_way_minor, round_trip_minor) > 0),
        CONSTRAINT ck_fare_advance_purchase CHECK (advance_purchase_days >= 0),
        CONSTRAINT ck_fare_minimum_stay CHECK (minimum_stay_nights >= 0),
        CONSTRAINT ck_fare_validity CHECK (valid_from <= valid_until)
    )
    """)
    op.execute("CREATE INDEX ix_fare_origin_destination ON fare (origin, destination)")
    # Offers live for minutes and can be asked for again: they need not survive a crash of the
    # server, so they cost no write-ahead log. Each element is one offer as JSON text: read one
    # at a time and never searched, it is stored neither parsed nor compressed, which makes the
    # insert four to five times as fast as jsonb.
    op.execute("""
    CREATE UNLOGGED TABLE offer_request (
        key text NOT NULL,
        expires_at timestamptz NOT NULL,
        offers bytea[] NOT NULL,
        CONSTRAINT pk_offer_request PRIMARY KEY (key)
    )
    """)
    op.execute("ALTER TABLE offer_request ALTER COLUMN offers SET STORAGE EXTERNAL")
    op.execute("CREATE INDEX ix_offer_request_expires_at ON offer_request (expires_at)")


def downgrade() -> None:
    op.execute("DROP TABLE offer_request")
    op.execute("DROP TABLE fare")
    op.execute("DROP TABLE price_filing")
