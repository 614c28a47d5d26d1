from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("CREATE INDEX ix_note_written_at ON note (written_at)")
    op.execute("""
CREATE TABLE trace (
  position bigint GENERATED ALWAYS AS IDENTITY,
  who text NOT NULL,
  what text NOT NULL,
  CONSTRAINT pk_trace PRIMARY KEY (position)
)""")


def downgrade() -> None:
    op.execute("DROP TABLE trace")
    op.execute("DROP INDEX ix_note_written_at")
