"""Accounts and what they sign in with, their sessions, and the audit trail."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    # --- accounts -------------------------------------------------------------------------------
    op.execute("""
CREATE TABLE account (
  account_id text NOT NULL,
  email text NOT NULL,
  email_key text NOT NULL,
  name text NOT NULL,
  kind text NOT NULL DEFAULT 'staff',
  state text NOT NULL DEFAULT 'invited',
  roles text[] NOT NULL DEFAULT '{}',
  attributes jsonb NOT NULL DEFAULT '{}',
  password_hash text,
  password_changed_at timestamptz,
  email_verified_at timestamptz,
  failed_attempts integer NOT NULL DEFAULT 0,
  refused_attempts integer NOT NULL DEFAULT 0,
  locked_until timestamptz,
  new_email text,
  new_email_key text,
  signed_in_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  created_by text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_account PRIMARY KEY (account_id),
  CONSTRAINT uq_account_email_key UNIQUE (email_key),
  CONSTRAINT ck_account_kind CHECK (kind IN ('staff', 'passenger')),
  CONSTRAINT ck_account_state CHECK (state IN ('invited', 'active', 'disabled'))
)""")
    # What a mail carries; only its digest is kept.
    op.execute("""
CREATE TABLE account_link (
  digest bytea NOT NULL,
  account_id text NOT NULL,
  purpose text NOT NULL,
  email_key text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT pk_account_link PRIMARY KEY (digest),
  CONSTRAINT fk_account_link_account_id_account FOREIGN KEY (account_id)
    REFERENCES account (account_id) ON DELETE CASCADE,
  CONSTRAINT ck_account_link_purpose CHECK (purpose IN ('invitation', 'reset', 'verification'))
)""")
    op.execute("CREATE INDEX ix_account_link_account_id ON account_link (account_id)")
    op.execute("CREATE INDEX ix_account_link_expires_at ON account_link (expires_at)")
    # --- sessions -------------------------------------------------------------------------------
    op.execute("""
CREATE TABLE session (
  session_id text NOT NULL,
  account_id text NOT NULL,
  methods text[] NOT NULL,
  authenticated_at timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  token_expires_at timestamptz NOT NULL,
  address text NOT NULL,
  user_agent text NOT NULL,
  ended_at timestamptz,
  end_reason text,
  CONSTRAINT pk_session PRIMARY KEY (session_id),
  CONSTRAINT fk_session_account_id_account FOREIGN KEY (account_id)
    REFERENCES account (account_id) ON DELETE CASCADE
)""")
    op.execute("CREATE INDEX ix_session_account_id ON session (account_id)")
    op.execute("CREATE INDEX ix_session_expires_at ON session (expires_at)")
    op.execute("""
CREATE TABLE refresh_token (
  digest bytea NOT NULL,
  session_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT pk_refresh_token PRIMARY KEY (digest),
  CONSTRAINT fk_refresh_token_session_id_session FOREIGN KEY (session_id)
    REFERENCES session (session_id) ON DELETE CASCADE
)""")
    op.execute("CREATE INDEX ix_refresh_token_session_id ON refresh_token (session_id)")
    # --- further factors ------------------------------------------------------------------------
    op.execute("""
CREATE TABLE factor (
  factor_id text NOT NULL,
  account_id text NOT NULL,
  kind text NOT NULL,
  name text NOT NULL,
  secret bytea,
  last_step bigint,
  credential_id bytea,
  public_key bytea,
  sign_count bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  confirmed_at timestamptz,
  used_at timestamptz,
  CONSTRAINT pk_factor PRIMARY KEY (factor_id),
  CONSTRAINT uq_factor_credential_id UNIQUE (credential_id),
  CONSTRAINT fk_factor_account_id_account FOREIGN KEY (account_id)
    REFERENCES account (account_id) ON DELETE CASCADE,
  CONSTRAINT ck_factor_kind CHECK (kind IN ('totp', 'passkey'))
)""")
    op.execute("CREATE INDEX ix_factor_account_id ON factor (account_id)")
    op.execute("""
CREATE TABLE recovery_code (
  account_id text NOT NULL,
  digest bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz,
  CONSTRAINT pk_recovery_code PRIMARY KEY (account_id, digest),
  CONSTRAINT fk_recovery_code_account_id_account FOREIGN KEY (account_id)
    REFERENCES account (account_id) ON DELETE CASCADE
)""")
    # Wrong codes in a row.
    op.execute("""
