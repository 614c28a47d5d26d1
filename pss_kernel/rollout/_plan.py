"""What is pending, grouped so that a thousand tenants fit on a screen; and where all stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.rollout._pending import LIVE, Batch, Catalogue
from pss_kernel.rollout._record import last_run, members_of, run_is_active
from pss_kernel.rollout._statements import Effect, Known, Lock, effects_of

if TYPE_CHECKING:
    from pss_kernel.installation import Installation
    from pss_kernel.tenancy import Tenant

__all__ = ["Group", "PluginStatus", "RunStatus", "Step", "grouped", "plugin_statuses", "run_status"]


class Step(msgspec.Struct, frozen=True):
    """One revision, with what each of its statements does."""

    revision: str
    in_transaction: bool
    statements: list[Effect]


class Group(msgspec.Struct, frozen=True):
    """The tenants whose tables of a plugin lack the same revisions."""

    plugin: str
    version: str
    at: str | None
    to: str
    tenants: list[str]
    steps: list[Step]


class PluginStatus(msgspec.Struct, frozen=True):
    """Where the tables of a plugin are, over all tenants."""

    plugin: str
    version: str
    head: str | None
    migrated: int
    pending: int
    ahead: int
    """Newer than the code that is installed here."""
    unready: dict[str, int]
    """Tenants where it is neither in use nor off: by state."""


class RunStatus(msgspec.Struct, frozen=True):
    """How far the last run is."""

    run: int
    state: str
    """``running``, ``interrupted``, ``halted``, ``done`` or ``superseded``."""
    wave: int
    waves: int
    waiting: int
    migrated: int
    failed: dict[str, str]
    reason: str | None
    started_at: Any
    ended_at: Any
    slowest: list[tuple[str, float]]
    """Seconds of the tenants that took longest."""


def grouped(waiting: dict[Tenant, Batch], catalogue: Catalogue) -> list[Group]:
    """What is pending, by plugin and by where the tables are."""
    tenants: dict[tuple[str, str | None], list[str]] = {}
    for tenant, batch in waiting.items():
        for plugin in batch:
            state = tenant.plugins[plugin]
            tenants.setdefault((plugin, state.revision), []).append(tenant.code)
    order = list(catalogue.folders)
    return [
        Group(
            plugin,
            catalogue.versions[plugin],
            at,
            str(catalogue.heads[plugin]),
            sorted(codes),
            _steps(catalogue, plugin, at),
        )
        for (plugin, at), codes in sorted(
            tenants.items(), key=lambda one: (order.index(one[0][0]), one[0][1] or "")
        )
    ]


def _steps(catalogue: Catalogue, plugin: str, at: str | None) -> list[Step]:
    known = Known()
    pending = catalogue.lacking({plugin: at})[plugin]
    for revision in catalogue.revisions(plugin):
        if revision not in pending:
            effects_of(revision.statements, known)
    known.made.clear()
    return [
        Step(one.revision, not one.concurrent, effects_of(one.statements, known)) for one in pending
    ]


def plugin_statuses(installation: Installation, catalogue: Catalogue) -> list[PluginStatus]:
    """Where all tenants stand, plugin by plugin."""
    return [_status(installation, catalogue, plugin) for plugin in catalogue.folders]


def _status(installation: Installation, catalogue: Catalogue, plugin: str) -> PluginStatus:
    counts = {"migrated": 0, "pending": 0, "ahead": 0}
    unready: dict[str, int] = {}
    for tenant in installation.directory:
        state = tenant.plugins.get(plugin)
        if state is None or state.state == "disabled":
            continue
        if state.state not in LIVE:
            unready[state.state] = unready.get(state.state, 0) + 1
        elif catalogue.ahead(plugin, state.revision):
            counts["ahead"] += 1
        elif catalogue.lacking({plugin: state.revision}):
            counts["pending"] += 1
        else:
            counts["migrated"] += 1
    version, head = catalogue.versions[plugin], catalogue.heads[plugin]
    return PluginStatus(plugin, version, head, **counts, unready=unready)


async def run_status(installation: Installation) -> RunStatus | None:
    """The last run, where there ever was one."""
    async with installation.database.owner() as control:
        run = await last_run(control)
        if run is None:
            return None
        members = await members_of(control, run)
        state = run.state
        if state == "running" and not await run_is_active(control):
            state = "interrupted"
    slowest = sorted(
        ((one.tenant, one.seconds) for one in members if one.seconds is not None),
        key=lambda one: -one[1],
    )
    waves = max((one.wave for one in members), default=-1) + 1
    return RunStatus(
        run.run_id,
        state,
        min(run.passed + 1, max(waves - 1, 0)),
        waves,
        sum(one.state == "waiting" for one in members),
        sum(one.state == "migrated" for one in members),
        {one.tenant: one.reason or "" for one in members if one.state == "failed"},
        run.reason,
        run.started_at,
        run.ended_at,
        slowest[:5],
    )


def locks_in_words(locks: tuple[Lock, ...]) -> str:
    """For people: the lock, its table, and who waits."""
    return "; ".join(
        f"{one.mode} on {one.table}" + (f" (blocks {one.blocks})" if one.blocks else "")
        for one in locks
    )
