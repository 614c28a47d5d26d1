"""Kept answers are sealed; whom they are about stands beside them."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Null in data_key: as it was kept before, in clear.
    op.execute("""
ALTER TABLE idempotency ADD COLUMN data_key integer,
  ADD COLUMN subjects text[] NOT NULL DEFAULT '{}'""")


def downgrade() -> None:
    op.execute("ALTER TABLE idempotency DROP COLUMN data_key, DROP COLUMN subjects")
