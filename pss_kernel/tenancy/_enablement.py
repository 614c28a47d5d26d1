"""Enabling and disabling plugins for a tenant, while everybody goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from pss_kernel.errors import Conflict, Invalid
from pss_kernel.identity.audit.writing import audit_as_owner
from pss_kernel.persistence._database_problem import said
from pss_kernel.tenancy._changing import changing, database_of, tenant_transaction, writers_gone
from pss_kernel.tenancy._platform import refuse_platform_plugins
from pss_kernel.tenancy._secret_settings import setting_errors
from pss_kernel.tenancy._tables import STATE, MigrationFailed, migrate_plugin
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["ENDING", "disable_plugin", "enable_plugins", "needing"]

ENDING = {"enabled", "enabling", "disabling", "failed", "quarantined"}
"""The states of a plugin that there is something to disable of."""

_ENABLING = """
INSERT INTO pss.tenant_plugin (tenant, plugin, state)
SELECT $1, unnest($2::text[]), 'enabling'
ON CONFLICT (tenant, plugin) DO UPDATE
  SET state = 'enabling', reason = NULL, changed_at = now(), since = now()
WHERE tenant_plugin.state <> 'enabled'
"""
_DISABLING = """
UPDATE pss.tenant_plugin SET state = 'disabling', reason = NULL, changed_at = now(), since = now()
WHERE tenant = $1 AND plugin = ANY($2) AND state = ANY($3)
"""
# Not where somebody has enabled it again meanwhile: then that is what counts.
_DISABLED = """
UPDATE pss.tenant_plugin SET state = 'disabled', reason = NULL, changed_at = now(), since = now()
WHERE tenant = $1 AND plugin = ANY($2) AND state = 'disabling' RETURNING plugin
"""
_STATE_OF = "SELECT state FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = $2"


async def enable_plugins(
    installation: Installation,
    code: str,
    settings: dict[str, dict[str, Any] | None],
    *,
    upgrading: bool = False,
) -> list[str]:
    """Enable plugins with all that they require, each in one transaction; idempotent.

    Ends a quarantine. ``upgrading``: only while they are enabled; one that is being disabled, or
    was put into quarantine a moment ago, stays so; new indexes come too, while writers wait.
    ``settings`` maps a plugin's name to its new settings, or None to keep what is stored.
    Answers the names newly enabled. Raises Invalid for settings that don't fit.
    """
    registry = installation.registry
    names = registry.closure(settings)
    refuse_platform_plugins(code, names)
    for name in names:
        given = settings.get(name)
        errors = setting_errors(given, registry[name].settings) if given is not None else []
        if errors:
            raise Invalid(f"The settings of {name!r} are not valid.", errors=errors)
    known = installation.directory.by_code(code)
    newly = [] if upgrading else [name for name in names if name not in known.enabled]
    database = await database_of(installation, code)
    at = ""
    try:
        async with database.owner() as owner:
            if newly:
                async with changing(installation, database, owner, code):
                    await owner.execute(_ENABLING, code, newly)
                    await _audit_states(owner, known, newly, "enabling")
            for at in names:
                folder, given = registry.migrations_of(at), settings.get(at)
                async with changing(installation, database, owner, code):
                    if upgrading and await owner.fetchval(_STATE_OF, code, at) != "enabled":
                        continue
                    await migrate_plugin(
                        owner, installation, code, at, folder, given, blocking=upgrading
                    )
    except asyncpg.PostgresError as error:
        if not at:
            raise
        await _mark_failed(installation, code, at, said(error))
        for one in names[names.index(at) + 1 :]:
            if one in newly and at in registry.closure([one]):
                await _mark_failed(installation, code, one, f"It needs {at!r}, which failed.")
        raise MigrationFailed(
            f"The tables of the plugin {at!r} could not be made for {code!r}: {said(error)}.",
            mend="Nothing of it was kept; mend the plugin and enable it again.",
        ) from error
    await installation.directory.refresh()
    return newly


async def _mark_failed(installation: Installation, code: str, name: str, reason: str) -> None:
    """The plugin does not serve this tenant until it is enabled again, and says why."""
    async with tenant_transaction(installation, code) as owner:
        await owner.execute(STATE, code, name, "failed", None, None, reason, None)
        await audit_as_owner(
            *(owner, code, "plugin.enabling-failed", name), after={"state": "failed"}, reason=reason
        )
    await installation.directory.refresh()


async def disable_plugin(
    installation: Installation, code: str, name: str, *, cascade: bool = False
) -> list[str]:
    """Disable a plugin; its data stays. Answers what was disabled.

    New requests are refused at once, those in flight finish, and then it is disabled; that takes
    as long as a change needs to be seen everywhere. Raises Conflict where enabled plugins need it,
    unless ``cascade``; Unavailable where requests in flight don't end: run it again.
    """
    if name == KERNEL:
        raise Invalid("The kernel is no plugin: every tenant has it.", code="unknown-plugin")
    if name == IDENTITY:
        raise Conflict(
            f"Every tenant has the plugin {name!r}: without it nobody could sign in.",
            code="plugin-built-in",
        )
    tenant = installation.directory.by_code(code)
    if name not in tenant.plugins:  # one that is gone from this machine can still be disabled
        _ = installation.registry[name]
    state = tenant.plugins.get(name)
    if state is None or state.state not in ENDING:
        return []
    first = needing(installation, tenant, name)
    if first and not cascade:
        raise Conflict(
            f"{', '.join(first)} need the plugin {name!r}.",
            code="plugin-required",
            mend="Disable those first, or give --cascade.",
        )
    names = [*first, name]
    async with tenant_transaction(installation, code) as owner:
        await owner.execute(_DISABLING, code, names, list(ENDING))
        await _audit_states(owner, tenant, names, "disabling")
    await installation.directory.refresh()
    await writers_gone(installation, code)
    async with tenant_transaction(installation, code) as owner:
        ended = {row["plugin"] for row in await owner.fetch(_DISABLED, code, names)}
    await installation.directory.refresh()
    if ended != set(names):
        raise Conflict(
            f"{', '.join(one for one in names if one not in ended)} was enabled again meanwhile.",
            code="enabled-meanwhile",
            mend="Find out who enables it; then disable it again.",
        )
    return names


async def _audit_states(
    owner: asyncpg.Connection, tenant: Tenant, names: list[str], state: str
) -> None:
    for name in names:
        known = tenant.plugins.get(name)
        action = "plugin.disabled" if state == "disabling" else "plugin.enabled"
        if known is not None and known.state == "quarantined" and state == "enabling":
            action = "plugin.released"
        await audit_as_owner(
            *(owner, tenant.code, action, name),
            before={"state": known.state if known else None},
            after={"state": state},
        )


def needing(installation: Installation, tenant: Tenant, name: str) -> list[str]:
    """The tenant's plugins that are not disabled and need that one, those needing most first."""
    serving = {one for one, state in tenant.plugins.items() if state.state in ENDING}
    return [one for one in installation.registry.dependents(name) if one in serving]
