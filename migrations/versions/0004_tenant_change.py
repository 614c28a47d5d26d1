"""Which tenants have changed, and in which transaction: one row for each.

It takes the place of a single number that every change raised, and so waited for every other change
to commit. A process asks for the tenants whose transaction its last look did not see.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE pss.tenant_change (
  code text NOT NULL,
  changed_in xid8 NOT NULL,
  CONSTRAINT pk_tenant_change PRIMARY KEY (code)
)""")
    op.execute("CREATE INDEX ix_tenant_change_changed_in ON pss.tenant_change (changed_in)")
    op.execute("CREATE INDEX ix_api_key_tenant ON pss.api_key (tenant)")
    op.execute("CREATE INDEX ix_tenant_domain_tenant ON pss.tenant_domain (tenant)")
    # As the owner, whoever writes. A change of a whole table, of which the tenants aren't known,
    # is written down as one of all.
    op.execute("""
CREATE OR REPLACE FUNCTION pss.note_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = '' AS $$
DECLARE codes text[];
BEGIN
  IF TG_LEVEL = 'STATEMENT' THEN codes := '{*}';
  ELSIF TG_TABLE_NAME = 'tenant' THEN
    IF TG_OP <> 'DELETE' THEN codes := codes || NEW.code; END IF;
    IF TG_OP <> 'INSERT' THEN codes := codes || OLD.code; END IF;
  ELSE
    IF TG_OP <> 'DELETE' THEN codes := codes || NEW.tenant; END IF;
    IF TG_OP <> 'INSERT' THEN codes := codes || OLD.tenant; END IF;
  END IF;
  INSERT INTO pss.tenant_change AS c (code, changed_in)
  SELECT DISTINCT one, pg_current_xact_id() FROM unnest(codes) AS one ORDER BY one
  ON CONFLICT (code) DO UPDATE SET changed_in = excluded.changed_in
  WHERE c.changed_in <> excluded.changed_in;
  RETURN NULL;
END $$""")
    op.execute("""
DO $$
DECLARE one record;
BEGIN
  FOR one IN
    SELECT t.tgrelid::regclass AS place, t.tgname AS name FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    WHERE t.tgfoid = 'pss.note_change'::regproc AND t.tgtype & 1 = 0  -- for each statement
      AND (c.relname = 'tenant' OR EXISTS (SELECT FROM pg_attribute a
           WHERE a.attrelid = c.oid AND a.attname = 'tenant' AND NOT a.attisdropped))
  LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', one.name, one.place);
    EXECUTE format('CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE ON %s
                    FOR EACH ROW EXECUTE FUNCTION pss.note_change()', one.place);
    EXECUTE format('CREATE TRIGGER note_truncate AFTER TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION pss.note_change()', one.place);
  END LOOP;
END $$""")
    op.execute("DROP TABLE pss.change")


def downgrade() -> None:
    op.execute("CREATE TABLE pss.change (number bigint NOT NULL)")
    op.execute("INSERT INTO pss.change VALUES (1)")
    op.execute("""
CREATE OR REPLACE FUNCTION pss.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN UPDATE pss.change SET number = number + 1; RETURN NULL; END $$""")
    op.execute("""
DO $$
DECLARE one record;
BEGIN
  FOR one IN
    SELECT t.tgrelid::regclass AS place, t.tgname AS name FROM pg_trigger t
    WHERE t.tgfoid = 'pss.note_change'::regproc
  LOOP
    EXECUTE format('DROP TRIGGER %I ON %s', one.name, one.place);
    IF one.name = 'note_change' THEN
      EXECUTE format('CREATE TRIGGER note_change
                      AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s
                      FOR EACH STATEMENT EXECUTE FUNCTION pss.note_change()', one.place);
    END IF;
  END LOOP;
END $$""")
    op.execute("DROP INDEX pss.ix_tenant_domain_tenant, pss.ix_api_key_tenant")
    op.execute("DROP TABLE pss.tenant_change")
