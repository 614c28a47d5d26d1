"""The control schema: tenants, their domains, plugins and keys; the outbox; recurring jobs."""

import sqlalchemy as sa
from alembic import op
from faststream_outbox import make_dlq_table, make_outbox_table

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE pss.tenant (
  code text NOT NULL,
  name text NOT NULL,
  schema_name text NOT NULL,
  role text NOT NULL,
  cell text NOT NULL DEFAULT 'default',
  currency text NOT NULL,
  time_zone text NOT NULL,
  locales text[] NOT NULL,
  brand jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_tenant PRIMARY KEY (code),
  CONSTRAINT uq_tenant_schema_name UNIQUE (schema_name),
  CONSTRAINT ck_tenant_code CHECK (code ~ '^[a-z][a-z0-9_]{1,40}$')
)""")
    op.execute("""
CREATE TABLE pss.tenant_domain (
  host text NOT NULL,
  tenant text NOT NULL,
  CONSTRAINT pk_tenant_domain PRIMARY KEY (host),
  CONSTRAINT fk_tenant_domain_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE
)""")
    op.execute("""
CREATE TABLE pss.tenant_plugin (
  tenant text NOT NULL,
  plugin text NOT NULL,
  state text NOT NULL,
  version text,
  revision text,
  reason text,
  settings jsonb NOT NULL DEFAULT '{}',
  changed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_tenant_plugin PRIMARY KEY (tenant, plugin),
  CONSTRAINT fk_tenant_plugin_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE,
  CONSTRAINT ck_tenant_plugin_state CHECK (state IN
    ('enabling', 'enabled', 'disabling', 'disabled', 'failed', 'quarantined'))
)""")
    op.execute("""
CREATE TABLE pss.tenant_file (
  tenant text NOT NULL,
  plugin text NOT NULL,
  name text NOT NULL,
  digest bytea NOT NULL,
  loaded_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_tenant_file PRIMARY KEY (tenant, plugin, name),
  CONSTRAINT fk_tenant_file_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE
)""")
    op.execute("""
CREATE TABLE pss.api_key (
  key_id text NOT NULL,
  tenant text NOT NULL,
  name text NOT NULL,
  secret_digest bytea NOT NULL,
  scopes text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  CONSTRAINT pk_api_key PRIMARY KEY (key_id),
  CONSTRAINT fk_api_key_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE
)""")
    op.execute("""
CREATE TABLE pss.job (
  tenant text NOT NULL,
  plugin text NOT NULL,
  name text NOT NULL,
  next_run_at timestamptz NOT NULL,
  leased_until timestamptz,
  last_started_at timestamptz,
  last_error text,
  CONSTRAINT pk_job PRIMARY KEY (tenant, plugin, name),
  CONSTRAINT fk_job_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE
)""")
    op.execute("CREATE INDEX ix_job_next_run_at ON pss.job (next_run_at)")
    # One row; every change of the tables above that processes cache raises the number.
    op.execute("CREATE TABLE pss.change (number bigint NOT NULL)")
    op.execute("INSERT INTO pss.change VALUES (1)")
    op.execute("""
CREATE FUNCTION pss.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE pss.change SET number = number + 1; RETURN NULL; END $$""")
    for table in ("tenant", "tenant_domain", "tenant_plugin", "api_key"):
        op.execute(f"""
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON pss.{table}
FOR EACH STATEMENT EXECUTE FUNCTION pss.note_change()""")
    metadata = sa.MetaData(schema="pss")
    make_outbox_table(metadata, "outbox")
    make_dlq_table(metadata, "outbox_dead")
    metadata.create_all(op.get_bind())


def downgrade() -> None:
    op.execute("DROP SCHEMA pss CASCADE")
