"""Quarantine, decided without the owner's rights; events that wait for a plugin."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE pss.event_waiting (
  tenant text NOT NULL,
  plugin text NOT NULL,
  event_id uuid NOT NULL,
  event_type text NOT NULL,
  payload bytea NOT NULL,
  occurred_at timestamptz NOT NULL,
  since timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_event_waiting PRIMARY KEY (tenant, plugin, event_id),
  CONSTRAINT fk_event_waiting_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE
)""")
    # The one change of a plugin's state that a process may make with the relay's rights.
    op.execute("""
CREATE FUNCTION pss.quarantine_plugin(code text, name text, why text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE pss.tenant_plugin
  SET state = 'quarantined', reason = why, changed_at = now(), since = now()
  WHERE tenant = code AND plugin = name AND state = 'enabled' AND plugin <> 'kernel';
  RETURN FOUND;
END $$""")
    op.execute("REVOKE ALL ON FUNCTION pss.quarantine_plugin(text, text, text) FROM PUBLIC")


def downgrade() -> None:
    op.execute("DROP FUNCTION pss.quarantine_plugin(text, text, text)")
    op.execute("DROP TABLE pss.event_waiting")
