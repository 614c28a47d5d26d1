"""When a tenant is to be gone, and what each plugin's migrations have made.

A placement may also say that a tenant is being imported: its code is taken, nothing serves it yet.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE pss.placement ADD COLUMN due_at timestamptz")
    op.execute("ALTER TABLE pss.placement ADD COLUMN export boolean NOT NULL DEFAULT true")
    op.execute("ALTER TABLE pss.placement DROP CONSTRAINT ck_placement_state")
    op.execute("""
ALTER TABLE pss.placement ADD CONSTRAINT ck_placement_state
  CHECK (state IN ('active', 'moving', 'deleting', 'importing'))""")
    op.execute("""
ALTER TABLE pss.placement ADD CONSTRAINT ck_placement_due
  CHECK (due_at IS NULL OR state = 'deleting')""")
    # One row for each revision of each plugin that was ever installed here: what the migrations
    # up to it have made. Kept when the plugin's code has gone.
    op.execute("""
CREATE TABLE pss.plugin_revision (
  plugin text NOT NULL,
  revision text NOT NULL,
  made jsonb NOT NULL,
  CONSTRAINT pk_plugin_revision PRIMARY KEY (plugin, revision)
)""")


def downgrade() -> None:
    op.execute("DROP TABLE pss.plugin_revision")
    op.execute("ALTER TABLE pss.placement DROP CONSTRAINT ck_placement_due")
    op.execute("DELETE FROM pss.placement WHERE state = 'importing'")
    op.execute("ALTER TABLE pss.placement DROP CONSTRAINT ck_placement_state")
    op.execute("""
ALTER TABLE pss.placement ADD CONSTRAINT ck_placement_state
  CHECK (state IN ('active', 'moving', 'deleting'))""")
    op.execute("ALTER TABLE pss.placement DROP COLUMN export, DROP COLUMN due_at")
