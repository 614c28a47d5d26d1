"""Recurring work of the plugins, once per tenant however many workers there are."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import structlog
from cronsim import CronSim
from sqlalchemy import text

from pss_kernel.auth import Actor
from pss_kernel.config import CONTROL_CELL
from pss_kernel.correlation import correlated
from pss_kernel.errors import TenantMoving, TenantUnknown
from pss_kernel.ids import new_id
from pss_kernel.messaging._waiting import give_back
from pss_kernel.persistence import Correlation
from pss_kernel.persistence._idempotency import forget_old_keys
from pss_kernel.plugin import Job
from pss_kernel.resilience import Call
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["JobRunner", "next_run", "run_job"]

_log = structlog.get_logger("pss.jobs")
_TICK_SECONDS = 0.5
_RENEW_SECONDS = 40.0
_KERNEL_JOBS = [Job(KERNEL, "forget_old_keys", forget_old_keys, 3600.0, None, "uow")]
_AT_ONCE = 4

_REGISTER = text("""
INSERT INTO pss.job (tenant, plugin, name, next_run_at) VALUES (:tenant, :plugin, :name, :at)
ON CONFLICT DO NOTHING
""")
# A lease, so that a worker that dies leaves the job to another one.
_CLAIM = text("""
UPDATE pss.job SET leased_until = now() + interval '2 minutes', last_started_at = now()
WHERE (tenant, plugin, name) IN (
  SELECT tenant, plugin, name FROM pss.job
  WHERE next_run_at <= now() AND (leased_until IS NULL OR leased_until < now())
    AND plugin || '.' || name = ANY(CAST(:known AS text[]))
  ORDER BY next_run_at LIMIT :most FOR UPDATE SKIP LOCKED)
RETURNING tenant, plugin, name
""")
_RENEW = text("""
UPDATE pss.job SET leased_until = now() + interval '2 minutes'
WHERE tenant = :tenant AND plugin = :plugin AND name = :name
""")
_FINISH = text("""
UPDATE pss.job SET leased_until = NULL, next_run_at = :at, last_error = :error
WHERE tenant = :tenant AND plugin = :plugin AND name = :name
""")

# The mover holds the jobs of a tenant that moves: for ever, as far as a worker can see.
_POSTPONE = text("""
UPDATE pss.job SET leased_until = now() + interval '5 seconds'
WHERE tenant = :tenant AND plugin = :plugin AND name = :name AND leased_until < 'infinity'
""")


def next_run(job: Job, time_zone: str, after: datetime) -> datetime:
    """When a job runs next: cron expressions are read in the tenant's own time zone."""
    if job.cron is not None:
        return next(CronSim(job.cron, after.astimezone(ZoneInfo(time_zone)))).astimezone(UTC)
    return after + timedelta(seconds=job.every or 0)


async def run_job(installation: Installation, tenant: Tenant, job: Job) -> None:
    """Run a job once, bound to the tenant."""
    actor = Actor("system", f"{job.plugin}.{job.name}")
    call = Call(installation, tenant, job.plugin, job.budget)
    correlation = Correlation(new_id("cor"))
    with correlated(
        correlation.correlation_id,
        tenant=tenant.code,
        job=f"{job.plugin}.{job.name}",
        correlation_id=correlation.correlation_id,
    ):
        if job.takes == "work":
            work = installation.work(tenant, actor, correlation, plugin=job.plugin)
            async with work, call:
                await job.function(work=work)
        else:
            unit = installation.unit_of_work(tenant, actor, correlation, plugin=job.plugin)
            async with unit as uow, call:
                await job.function(uow=uow)


