"""The keys of the tenant's people; each opens the personal data of one, until it is erased."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("""
CREATE TABLE person_key (
  subject text NOT NULL,
  data_key integer NOT NULL,
  wrapped bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  erased_at timestamptz,
  CONSTRAINT pk_person_key PRIMARY KEY (subject),
  CONSTRAINT ck_person_key_wrapped CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
)""")
    op.execute("CREATE INDEX ix_person_key_data_key ON person_key (data_key)")


def downgrade() -> None:
    op.execute("DROP TABLE person_key")