CREATE TABLE factor_lock (
  account_id text NOT NULL,
  failures integer NOT NULL,
  locked_until timestamptz,
  CONSTRAINT pk_factor_lock PRIMARY KEY (account_id),
  CONSTRAINT fk_factor_lock_account_id_account FOREIGN KEY (account_id)
    REFERENCES account (account_id) ON DELETE CASCADE
)""")
    # A sign-in that is half done, a challenge that a passkey signs, a trip to another provider.
    op.execute("""
CREATE TABLE sign_in_step (
  digest bytea NOT NULL,
  purpose text NOT NULL,
  account_id text,
  data jsonb NOT NULL DEFAULT '{}',
  attempts integer NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  used_at timestamptz,
  CONSTRAINT pk_sign_in_step PRIMARY KEY (digest),
  CONSTRAINT fk_sign_in_step_account_id_account FOREIGN KEY (account_id)
    REFERENCES account (account_id) ON DELETE CASCADE
)""")
    op.execute("CREATE INDEX ix_sign_in_step_account_id ON sign_in_step (account_id)")
    op.execute("CREATE INDEX ix_sign_in_step_expires_at ON sign_in_step (expires_at)")
    # --- single sign-on -------------------------------------------------------------------------
    op.execute("""
CREATE TABLE sign_on_link (
  issuer text NOT NULL,
  subject text NOT NULL,
  account_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_sign_on_link PRIMARY KEY (issuer, subject),
  CONSTRAINT fk_sign_on_link_account_id_account FOREIGN KEY (account_id)
    REFERENCES account (account_id) ON DELETE CASCADE
)""")
    op.execute("CREATE INDEX ix_sign_on_link_account_id ON sign_on_link (account_id)")
    # --- the audit trail ------------------------------------------------------------------------
    # Each entry is the text that its digest is made of, together with the digest before it. The
    # trigger takes the place and the time: nobody else can, and two never take the same.
    op.execute("""
CREATE TABLE audit_entry (
  position bigint NOT NULL,
  entry text NOT NULL,
  digest bytea NOT NULL,
  at timestamptz NOT NULL,
  action text GENERATED ALWAYS AS ((entry::jsonb) ->> 'action') STORED,
  actor text GENERATED ALWAYS AS ((entry::jsonb) ->> 'actor') STORED,
  subject text GENERATED ALWAYS AS ((entry::jsonb) ->> 'subject') STORED,
  CONSTRAINT pk_audit_entry PRIMARY KEY (position)
)""")
    op.execute("CREATE INDEX ix_audit_entry_at ON audit_entry (at)")
    op.execute("CREATE INDEX ix_audit_entry_subject ON audit_entry (subject)")
    op.execute("""
CREATE FUNCTION chain_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE before record;
BEGIN
  -- Whoever brings rows as they were, from another cluster or an export, lets this sleep.
  PERFORM pg_advisory_xact_lock(hashtextextended('audit ' || TG_TABLE_SCHEMA, 0));
  EXECUTE format('SELECT position, digest FROM %I.audit_entry ORDER BY position DESC LIMIT 1',
                 TG_TABLE_SCHEMA) INTO before;
  NEW.position := coalesce(before.position, 0) + 1;
  NEW.at := clock_timestamp();
  NEW.entry := (NEW.entry::jsonb || jsonb_build_object(
    'position', NEW.position,
    'at', to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))::text;
  NEW.digest := sha256(coalesce(before.digest, ''::bytea) || convert_to(NEW.entry, 'UTF8'));
  RETURN NEW;
END $$""")
    op.execute("""
CREATE TRIGGER chain BEFORE INSERT ON audit_entry
FOR EACH ROW EXECUTE FUNCTION chain_audit_entry()""")
    op.execute("""
CREATE FUNCTION keep_audit_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'The audit trail can only be added to.' USING ERRCODE = 'insufficient_privilege';
END $$""")
    op.execute("""
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON audit_entry
FOR EACH ROW EXECUTE FUNCTION keep_audit_entry()""")


def downgrade() -> None:
    op.execute("""
DROP TABLE audit_entry, sign_on_link, sign_in_step, factor_lock, recovery_code, factor,
  refresh_token, session, account_link, account""")
    op.execute("DROP FUNCTION chain_audit_entry(), keep_audit_entry()")
