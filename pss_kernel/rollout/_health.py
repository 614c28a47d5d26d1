"""Whether the tenants of a wave are well since their tables changed."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from pss_kernel.errors import Invalid, Problem
from pss_kernel.rollout._traffic import Traffic, fared
from pss_kernel.rollout.contracts import migration_health

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["HealthCheck", "Report"]

_log = structlog.get_logger("pss.rollout")
Report = Callable[[str, int, int], None]
_LOOK_SECONDS = 1.0
_CHECK_SECONDS = 600.0
_ENOUGH = 20
"""So many requests are needed before the watch is ended early for their errors."""


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What must hold before the next wave begins."""

    watch: float = 30.0
    """Seconds for which requests are watched."""
    max_errors: float = 1.0
    """Percent of requests that may end with a status of 500 or more."""
    max_latency: int = 1000
    """Milliseconds that 95 of 100 requests must not exceed."""
    check: str | None = None
    """A command that is given the tenants' codes, one a line, and ends with 0 where all is well."""

    def fault_of(self, traffic: Traffic) -> str | None:
        """What is wrong with how requests fared."""
        share = 100 * traffic.error_share
        if share > self.max_errors:
            return (
                f"{traffic.errors} of {traffic.requests} requests failed ({share:.1f}%, "
                f"allowed are {self.max_errors:g}%)."
            )
        if traffic.p95 is not None and traffic.p95 > self.max_latency:
            return (
                f"95 of 100 requests took up to {traffic.p95} ms, "
                f"allowed are {self.max_latency} ms."
            )
        return None

    async def fault(
        self, installation: Installation, tenants: Sequence[Tenant], report: Report
    ) -> str | None:
        """Watch, ask the plugins, run the command: the first thing that is wrong, or None."""
        return (
            await self._watched(installation, tenants, report)
            or await _asked(installation, tenants)
            or await self._checked(tenants)
        )

    async def _watched(
        self, installation: Installation, tenants: Sequence[Tenant], report: Report
    ) -> str | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            traffic = await _traffic(installation, tenants)
            fault = self.fault_of(traffic)
            left = began + self.watch - loop.time()
            if left <= 0 or (fault and traffic.requests >= _ENOUGH):
                if self.watch and not traffic.requests:
                    _log.warning("no_requests_seen", tenants=len(tenants), seconds=self.watch)
                return fault
            report("Watching requests", round(self.watch - left), max(1, round(self.watch)))
            await asyncio.sleep(min(_LOOK_SECONDS, left))

    async def _checked(self, tenants: Sequence[Tenant]) -> str | None:
        if self.check is None:
            return None
        try:
            process = await asyncio.create_subprocess_exec(
                *shlex.split(self.check),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except (OSError, ValueError) as error:
            raise Invalid(
                f"The command of --check can't be run: {error}.",
                mend="Give a program with its arguments; for a pipe, name a script.",
            ) from error
        codes = "".join(f"{tenant.code}\n" for tenant in tenants).encode()
        try:
            async with asyncio.timeout(_CHECK_SECONDS):
                said, _ = await process.communicate(codes)
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"The check did not end within {_CHECK_SECONDS:g} s."
        if process.returncode == 0:
            return None
        last = said.decode(errors="replace").strip().rpartition("\n")[2][:500]
        return f"The check ended with {process.returncode}: {last}"


async def _traffic(installation: Installation, tenants: Sequence[Tenant]) -> Traffic:
    """How these tenants' requests fared since their migration, in all their cells."""
    total = Traffic()
    for cell in sorted({tenant.cell for tenant in tenants}):
        codes = [tenant.code for tenant in tenants if tenant.cell == cell]
        _, after = await fared(installation.cells[cell], codes)
        total.merge(after)
    return total


async def _asked(installation: Installation, tenants: Sequence[Tenant]) -> str | None:
    """What the plugins of a tenant find wrong."""
    await installation.directory.refresh()
    for known in tenants:
        tenant = installation.directory.by_code(known.code)
        if not installation.registry.implementations(migration_health, tenant):
            continue
        try:
            async with installation.unit_of_work(tenant) as uow:
                findings = await uow.call(migration_health, findings=[])
        except Problem as problem:
            return f"{tenant.code}: {problem.detail}"
        if findings:
            return f"{tenant.code}: {findings[0]}"
    return None
