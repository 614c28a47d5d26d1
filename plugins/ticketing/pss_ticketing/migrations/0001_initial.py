"""Ticket number ranges, sales, tickets and coupons."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE ticket_range (
            accounting_code text NOT NULL,
            first_serial bigint NOT NULL,
            last_serial bigint NOT NULL,
            next_serial bigint NOT NULL,
            CONSTRAINT pk_ticket_range PRIMARY KEY (accounting_code, first_serial),
            CONSTRAINT ck_ticket_range_serials CHECK (
                0 <= first_serial AND first_serial <= next_serial
                AND next_serial <= last_serial + 1 AND last_serial <= 9999999999
            )
        )
    """)
    op.execute("""
        CREATE TABLE ticket_sale (
            order_id text NOT NULL,
            status text NOT NULL,
            paid_minor bigint NOT NULL,
            base_minor bigint NOT NULL,
            tax_minor bigint NOT NULL,
            currency text NOT NULL,
            reason text,
            changed_at timestamp with time zone NOT NULL,
            checked_at timestamp with time zone NOT NULL,
            disagreement text,
            CONSTRAINT pk_ticket_sale PRIMARY KEY (order_id),
            CONSTRAINT ck_ticket_sale_status
                CHECK (status IN ('due', 'failed', 'issued', 'cancelled'))
        )
    """)
    op.execute("""
        CREATE INDEX ix_ticket_sale_unissued ON ticket_sale (changed_at)
        WHERE status IN ('due', 'failed')
    """)
    op.execute("""
        CREATE INDEX ix_ticket_sale_disagreement ON ticket_sale (order_id)
        WHERE disagreement IS NOT NULL
    """)
    op.execute("CREATE INDEX ix_ticket_sale_checked_at ON ticket_sale (checked_at)")
    op.execute("""
        CREATE TABLE ticket (
            number text NOT NULL,
            order_id text NOT NULL,
            passenger_id text NOT NULL,
            passenger_name text NOT NULL,
            first_segment_id text NOT NULL,
            conjunction smallint NOT NULL,
            base_minor bigint NOT NULL,
            tax_minor bigint NOT NULL,
            currency text NOT NULL,
            issued_at timestamp with time zone NOT NULL,
            CONSTRAINT pk_ticket PRIMARY KEY (number),
            CONSTRAINT uq_ticket_order_id_passenger_id_first_segment_id
                UNIQUE (order_id, passenger_id, first_segment_id),
            CONSTRAINT ck_ticket_number CHECK (number ~ '^[0-9]{13}$')
        )
    """)
    op.execute("""
        CREATE TABLE ticket_coupon (
            ticket_number text NOT NULL,
            number smallint NOT NULL,
            passenger_id text NOT NULL,
            segment_id text NOT NULL,
            flight text NOT NULL,
            flight_date date NOT NULL,
            origin text NOT NULL,
            destination text NOT NULL,
            booking_class text NOT NULL,
            fare_basis text NOT NULL,
            status text NOT NULL,
            changed_at timestamp with time zone NOT NULL,
            CONSTRAINT pk_ticket_coupon PRIMARY KEY (ticket_number, number),
            CONSTRAINT uq_ticket_coupon_passenger_id_segment_id
                UNIQUE (passenger_id, segment_id),
            CONSTRAINT fk_ticket_coupon_ticket_number
                FOREIGN KEY (ticket_number) REFERENCES ticket (number),
            CONSTRAINT ck_ticket_coupon_number CHECK (number BETWEEN 1 AND 4),
            CONSTRAINT ck_ticket_coupon_status
                CHECK (status IN ('open', 'checked_in', 'flown', 'refunded', 'void'))
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE ticket_coupon, ticket, ticket_sale, ticket_range")
