"""Roles of a tenant's own, signing keys, tokens that ended early; more about API keys."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A tenant whose data is for trying things out, and the one that it is so for.
    op.execute("""
ALTER TABLE pss.tenant ADD COLUMN test_of text,
  ADD CONSTRAINT ck_tenant_test_of CHECK (code = test_of || '_test')""")
    op.execute("""
ALTER TABLE pss.api_key
  ADD COLUMN mode text NOT NULL DEFAULT 'live',
  ADD COLUMN networks text[] NOT NULL DEFAULT '{}',
  ADD COLUMN api_version text,
  ADD COLUMN replaces text,
  ADD COLUMN created_by text,
  ADD CONSTRAINT ck_api_key_mode CHECK (mode IN ('live', 'test'))""")
    # Apart from the key: that it was used is no change that anybody has to know at once.
    op.execute("""
CREATE TABLE pss.api_key_use (
  tenant text NOT NULL,
  key_id text NOT NULL,
  last_used_at timestamptz NOT NULL,
  last_used_from text NOT NULL,
  CONSTRAINT pk_api_key_use PRIMARY KEY (key_id),
  CONSTRAINT fk_api_key_use_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE
)""")
    op.execute("""
CREATE TABLE pss.role (
  tenant text NOT NULL,
  name text NOT NULL,
  summary text NOT NULL DEFAULT '',
  grants jsonb NOT NULL DEFAULT '{}',
  changed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_role PRIMARY KEY (tenant, name),
  CONSTRAINT fk_role_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE,
  CONSTRAINT ck_role_name CHECK (name ~ '^[a-z][a-z0-9_]{1,40}$')
)""")
    # What was signed for a subject (an account, a session) before a moment is refused; a row is
    # of use until the last of it would have expired by itself.
    op.execute("""
CREATE TABLE pss.token_cutoff (
  tenant text NOT NULL,
  subject text NOT NULL,
  not_before timestamptz NOT NULL DEFAULT now(),
  until timestamptz NOT NULL,
  CONSTRAINT pk_token_cutoff PRIMARY KEY (tenant, subject),
  CONSTRAINT fk_token_cutoff_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE
)""")
    op.execute("CREATE INDEX ix_token_cutoff_until ON pss.token_cutoff (until)")
    # Of the whole installation; the private halves are wrapped with a master key.
    op.execute("""
CREATE TABLE pss.signing_key (
  key_id text NOT NULL,
  algorithm text NOT NULL,
  public_key jsonb NOT NULL,
  master text NOT NULL,
  wrapped bytea NOT NULL,
  state text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  changed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_signing_key PRIMARY KEY (key_id),
  CONSTRAINT ck_signing_key_state CHECK (state IN ('next', 'current', 'retired'))
)""")
    op.execute("""
CREATE UNIQUE INDEX uq_signing_key_state ON pss.signing_key (state) WHERE state <> 'retired'""")
    # Of no tenant: every process reads everything again, which is rare enough.
    op.execute("""
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON pss.signing_key
FOR EACH STATEMENT EXECUTE FUNCTION pss.note_change()""")
    # How each process finds those whom it calls; true for a moment only.
    op.execute("""
CREATE UNLOGGED TABLE pss.outgoing (
  process text NOT NULL,
  tenant text NOT NULL,
  plugin text NOT NULL,
  target text NOT NULL,
  state text NOT NULL,
  since timestamptz NOT NULL,
  calls bigint NOT NULL,
  failed bigint NOT NULL,
  refused bigint NOT NULL,
  repeated bigint NOT NULL,
  inside integer NOT NULL,
  waiting integer NOT NULL,
  last_error text NOT NULL,
  seen_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_outgoing PRIMARY KEY (process, tenant, plugin, target),
  CONSTRAINT ck_outgoing_state CHECK (state IN ('closed', 'open', 'half-open'))
)""")
    for table in ("role", "token_cutoff"):
        op.execute(f"""
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON pss.{table}
FOR EACH ROW EXECUTE FUNCTION pss.note_change()""")
    for table in ("api_key", "api_key_use", "role", "token_cutoff"):
        op.execute(f"ALTER TABLE pss.{table} ENABLE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute("DROP POLICY IF EXISTS of_tenant ON pss.api_key")
    op.execute("DROP POLICY IF EXISTS read ON pss.api_key")
    op.execute("ALTER TABLE pss.api_key DISABLE ROW LEVEL SECURITY")
    op.execute("DROP TABLE pss.outgoing, pss.api_key_use, pss.signing_key")
    op.execute("DROP TABLE pss.token_cutoff, pss.role")
    op.execute("""
ALTER TABLE pss.api_key DROP COLUMN mode, DROP COLUMN networks, DROP COLUMN api_version,
  DROP COLUMN replaces, DROP COLUMN created_by""")
    op.execute("ALTER TABLE pss.tenant DROP COLUMN test_of")
