"""The state of each plugin at each tenant, for operators."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from pss_kernel.errors import Conflict
from pss_kernel.persistence._migrations import pending
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy._tenant import PluginState

__all__ = ["PluginStatus", "plugin_states", "release_plugin"]

_WAITING = "SELECT tenant, plugin, count(*) AS events FROM pss.event_waiting GROUP BY 1, 2"


class PluginStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One plugin at one tenant."""

    tenant: str
    plugin: str
    state: str
    since: datetime
    reason: str | None
    version: str | None
    revision: str | None
    events_waiting: int


async def plugin_states(
    installation: Installation, tenant: str | None = None, *, every: bool = False
) -> list[PluginStatus]:
    """Of all tenants, or of one; without ``every``, only where there is something to look at.

    That is a plugin in another state than enabled or disabled, one that is enabled but not
    installed here, one whose tables or version are behind, and one for which events wait.
    """
    waiting: dict[tuple[str, str], int] = {}
    for name, database in installation.cells.items():
        if name in installation.directory.unreachable:
            continue  # what was known of its tenants is shown, what waits there can't be
        async with database.owner() as owner:
            rows = await owner.fetch(_WAITING)
        waiting |= {(row["tenant"], row["plugin"]): row["events"] for row in rows}
    found = []
    for one in installation.directory:
        if tenant is not None and one.code != tenant:
            continue
        for plugin, state in sorted(one.plugins.items()):
            events = waiting.get((one.code, plugin), 0)
            shown = every or events > 0 or _remarkable(installation, plugin, state)
            if plugin == KERNEL or not shown:
                continue
            found.append(
                PluginStatus(
                    tenant=one.code,
                    plugin=plugin,
                    state=state.state,
                    since=state.since,
                    reason=_reason(installation, plugin, state),
                    version=state.version,
                    revision=state.revision,
                    events_waiting=events,
                )
            )
    return found


async def release_plugin(installation: Installation, code: str, name: str) -> None:
    """End a quarantine; the plugin serves again, with a clean window in every process.

    Raises Conflict where it is not in quarantine.
    """
    state = installation.directory.by_code(code).plugins.get(installation.registry[name].name)
    if state is None or state.state != "quarantined":
        raise Conflict(
            f"The plugin {name!r} is not in quarantine for {code!r}; it is "
            f"{state.state if state else 'not enabled'}.",
            code="not-quarantined",
            mend="See 'pss plugin status'.",
        )
    await enable_plugins(installation, code, {name: None})


def _remarkable(installation: Installation, plugin: str, state: PluginState) -> bool:
    if state.state == "disabled":
        return False
    return state.state != "enabled" or _reason(installation, plugin, state) is not None


def _reason(installation: Installation, plugin: str, state: PluginState) -> str | None:
    """What the ledger says, or what this installation finds about an enabled plugin."""
    if state.state != "enabled":
        return state.reason
    installed = installation.registry.plugins.get(plugin)
    if installed is None:
        return "It is enabled, but not installed here or not usable; see 'pss plugin list'."
    if pending(installation.registry.migrations_of(plugin), state.revision):
        return f"Migrations of version {installed.version} are pending."
    if state.version != installed.version:
        return f"Installed is version {installed.version}."
    return None
