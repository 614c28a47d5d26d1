"""A plugin's tables at a tenant: its pending migrations and its ledger row, in one transaction."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

from pss_kernel.errors import Conflict
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.persistence._migrations import pending, replay
from pss_kernel.tenancy._changing import tenant_transaction
from pss_kernel.tenancy._rights import grant_identity, grant_plugins
from pss_kernel.tenancy._settings_store import audit_settings, settings_to_store, stored_settings
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["KERNEL_MIGRATIONS", "STATE", "MigrationFailed", "migrate_plugin", "upgrade_kernel"]

KERNEL_MIGRATIONS = Path(__file__).parent / "migrations"
STATE = """
INSERT INTO pss.tenant_plugin (tenant, plugin, state, version, revision, reason, settings)
VALUES ($1, $2, $3, $4, $5, $6, coalesce($7::jsonb, '{}'))
ON CONFLICT (tenant, plugin) DO UPDATE SET state = excluded.state, version = excluded.version,
  revision = coalesce(excluded.revision, tenant_plugin.revision), reason = excluded.reason,
  settings = coalesce($7::jsonb, tenant_plugin.settings), changed_at = now(),
  since = CASE WHEN tenant_plugin.state = excluded.state THEN tenant_plugin.since ELSE now() END
"""


class MigrationFailed(Conflict):
    """PostgreSQL refused a plugin's migration; its transaction was undone."""

    code, title = "migration-failed", "A plugin's migration failed"


async def upgrade_kernel(installation: Installation, code: str) -> None:
    """Bring the tables that every tenant has to this version's; idempotent."""
    async with tenant_transaction(installation, code) as owner:
        await migrate_plugin(
            owner, installation, code, KERNEL, KERNEL_MIGRATIONS, None, blocking=True
        )


async def migrate_plugin(
    owner: asyncpg.Connection,
    installation: Installation,
    code: str,
    name: str,
    folder: Path,
    settings: dict[str, Any] | None,
    *,
    blocking: bool = False,
) -> None:
    """Replay what is pending of one plugin and write its ledger row, in this transaction."""
    row = await owner.fetchrow(
        "SELECT state, revision FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = $2",
        code,
        name,
    )
    waiting = pending(folder, row["revision"] if row else None)
    if row and row["state"] == "enabled" and not blocking:
        # In use: an index that would block its writers waits for 'pss migrate run'.
        waiting = tuple(itertools.takewhile(lambda one: not one.concurrent, waiting))
    await replay(owner, waiting, f"t_{code}")
    plugin = installation.registry.plugins.get(name)
    stored = None
    had = None
    if settings is not None and plugin is not None:
        had = await stored_settings(owner, code, name)
        stored = await settings_to_store(installation.keyring, owner, code, plugin, settings)
    await owner.execute(
        STATE,
        code,
        name,
        "enabled",
        plugin.version if plugin else None,
        waiting[-1].revision if waiting else None,
        None,
        stored,
    )
    roles = installation.database.roles
    await grant_plugins(owner, installation.registry, roles, code)
    if name == IDENTITY:
        await grant_identity(owner, installation.registry, roles, code)
    if waiting:
        await audit_as_owner(
            *(owner, code, "plugin.migrated", name),
            before={"revision": row["revision"] if row else None},
            after={"revision": waiting[-1].revision},
        )
    if stored is not None:
        await audit_settings(owner, code, name, had or {}, stored)