class JobRunner:
    """Looks for due jobs of all tenants of a cell and runs a few at a time."""

    def __init__(self, installation: Installation, cell: str = CONTROL_CELL) -> None:
        self._installation = installation
        self._cell = cell
        self._database = installation.cells[cell]
        jobs = [job for plugin in installation.registry.plugins.values() for job in plugin.jobs]
        self._jobs = {(job.plugin, job.name): job for job in [*_KERNEL_JOBS, *jobs]}
        self._known: set[tuple[str, str, str]] = set()
        self._skipped: dict[tuple[str, str, str], str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; what is in hand is finished."""
        well = True
        while not stop.is_set():
            try:
                await give_back(self._installation, self._cell)
                await self._register()
                while await self._run_due() and not stop.is_set():
                    pass
            except Exception as error:  # noqa: BLE001 - the next tick tries again
                if well:
                    _log.warning("jobs_not_run", cell=self._cell, error=repr(error))
                well = False
            else:
                well = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await stop.wait()

    async def _register(self) -> None:
        """Give each job of a newly enabled plugin its row."""
        now = datetime.now(UTC)
        wanted = {
            (tenant.code, plugin, name): at
            for tenant in self._installation.directory
            for (plugin, name), job in self._jobs.items()
            if tenant.cell == self._cell
            and not tenant.leaving
            and plugin in tenant.enabled
            and (tenant.code, plugin, name) not in self._known
            and (at := self._next(tenant.code, job, tenant.time_zone, now)) is not None
        }
        if not wanted:
            return
        async with self._database.relay_engine.begin() as connection:
            await connection.execute(
                _REGISTER,
                [
                    {"tenant": tenant, "plugin": plugin, "name": name, "at": at}
                    for (tenant, plugin, name), at in wanted.items()
                ],
            )
        self._known |= wanted.keys()

    def _next(self, code: str, job: Job, zone: str, after: datetime) -> datetime | None:
        """When it runs next; None, said once, where one tenant's own time makes that unknowable."""
        key = (code, job.plugin, job.name)
        try:
            at = next_run(job, zone, after)
        except Exception as error:  # noqa: BLE001 - one tenant must not stop the others
            if self._skipped.get(key) != repr(error):
                _log.warning(
                    "job_skipped", tenant=code, plugin=job.plugin, job=job.name, error=repr(error)
                )
            self._skipped[key] = repr(error)
            return None
        self._skipped.pop(key, None)
        return at

    async def _run_due(self) -> bool:
        async with self._database.relay_engine.begin() as connection:
            known = [f"{plugin}.{name}" for plugin, name in self._jobs]
            due = (await connection.execute(_CLAIM, {"most": _AT_ONCE, "known": known})).all()
        await asyncio.gather(*(self._run_one(*row) for row in due))
        return bool(due)

    @contextlib.asynccontextmanager
    async def _leased(self, code: str, plugin: str, name: str) -> AsyncIterator[None]:
        """Keep the lease while a job takes long, so that no other worker begins it as well."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(_RENEW_SECONDS)
                async with self._database.relay_engine.begin() as connection:
                    await connection.execute(
                        _RENEW, {"tenant": code, "plugin": plugin, "name": name}
                    )

        renewing = asyncio.create_task(renew(), name=f"pss lease {plugin}.{name}")
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def _run_one(self, code: str, plugin: str, name: str) -> None:
        job = self._jobs.get((plugin, name))
        error = None
        zone = "UTC"
        try:
            tenant = await self._here(code)
            zone = tenant.time_zone
            if job is not None and plugin in tenant.enabled and not tenant.leaving:
                async with self._leased(code, plugin, name):
                    await run_job(self._installation, tenant, job)
        except TenantMoving:
            await self._postpone(code, plugin, name)
            return
        except Exception as failure:  # noqa: BLE001 - one job must not stop the others
            _log.exception("job_failed", tenant=code, plugin=plugin, job=name)
            error = type(failure).__name__
        now = datetime.now(UTC)
        at = self._next(code, job, zone, now) if job is not None else None
        at = at or now + timedelta(hours=1)
        async with self._database.relay_engine.begin() as connection:
            await connection.execute(
                _FINISH,
                {"tenant": code, "plugin": plugin, "name": name, "at": at, "error": error},
            )

    async def _here(self, code: str) -> Tenant:
        """The tenant. Raises TenantMoving where it has left: its jobs run in its new cell.

        Raises TenantMoving too where nobody is served under the code: it is just arriving.
        """
        directory = self._installation.directory
        try:
            tenant = directory.by_code(code)
        except TenantUnknown:
            await directory.refresh()  # it has come since this process last looked
            try:
                tenant = directory.by_code(code)
            except TenantUnknown:
                raise TenantMoving from None
        if tenant.cell != self._cell:
            raise TenantMoving
        return tenant

    async def _postpone(self, code: str, plugin: str, name: str) -> None:
        """Leave it for later, here or wherever its tenant is by then."""
        async with self._database.relay_engine.begin() as connection:
            await connection.execute(_POSTPONE, {"tenant": code, "plugin": plugin, "name": name})
