"""Where each tenant lives, and since when the state of a plugin holds.

Every cell has this whole schema and keeps in it what belongs to its own tenants. Placements and
domains are kept in the control cell alone, which decides where a tenant is and who has a host name.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
CREATE TABLE pss.placement (
  tenant text NOT NULL,
  cell text NOT NULL,
  state text NOT NULL DEFAULT 'active',
  changed_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT pk_placement PRIMARY KEY (tenant),
  CONSTRAINT ck_placement_state CHECK (state IN ('active', 'moving', 'deleting'))
)""")
    op.execute("INSERT INTO pss.placement (tenant, cell) SELECT code, 'default' FROM pss.tenant")
    op.execute("ALTER TABLE pss.tenant DROP COLUMN cell")
    op.execute("""
ALTER TABLE pss.tenant_domain DROP CONSTRAINT fk_tenant_domain_tenant,
  ADD CONSTRAINT fk_tenant_domain_placement FOREIGN KEY (tenant)
    REFERENCES pss.placement (tenant) ON DELETE CASCADE""")
    op.execute("ALTER TABLE pss.tenant_plugin ADD COLUMN since timestamptz NOT NULL DEFAULT now()")
    op.execute("""
CREATE TRIGGER note_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON pss.placement
FOR EACH STATEMENT EXECUTE FUNCTION pss.note_change()""")


def downgrade() -> None:
    op.execute("""
ALTER TABLE pss.tenant_domain DROP CONSTRAINT fk_tenant_domain_placement,
  ADD CONSTRAINT fk_tenant_domain_tenant FOREIGN KEY (tenant)
    REFERENCES pss.tenant (code) ON DELETE CASCADE""")
    op.execute("ALTER TABLE pss.tenant_plugin DROP COLUMN since")
    op.execute("ALTER TABLE pss.tenant ADD COLUMN cell text NOT NULL DEFAULT 'default'")
    op.execute("DROP TABLE pss.placement")
