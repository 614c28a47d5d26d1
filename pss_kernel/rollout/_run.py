"""Migrating the tenants in waves: canaries first, each wave found healthy before the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg

from pss_kernel.errors import Conflict, Invalid
from pss_kernel.rollout._apply import Limits, MigrationHalted
from pss_kernel.rollout._health import HealthCheck, Report
from pss_kernel.rollout._pending import Batch, Catalogue, behind, chosen, note_versions
from pss_kernel.rollout._record import Run, alone, last_run, members_of, new_run
from pss_kernel.rollout._traffic import busiest
from pss_kernel.rollout._wave import Wave

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["Options", "Outcome", "cohorts", "pick_canaries", "run_migrations"]

_GROWTH = 4


@dataclass(frozen=True, slots=True)
class Options:
    """What an operator may choose."""

    tenants: tuple[str, ...] | None = None
    plugins: tuple[str, ...] | None = None
    canaries: tuple[str, ...] = ()
    canary_share: float = 1.0
    """Percent of the tenants that are canaries where none are named; at least one tenant."""
    parallel: int = 4
    anew: bool = False
    """Begin a new run where an unfinished one could be continued."""
    health: HealthCheck = field(default_factory=HealthCheck)
    limits: Limits = field(default_factory=Limits)

    @property
    def scope(self) -> dict[str, Any]:
        """What makes two runs the same one."""
        return {
            "tenants": sorted(self.tenants) if self.tenants is not None else None,
            "plugins": sorted(self.plugins) if self.plugins is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended."""

    state: str
    """``done``, ``halted``, or ``nothing`` where nothing was pending."""
    run_id: int | None = None
    migrated: int = 0
    waiting: int = 0
    reason: str | None = None
    continued: bool = False


async def run_migrations(installation: Installation, options: Options, report: Report) -> Outcome:
    """Begin a run, or continue the last one where it was not finished.

    Raises Conflict where another process is at it, or other canaries are named for a run that
    has begun; what a tenant's migration or the health check says is in the outcome.
    """
    catalogue = Catalogue(installation.registry, options.plugins)
    async with alone(installation.database) as control:
        await note_versions(installation, catalogue, options.tenants)
        await installation.directory.refresh()
        waiting = chosen(installation, behind(installation, catalogue), options.tenants)
        before = await last_run(control)
        continued = before is not None and _continues(before, catalogue, options)
        if continued and before is not None:
            run = before
            await _rejoin(control, run, waiting, options)
        elif not waiting:
            return Outcome("nothing")
        else:
            codes = [one.code for one in waiting]
            _check_canaries(options, codes)
            canaries = options.canaries or await pick_canaries(
                installation, list(waiting), options.canary_share
            )
            async with control.transaction():  # a run without its waves would be one great wave
                run = await new_run(control, catalogue.installed, options.scope)
                await run.add_waves(control, 0, cohorts(codes, canaries))
        return await _Running(installation, control, run, catalogue, options, report).through(
            continued=continued
        )


def _check_canaries(options: Options, codes: Sequence[str]) -> None:
    """Raises Invalid for one that would not go first, because it does not go at all."""
    idle = sorted(set(options.canaries) - set(codes))
    if idle:
        raise Invalid(
            f"Nothing is pending for the canaries {', '.join(idle)}.",
            code="nothing-pending",
            mend="Name others: 'pss migrate plan' shows who is behind.",
        )


def _continues(run: Run, catalogue: Catalogue, options: Options) -> bool:
    """Whether the last run is not finished and is about the same."""
    return (
        run.state in {"running", "halted"}
        and not options.anew
        and dict(run.heads) == catalogue.installed
        and dict(run.scope) == options.scope
    )


async def _rejoin(
    control: asyncpg.Connection, run: Run, waiting: dict[Tenant, Batch], options: Options
) -> None:
    """Take up a run again, with tenants that are new since it began in a wave of their own."""
    members = await members_of(control, run)
    canaries = {one.tenant for one in members if one.wave == 0}
    if options.canaries and set(options.canaries) != canaries:
        raise Conflict(
            f"The run {run.run_id} is not finished, and its canaries are "
            f"{', '.join(sorted(canaries))}.",
            code="migration-unfinished",
            mend="Leave --canary out to continue it, or begin another one with --anew.",
        )
    waves = {one.tenant: one.wave for one in members}
    late = [one.code for one in waiting if waves.get(one.code, -1) <= run.passed]
    if late:
        await run.add_waves(control, max(waves.values(), default=-1) + 1, [late])
    await run.set_state(control, "running")


def cohorts(codes: Sequence[str], canaries: Sequence[str]) -> list[list[str]]:
    """The canaries, then waves that each have four times as many tenants as the one before."""
    first = [code for code in codes if code in set(canaries)]
    rest = sorted(set(codes) - set(first))
    waves = [first] if first else []
    size = max(1, len(first)) * _GROWTH
    while rest:
        waves.append(rest[:size])
        rest = rest[size:]
        size *= _GROWTH
    return waves


async def pick_canaries(
    installation: Installation, tenants: Sequence[Tenant], share: float
) -> list[str]:
    """Those with the most requests of late: with them something is seen soonest."""
    number = max(1, round(len(tenants) * share / 100))
    counts: dict[str, int] = {}
    for cell in {tenant.cell for tenant in tenants}:
        codes = [tenant.code for tenant in tenants if tenant.cell == cell]
        counts |= await busiest(installation.cells[cell], codes)
    ordered = sorted(tenants, key=lambda one: (-counts.get(one.code, 0), one.code))
    return [tenant.code for tenant in ordered[:number]]


@dataclass(slots=True)
class _Running:
    """One run, from the wave where it is to its end."""

    installation: Installation
    control: asyncpg.Connection
    run: Run
    catalogue: Catalogue
    options: Options
    report: Report
    migrated: int = 0

    async def through(self, *, continued: bool) -> Outcome:
        members = await members_of(self.control, self.run)
        last = max((one.wave for one in members), default=-1)
        reason = None
        for number in range(self.run.passed + 1, last + 1):
            codes = [one.tenant for one in members if one.wave == number]
            reason = await self._wave(number, codes, last)
            if reason is not None:
                break
            await self.run.set_passed(self.control, number)
        state = "done" if reason is None else "halted"
        await self.run.set_state(self.control, state, reason)
        await self.installation.directory.refresh()
        left = chosen(
            self.installation, behind(self.installation, self.catalogue), self.options.tenants
        )
        return Outcome(state, self.run.run_id, self.migrated, len(left), reason, continued)

    async def _wave(self, number: int, codes: Sequence[str], last: int) -> str | None:
        """Migrate a wave and look how it is; what is wrong, or None."""
        await self.installation.directory.refresh()
        lacking = behind(self.installation, self.catalogue)
        known = {one.code: one for one in self.installation.directory}
        tenants = [known[code] for code in codes if code in known]
        todo = [tenant for tenant in tenants if tenant in lacking]
        # Done by a process that died before it could say so here.
        await self.run.ended(
            self.control, [(one.code, "migrated", None, None) for one in tenants if one not in todo]
        )
        name = "Canaries" if number == 0 else f"Wave {number} of {last}"
        wave = Wave(self.installation, self.catalogue, self.options.limits, self.options.parallel)
        try:
            await wave.migrate(
                todo, self.run, self.control, lambda done, all_: self.report(name, done, all_)
            )
        except MigrationHalted as problem:
            return problem.detail
        finally:
            self.migrated += wave.done
        if number == last and number > 0:
            return None
        return await self.options.health.fault(self.installation, tenants, self.report)
