"""Moves of tenants between cells, until each has ended. In use in the control cell alone."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE pss.tenant_move (
  code text NOT NULL,
  source text NOT NULL,
  target text NOT NULL,
  step text NOT NULL DEFAULT 'preparing',
  grants jsonb,
  started_at timestamptz NOT NULL DEFAULT now(),
  paused_at timestamptz,
  CONSTRAINT pk_tenant_move PRIMARY KEY (code),
  CONSTRAINT fk_tenant_move_placement FOREIGN KEY (code)
    REFERENCES pss.placement (tenant) ON DELETE CASCADE,
  CONSTRAINT ck_tenant_move_step CHECK (step IN ('preparing', 'paused', 'moved'))
)""")


def downgrade() -> None:
    op.execute("DROP TABLE pss.tenant_move")
