"""An index on a table in use: a revision of its own, outside a transaction."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("CREATE INDEX CONCURRENTLY ix_label_title ON label (title)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_label_title")
