"""Whether the plugins of a tenant have database roles of their own."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE pss.tenant ADD COLUMN strict_plugins boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE pss.tenant DROP COLUMN strict_plugins")
