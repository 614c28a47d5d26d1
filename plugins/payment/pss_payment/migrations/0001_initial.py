"""Payments, refunds, and the ledger of each order."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE payment (
    id text NOT NULL CONSTRAINT pk_payment PRIMARY KEY,
    order_id text NOT NULL,
    caller text NOT NULL,
    idempotency_key text,
    gateway text NOT NULL,
    method_type text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_payment_amount_minor CHECK (amount_minor > 0),
    currency text NOT NULL,
    status text NOT NULL CONSTRAINT ck_payment_status CHECK (status IN (
        'pending', 'requires_action', 'authorised', 'captured', 'voiding', 'abandoned', 'failed'
    )),
    gateway_reference text,
    action_url text,
    failure_code text,
    failure_detail text,
    attempts integer NOT NULL,
    attempt_at timestamptz NOT NULL,
    deadline_at timestamptz,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT uq_payment_caller_idempotency_key UNIQUE (caller, idempotency_key)
)
""")
    op.execute("""
CREATE UNIQUE INDEX uq_payment_order_id_active ON payment (order_id)
    WHERE status IN ('pending', 'requires_action', 'authorised')
""")
    op.execute("""
CREATE INDEX ix_payment_unsettled ON payment (attempt_at)
    WHERE status IN ('pending', 'requires_action', 'authorised', 'voiding', 'abandoned')
""")
    op.execute("""
CREATE TABLE refund (
    id text NOT NULL CONSTRAINT pk_refund PRIMARY KEY,
    payment_id text NOT NULL CONSTRAINT fk_refund_payment_id REFERENCES payment (id),
    order_id text NOT NULL,
    reason text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT ck_refund_amount_minor CHECK (amount_minor > 0),
    currency text NOT NULL,
    status text NOT NULL CONSTRAINT ck_refund_status
        CHECK (status IN ('pending', 'refunded', 'refused')),
    decline_reason text,
    retries integer NOT NULL,
    attempts integer NOT NULL,
    attempt_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT uq_refund_payment_id_reason UNIQUE (payment_id, reason)
)
""")
    op.execute("CREATE INDEX ix_refund_order_id ON refund (order_id)")
    op.execute("CREATE INDEX ix_refund_pending ON refund (attempt_at) WHERE status = 'pending'")
    op.execute("""
CREATE TABLE order_account (
    order_id text NOT NULL CONSTRAINT pk_order_account PRIMARY KEY,
    currency text NOT NULL,
    deposits_minor bigint NOT NULL
        CONSTRAINT ck_order_account_deposits_minor CHECK (deposits_minor >= 0),
    cancellation_refund_minor bigint,
    cancellation_penalty_minor bigint,
    cancellation_settled_at timestamptz
)
""")
    op.execute("""
CREATE TABLE ledger_entry (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_ledger_entry PRIMARY KEY,
    posting_id text NOT NULL,
    order_id text NOT NULL
        CONSTRAINT fk_ledger_entry_order_id REFERENCES order_account (order_id),
    reason text NOT NULL,
    account text NOT NULL CONSTRAINT ck_ledger_entry_account CHECK (account IN (
        'gateway_clearing', 'customer_deposits', 'refunds_payable', 'ticket_revenue',
        'tax_payable', 'penalty_revenue'
    )),
    currency text NOT NULL,
    debit_minor bigint NOT NULL,
    credit_minor bigint NOT NULL,
    posted_at timestamptz NOT NULL,
    CONSTRAINT ck_ledger_entry_one_side CHECK (
        debit_minor >= 0 AND credit_minor >= 0 AND (debit_minor = 0) <> (credit_minor = 0)
    )
)
""")
    op.execute("CREATE INDEX ix_ledger_entry_order_id ON ledger_entry (order_id)")

    # Each posting is inserted by one statement, and is balanced when that statement ends.
    op.execute("""
CREATE FUNCTION refuse_unbalanced_posting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM posted GROUP BY posting_id
        HAVING sum(debit_minor) <> sum(credit_minor)
            OR min(order_id) <> max(order_id) OR min(currency) <> max(currency)
    ) THEN
        RAISE EXCEPTION USING
            ERRCODE = 'check_violation',
            CONSTRAINT = 'ck_ledger_entry_balanced',
            TABLE = 'ledger_entry',
            MESSAGE = 'a posting is of one order and currency, its debits equal its credits';
    END IF;
    RETURN NULL;
END
$$
""")
    op.execute("""
CREATE TRIGGER balanced AFTER INSERT ON ledger_entry REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_posting()
""")
    op.execute("""
CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING
        ERRCODE = 'integrity_constraint_violation',
        TABLE = 'ledger_entry',
        MESSAGE = 'the ledger is append-only: a posting is corrected by another one';
END
$$
""")
    op.execute("""
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()
""")


def downgrade() -> None:
    op.execute("DROP TABLE ledger_entry, order_account, refund, payment")
    op.execute("DROP FUNCTION refuse_unbalanced_posting, refuse_ledger_change")
