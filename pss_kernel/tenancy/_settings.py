"""Changing single settings of a tenant, and who has changed what."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.errors import Conflict, Invalid, PluginNotEnabled
from pss_kernel.tenancy._changing import tenant_transaction
from pss_kernel.tenancy._secret_settings import setting_errors
from pss_kernel.tenancy._settings_store import (
    audit_settings,
    settings_to_store,
    stored_settings,
)

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy._tenant import Tenant

__all__ = ["SettingChange", "change_settings", "put", "setting_history", "take_out"]

_SET = """
UPDATE pss.tenant_plugin SET settings = $3::jsonb, changed_at = now()
WHERE tenant = $1 AND plugin = $2 AND settings <> $3::jsonb RETURNING plugin
"""
_HISTORY = """
SELECT changed_at, plugin, setting, before::text AS before, after::text AS after, actor, source
FROM pss.setting_change
WHERE tenant = $1 AND ($2::text IS NULL OR plugin = $2) AND ($3::text IS NULL OR setting = $3)
ORDER BY changed_at DESC, setting LIMIT $4
"""


class SettingChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one setting; ``before`` or ``after`` is None where it was not set."""

    changed_at: datetime
    plugin: str
    setting: str
    before: Any
    after: Any
    actor: str
    source: str


async def change_settings(
    installation: Installation,
    code: str,
    plugin: str,
    change: Callable[[dict[str, Any]], dict[str, Any]],
) -> bool:
    """Change what is stored of a plugin's settings; whether that made a difference.

    ``change`` is given the settings as stored, with secrets sealed, and gives the new ones. Raises
    Invalid with every error, PluginNotEnabled for a plugin that the tenant never had.
    """
    declared = installation.registry[plugin]
    async with tenant_transaction(installation, code) as owner:
        stored = await stored_settings(owner, code, plugin)
        if stored is None:
            raise PluginNotEnabled(
                f"The tenant {code!r} has not enabled {plugin!r}.",
                mend=f"Run: pss plugin enable {plugin} --tenant {code}",
            )
        wanted = change(copy.deepcopy(stored))
        errors = setting_errors(wanted, declared.settings)
        if errors:
            raise Invalid(
                f"The settings of {plugin!r} would not be valid.",
                code="invalid-settings",
                errors=errors,
                mend="Nothing was changed.",
            )
        text = await settings_to_store(
            installation.keyring, owner, code, declared, wanted, keep=False
        )
        changed = await owner.fetchval(_SET, code, plugin, text)
        await audit_settings(owner, code, plugin, stored, text)
    await installation.directory.refresh()
    return changed is not None


def put(settings: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    """Settings with a value at that path, tables made on the way. Raises Conflict."""
    here = settings
    for name in path[:-1]:
        here = here.setdefault(name, {})
        if not isinstance(here, dict):
            raise Conflict(
                f"{'.'.join(path)} can't be set by itself: {name!r} is no table.",
                code="not-a-table",
                mend=f"Set {name!r} as a whole.",
            )
    here[path[-1]] = value
    return settings


def take_out(settings: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Settings without what is at that path, so that its default holds."""
    here: Any = settings
    for name in path[:-1]:
        here = here.get(name) if isinstance(here, dict) else None
    if isinstance(here, dict):
        here.pop(path[-1], None)
    return settings


async def setting_history(
    installation: Installation,
    tenant: Tenant,
    *,
    plugin: str | None = None,
    setting: str | None = None,
    limit: int = 100,
) -> list[SettingChange]:
    """The latest changes first; secrets were never written there."""
    async with installation.cell(tenant).owner() as owner:
        rows = await owner.fetch(_HISTORY, tenant.code, plugin, setting, limit)
    return [
        SettingChange(
            changed_at=row["changed_at"],
            plugin=row["plugin"],
            setting=row["setting"],
            before=None if row["before"] is None else msgspec.json.decode(row["before"]),
            after=None if row["after"] is None else msgspec.json.decode(row["after"]),
            actor=row["actor"],
            source=row["source"],
        )
        for row in rows
    ]
