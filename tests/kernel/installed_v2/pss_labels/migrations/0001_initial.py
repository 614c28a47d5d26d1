from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE label (
  label_id text NOT NULL,
  caption text NOT NULL,
  CONSTRAINT pk_label PRIMARY KEY (label_id)
)""")
