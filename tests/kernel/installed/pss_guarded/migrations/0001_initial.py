"""Visitors."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE visitor (
  visitor_id text NOT NULL,
  name text NOT NULL,
  contact bytea,
  CONSTRAINT pk_visitor PRIMARY KEY (visitor_id)
)""")


def downgrade() -> None:
    op.execute("DROP TABLE visitor")
