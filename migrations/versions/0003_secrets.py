"""The tenants' data keys, and the history of their settings.

The history is written by a trigger, so that whatever changes settings is in it. Secrets are sealed
in the settings; the history has three asterisks in their place.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE pss.tenant_key (
  tenant text NOT NULL,
  number integer NOT NULL,
  state text NOT NULL,
  master text NOT NULL,
  wrapped bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_tenant_key PRIMARY KEY (tenant, number),
  CONSTRAINT fk_tenant_key_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE,
  CONSTRAINT ck_tenant_key_state CHECK (state IN ('current', 'earlier', 'erased')),
  CONSTRAINT ck_tenant_key_wrapped CHECK ((wrapped IS NULL) = (state = 'erased'))
)""")
    op.execute("""
CREATE UNIQUE INDEX uq_tenant_key_current ON pss.tenant_key (tenant) WHERE state = 'current'""")
    op.execute("""
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON pss.tenant_key
FOR EACH STATEMENT EXECUTE FUNCTION pss.note_change()""")
    op.execute("""
CREATE TABLE pss.setting_change (
  tenant text NOT NULL,
  change_id uuid NOT NULL DEFAULT gen_random_uuid(),
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  plugin text NOT NULL,
  setting text NOT NULL,
  before jsonb,
  after jsonb,
  actor text NOT NULL,
  source text NOT NULL,
  CONSTRAINT pk_setting_change PRIMARY KEY (tenant, change_id),
  CONSTRAINT fk_setting_change_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE
)""")
    op.execute("""
CREATE INDEX ix_setting_change_tenant_changed_at ON pss.setting_change (tenant, changed_at)""")
    op.execute("""
CREATE FUNCTION pss.without_secrets(given jsonb) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF jsonb_typeof(given) = 'object' THEN
    IF given ? '$sealed' THEN RETURN '"***"'; END IF;
    RETURN (SELECT coalesce(jsonb_object_agg(key, pss.without_secrets(value)), '{}')
            FROM jsonb_each(given));
  ELSIF jsonb_typeof(given) = 'array' THEN
    RETURN (SELECT coalesce(jsonb_agg(pss.without_secrets(value) ORDER BY place), '[]')
            FROM jsonb_array_elements(given) WITH ORDINALITY AS item (value, place));
  END IF;
  RETURN given;
END $$""")
    # A row that arrives with its tenant from elsewhere changes nothing: its history came before it.
    op.execute("""
CREATE FUNCTION pss.note_setting_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  whose text; which text; earlier jsonb; later jsonb;
  key_source text := coalesce(nullif(current_setting('pss.source', true), ''), 'sql');
BEGIN
  earlier := CASE WHEN TG_OP = 'INSERT' THEN '{}' ELSE OLD.settings END;
  later := CASE WHEN TG_OP = 'DELETE' THEN '{}' ELSE NEW.settings END;
  whose := CASE WHEN TG_OP = 'DELETE' THEN OLD.tenant ELSE NEW.tenant END;
  which := CASE WHEN TG_OP = 'DELETE' THEN OLD.plugin ELSE NEW.plugin END;
  IF earlier = later OR key_source = 'key rotation'
     OR NOT EXISTS (SELECT FROM pss.tenant WHERE code = whose) THEN
    RETURN NULL;
  END IF;
  INSERT INTO pss.setting_change (tenant, plugin, setting, before, after, actor, source)
  SELECT whose, which, key, pss.without_secrets(b.value), pss.without_secrets(a.value),
         coalesce(nullif(current_setting('pss.actor', true), ''), session_user), key_source
  FROM jsonb_each(earlier) AS b FULL JOIN jsonb_each(later) AS a USING (key)
  WHERE b.value IS DISTINCT FROM a.value
    AND NOT (TG_OP = 'INSERT' AND EXISTS (
      SELECT FROM (SELECT after FROM pss.setting_change c
                   WHERE c.tenant = whose AND c.plugin = which AND c.setting = key
                   ORDER BY changed_at DESC LIMIT 1) AS latest
      WHERE latest.after = pss.without_secrets(a.value)))
  ORDER BY key;
  RETURN NULL;
END $$""")
    op.execute("""
CREATE TRIGGER note_setting_change AFTER INSERT OR UPDATE OF settings OR DELETE
ON pss.tenant_plugin FOR EACH ROW EXECUTE FUNCTION pss.note_setting_change()""")
    op.execute("""
INSERT INTO pss.setting_change (tenant, changed_at, plugin, setting, after, actor, source)
SELECT p.tenant, p.changed_at, p.plugin, s.key, s.value, session_user, 'before the history'
FROM pss.tenant_plugin p, jsonb_each(p.settings) s""")


def downgrade() -> None:
    op.execute("DROP TRIGGER note_setting_change ON pss.tenant_plugin")
    op.execute("DROP FUNCTION pss.note_setting_change, pss.without_secrets")
    op.execute("DROP TABLE pss.setting_change, pss.tenant_key")
