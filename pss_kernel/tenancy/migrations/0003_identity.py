"""Every tenant has the built-in plugin of accounts; its own migrations make the tables."""

from alembic import op

revision = "0003"
down_revision = "0002"
allow = {"schema-named": "The ledger of plugins is the control schema's; only this tenant's row."}


def upgrade() -> None:
    op.execute("""
INSERT INTO pss.tenant_plugin (tenant, plugin, state)
SELECT code, 'identity', 'enabled' FROM pss.tenant WHERE schema_name = current_schema()
ON CONFLICT DO NOTHING""")


def downgrade() -> None:
    op.execute("""
DELETE FROM pss.tenant_plugin USING pss.tenant t
WHERE tenant = t.code AND t.schema_name = current_schema() AND plugin = 'identity'""")
