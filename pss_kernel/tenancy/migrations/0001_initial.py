"""What every tenant has: its event log, inbox and idempotency keys."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE event (
  position bigint GENERATED ALWAYS AS IDENTITY,
  event_id uuid NOT NULL,
  event_type text NOT NULL,
  event_version integer NOT NULL,
  stream text NOT NULL,
  stream_version bigint NOT NULL,
  occurred_at timestamptz NOT NULL DEFAULT now(),
  transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
  correlation_id text NOT NULL,
  causation_id text,
  actor text NOT NULL,
  data jsonb NOT NULL,
  CONSTRAINT pk_event PRIMARY KEY (position),
  CONSTRAINT uq_event_event_id UNIQUE (event_id),
  CONSTRAINT uq_event_stream_stream_version UNIQUE (stream, stream_version)
)""")
    op.execute("""
CREATE TABLE inbox (
  consumer text NOT NULL,
  event_id uuid NOT NULL,
  handled_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_inbox PRIMARY KEY (consumer, event_id)
)""")
    op.execute("""
CREATE TABLE idempotency (
  scope text NOT NULL,
  key text NOT NULL,
  fingerprint bytea NOT NULL,
  claimed_at timestamptz NOT NULL DEFAULT now(),
  status smallint,
  body bytea,
  CONSTRAINT pk_idempotency PRIMARY KEY (scope, key)
)""")
    op.execute("CREATE INDEX ix_idempotency_claimed_at ON idempotency (claimed_at)")
    # The log is append-only, for the tenant's own role too.
    op.execute("""
DO $$ BEGIN
  EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON event FROM %I',
                 (SELECT role FROM pss.tenant WHERE schema_name = current_schema()));
END $$""")


def downgrade() -> None:
    op.execute("DROP TABLE idempotency, inbox, event")
