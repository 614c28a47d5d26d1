"""Personal facts of passengers, sealed: a column beside those that they were in.

A step that expands: the version before goes on with the clear columns, which this one no longer
writes and still reads. The job ``seal_passengers`` moves what stands there.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE order_passenger ADD COLUMN personal bytea")


def downgrade() -> None:
    op.execute("ALTER TABLE order_passenger DROP COLUMN personal")
