"""What a process that starts does about tenants whose tables are behind its code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import asyncpg
import structlog

from pss_kernel.persistence._migrations import Revision, knows, pending
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._tables import KERNEL_MIGRATIONS, MigrationFailed, upgrade_kernel
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["enable_pending", "tell_pending"]

_log = structlog.get_logger("pss.tenancy")


async def enable_pending(installation: Installation, *, cell: str | None = None) -> None:
    """Bring enabled plugins of every tenant (of a cell) to the installed versions' migrations.

    One that fails stops serving its tenant; the others, and the other tenants, go on.
    """
    without_kernel = set()
    for tenant, name, waiting in _behind(installation):
        if tenant in without_kernel or tenant.placement == "moving":
            continue
        if cell not in {None, tenant.cell}:
            continue
        try:
            if name == KERNEL:
                if waiting:
                    await upgrade_kernel(installation, tenant.code)
            elif waiting or tenant.plugins[name].version != installation.registry[name].version:
                await enable_plugins(installation, tenant.code, {name: None}, upgrading=True)
                _log.info("plugin_upgraded", tenant=tenant.code, plugin=name)
        except (MigrationFailed, asyncpg.PostgresError) as error:
            if name == KERNEL:
                without_kernel.add(tenant)
            _log.error("plugin_failed", tenant=tenant.code, plugin=name, reason=str(error))


def tell_pending(installation: Installation) -> None:
    """Log once how much waits for an operator; until then the code serves the older tables."""
    waiting = [(tenant, name) for tenant, name, revisions in _behind(installation) if revisions]
    if waiting:
        _log.warning(
            "migrations_pending",
            tenants=len({tenant.code for tenant, _ in waiting}),
            plugins=sorted({name for _, name in waiting}),
            mend="Run 'pss migrate plan', then 'pss migrate run'.",
        )


def _behind(installation: Installation) -> Iterator[tuple[Tenant, str, tuple[Revision, ...]]]:
    """Each enabled plugin of each tenant, with what it lacks; tables ahead of us are told.

    The kernel's own tables come first, as one more plugin.
    """
    registry = installation.registry
    folders = {KERNEL: KERNEL_MIGRATIONS}
    folders |= {name: registry.migrations_of(name) for name in registry.plugins}
    for tenant in [one for one in installation.directory if not one.leaving]:
        for name, folder in folders.items():
            state = tenant.plugins.get(name)
            if state is None or state.state != "enabled":
                continue
            if knows(folder, state.revision):
                yield tenant, name, pending(folder, state.revision)
            else:
                _log.warning(
                    "plugin_older_than_database",
                    tenant=tenant.code,
                    plugin=name,
                    revision=state.revision,
                )
