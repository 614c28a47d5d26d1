from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE secret (
  secret_id text CONSTRAINT pk_secret PRIMARY KEY,
  body text NOT NULL,
  kind text NOT NULL CONSTRAINT ck_secret_kind CHECK (kind IN ('small', 'large')),
  note text NOT NULL CONSTRAINT ck_secret_note CHECK (note ~ '^[A-Z]+$')
)""")
    op.execute("""
CREATE TABLE secret_part (
  part_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_secret_part PRIMARY KEY,
  owner text NOT NULL CONSTRAINT fk_secret_part_owner REFERENCES secret (secret_id),
  details jsonb NOT NULL,
  words text[] NOT NULL,
  made_at timestamptz NOT NULL
)""")
    op.execute("CREATE TABLE diary (line text NOT NULL)")
    op.execute("CREATE TABLE parcel (content text NOT NULL)")
    op.execute("CREATE TABLE guest (guest_id text CONSTRAINT pk_guest PRIMARY KEY, phone bytea)")


def downgrade() -> None:
    op.execute("DROP TABLE secret_part, secret, diary, parcel, guest")
