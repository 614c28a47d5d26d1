"""How migrations go through the tenants, and how requests fare meanwhile.

What a tenant's tables have is in ``pss.tenant_plugin``, written with the change itself. A run, kept
in the control cell, says which tenants go together and what has become of them. The requests of
each tenant are counted in its own cell; the counts are worth little after minutes, so they cost no
write-ahead log.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE pss.migration_run (
  run_id bigint GENERATED ALWAYS AS IDENTITY,
  state text NOT NULL DEFAULT 'running',
  heads jsonb NOT NULL,
  scope jsonb NOT NULL,
  passed integer NOT NULL DEFAULT -1,
  reason text,
  started_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz,
  CONSTRAINT pk_migration_run PRIMARY KEY (run_id),
  CONSTRAINT ck_migration_run_state CHECK (state IN ('running', 'halted', 'done', 'superseded'))
)""")
    op.execute("""
CREATE TABLE pss.migration_tenant (
  run_id bigint NOT NULL,
  tenant text NOT NULL,
  wave integer NOT NULL,
  state text NOT NULL DEFAULT 'waiting',
  seconds double precision,
  reason text,
  ended_at timestamptz,
  CONSTRAINT pk_migration_tenant PRIMARY KEY (run_id, tenant),
  CONSTRAINT fk_migration_tenant_run FOREIGN KEY (run_id)
    REFERENCES pss.migration_run (run_id) ON DELETE CASCADE,
  CONSTRAINT fk_migration_tenant_placement FOREIGN KEY (tenant)
    REFERENCES pss.placement (tenant) ON DELETE CASCADE,
  CONSTRAINT ck_migration_tenant_state CHECK (state IN ('waiting', 'migrated', 'failed'))
)""")
    op.execute("CREATE INDEX ix_migration_tenant_tenant ON pss.migration_tenant (tenant)")
    op.execute("""
CREATE UNLOGGED TABLE pss.tenant_traffic (
  tenant text NOT NULL,
  at timestamptz NOT NULL,
  requests bigint NOT NULL,
  errors bigint NOT NULL,
  latency bigint[] NOT NULL,
  CONSTRAINT pk_tenant_traffic PRIMARY KEY (tenant, at)
)""")


def downgrade() -> None:
    op.execute("DROP TABLE pss.tenant_traffic, pss.migration_tenant, pss.migration_run")
