"""Quarantine: a plugin that keeps failing at one tenant is switched off there, and only there.

The libraries for this (purgatory, aiobreaker, pybreaker) keep a circuit for each called service,
in memory or in Redis. Here the state must be the tenant's own, survive restarts, be seen by every
process and be ended by an operator; it is the row in ``pss.tenant_plugin`` that says so already.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from pss_kernel.config import IDENTITY, KERNEL
from pss_kernel.errors import TenantUnknown
from pss_kernel.resilience._call import counted

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.resilience._meter import Counts, Limits
    from pss_kernel.tenancy import Tenant

__all__ = ["Breaker", "reason_for"]

_log = structlog.get_logger("pss.plugins")
# Decided by a function of the owner's, which may change an enabled plugin to this state and
# nothing else.
_QUARANTINE = text("SELECT pss.quarantine_plugin(:tenant, :plugin, :reason)")


def reason_for(counts: Counts, limits: Limits) -> str | None:
    """Why a plugin with these counts is quarantined, in words; None where it is not."""
    within = f"within {limits.window:g} s"
    if 0 < limits.failures <= counts.failures >= limits.share * counts.calls:
        return f"{counts.failures:.0f} of {counts.calls:.0f} calls failed {within}."
    if 0 < limits.timeouts <= counts.timeouts and (
        # By time and not by number: one that hangs now and then costs more than its calls.
        counts.late_seconds >= limits.share * counts.seconds
    ):
        return f"{counts.timeouts:.0f} calls took longer than their budget {within}."
    if 0 < limits.leaks <= counts.leaks:
        return f"{counts.leaks:.0f} units of work were left open {within}."
    used = counts.database_seconds
    if 0 < limits.database_seconds < used and used >= limits.slow_call_seconds * counts.calls:
        return f"{counts.calls:.0f} calls used {used:.1f} s of the database's time {within}."
    return None


class Breaker:
    """Looks at the meters when something went wrong, and quarantines."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._tripped: dict[tuple[str, str], asyncio.Task[None]] = {}

    def judge(self, tenant: Tenant, plugin: str) -> None:
        """Quarantine the plugin for the tenant where it has done enough; never what is built in."""
        key = (tenant.code, plugin)
        if plugin in {KERNEL, IDENTITY} or key in self._tripped:
            return
        meter = self._installation.meters.of(*key)
        since = self._since(tenant.code, plugin)
        if meter.since not in {None, since}:  # released, or enabled anew: a clean window
            meter.forget()
        meter.since = since
        reason = reason_for(meter.recent(), self._installation.meters.limits)
        if reason is not None:
            self._tripped[key] = asyncio.create_task(
                self._quarantine(tenant, plugin, reason), name=f"pss quarantine {plugin}"
            )

    def failed(self, tenant: Tenant, plugin: str, error: BaseException) -> None:
        """Count a failure that shows itself at the commit, perhaps after the plugin's call."""
        counted(error)
        self._installation.meters.of(tenant.code, plugin).failed()
        self.judge(tenant, plugin)

    def _since(self, code: str, plugin: str) -> object:
        try:
            state = self._installation.directory.by_code(code).plugins.get(plugin)
        except TenantUnknown:
            return None
        return state.since if state else None

    async def _quarantine(self, tenant: Tenant, plugin: str, reason: str) -> None:
        known = {"tenant": tenant.code, "plugin": plugin, "reason": reason}
        try:
            engine = self._installation.cell(tenant).relay_engine
            async with engine.begin() as connection:
                first = await connection.scalar(_QUARANTINE, known)
            if first:
                _log.error("plugin_quarantined", **known)
            await self._installation.directory.refresh()
            self._installation.meters.of(tenant.code, plugin).forget()
        except (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            # What keeps failing trips again.
            _log.warning("quarantine_not_written", **known, error=repr(error))
        finally:
            self._tripped.pop((tenant.code, plugin), None)

    async def stop(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._tripped.values(), return_exceptions=True)
