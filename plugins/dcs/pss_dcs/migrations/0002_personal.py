"""Travel documents, sealed: a column beside the one that they were in.

A step that expands: the version before goes on with the clear column, which this one no longer
writes.
"""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE check_in ADD COLUMN sealed_document bytea")


def downgrade() -> None:
    op.execute("ALTER TABLE check_in DROP COLUMN sealed_document")
