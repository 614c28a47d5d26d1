from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE note (
  note_id text NOT NULL,
  body text NOT NULL,
  written_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_note PRIMARY KEY (note_id)
)""")
    op.execute("""
CREATE TABLE counter (
  name text NOT NULL,
  remaining bigint NOT NULL,
  CONSTRAINT pk_counter PRIMARY KEY (name),
  CONSTRAINT ck_counter_remaining CHECK (remaining >= 0)
)""")


def downgrade() -> None:
    op.execute("DROP TABLE counter, note")
