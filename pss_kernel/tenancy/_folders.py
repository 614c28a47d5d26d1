"""Many tenants from their folders: all checked first, then made so, a few at a time.

Nothing is kept of how far it came but the tenants themselves: what is left to do is what a plan
finds, so the same command goes on where it was ended, however that happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
import structlog

from pss_kernel.errors import Conflict, Invalid, Problem
from pss_kernel.persistence import database_problem
from pss_kernel.plugin import FileFinding
from pss_kernel.tenancy._file import InvalidTenant, TenantDefinition, load_tenant
from pss_kernel.tenancy._plan import Change, Plan, Report, carry_out, make_plan
from pss_kernel.tenancy._test_mode import twin_of_definition

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["Outcome", "TenantsFailed", "apply_plans", "find_folders", "plan_folders"]

_log = structlog.get_logger("pss.tenancy")
T = TypeVar("T")
U = TypeVar("U")

Done = Callable[[int, int], None]
"""Told how many tenants are done, and of how many."""


class TenantsFailed(Conflict):
    """Some of many tenants could not be applied; the others were."""

    code, title = "tenants-failed", "Some tenants could not be applied"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one tenant."""

    tenant: str
    state: Literal["applied", "planned", "unchanged", "failed"]
    changes: list[Change] = []
    error: str | None = None


def find_folders(paths: Iterable[Path]) -> list[Path]:
    """The tenants' folders: each path is one, or holds them; every folder once."""
    found: dict[Path, Path] = {}
    for path in paths:
        below = [] if (path / "tenant.toml").exists() else sorted(path.glob("*/tenant.toml"))
        for other in sorted(path.iterdir()) if below else ():
            if (
                other.is_dir()
                and not other.name.startswith((".", "_"))
                and not (other / "tenant.toml").exists()
            ):
                _log.warning("tenant_folder_skipped", folder=str(other), reason="no tenant.toml")
        for folder in [one.parent for one in below] or [path]:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def _claimed_twice(loaded: list[TenantDefinition]) -> Iterable[FileFinding]:
    """Codes and host names that two of the folders want."""
    first: dict[tuple[str, str], Path] = {}
    for one in loaded:
        domains = dict.fromkeys(domain.lower() for domain in one.domains)
        for claim in (("code", one.code), *(("domain", domain) for domain in domains)):
            other = first.setdefault(claim, one.folder)
            if other != one.folder:
                yield FileFinding(
                    path=one.folder / "tenant.toml",
                    message=f"The {claim[0]} {claim[1]!r} is that of {other} too.",
                    mend="Give each tenant its own.",
                )


async def plan_folders(
    installation: Installation, folders: list[Path], *, parallel: int, test: bool = False
) -> list[Plan]:
    """Check every file of every folder, and plan each tenant, in order.

    ``test``: not the tenant that a folder describes, but its test data.
    Raises the only problem that there is, or InvalidTenant with what stands against any.
    """
    loaded: list[TenantDefinition] = []
    problems: list[tuple[Path, Problem]] = []
    for folder in folders:
        try:
            wanted = load_tenant(folder, installation.registry)
            loaded.append(twin_of_definition(wanted) if test else wanted)
        except Problem as problem:
            problems.append((folder, problem))

    async def plan(one: TenantDefinition) -> Plan | None:
        try:
            return await make_plan(installation, one)
        except Problem as problem:
            problems.append((one.folder, problem))
        except OSError as error:
            said = Invalid(f"A file can't be read: {error}.", code="unreadable-file")
            problems.append((one.folder, said))
        return None

    plans = await _each(plan, loaded, parallel)
    _refuse(sorted(problems, key=lambda one: one[0]), list(_claimed_twice(loaded)))
    return [one for one in plans if one is not None]


async def apply_plans(
    installation: Installation,
    plans: list[Plan],
    *,
    parallel: int,
    report: Report = lambda _what, _done, _total: None,
    done: Done = lambda _done, _total: None,
) -> list[Outcome]:
    """Carry the plans out, so many at once, each with one connection of the owner's at a time.

    A tenant that fails stops no other one.
    """
    waiting = [plan for plan in plans if plan.changes]
    finished = len(plans) - len(waiting)

    async def apply(plan: Plan) -> Outcome:
        nonlocal finished
        outcome = await _outcome(installation, plan, report)
        finished += 1
        done(finished, len(plans))
        return outcome

    if waiting:
        done(finished, len(plans))
    became = {one.tenant: one for one in await _each(apply, waiting, parallel)}
    codes = [plan.wanted.code for plan in plans]
    return [became.get(code) or Outcome(tenant=code, state="unchanged") for code in codes]


async def _outcome(installation: Installation, plan: Plan, report: Report) -> Outcome:
    code = plan.wanted.code
    try:
        changes = await carry_out(installation, plan, report)
    except Problem as problem:
        return Outcome(tenant=code, state="failed", error=problem.sentence)
    except Exception as error:  # noqa: BLE001 - a plugin's loader may fail in any way it likes
        said = database_problem(error)
        if said is None:
            _log.error("tenant_not_applied", tenant=code, exc_info=True)
        why = said.sentence if said else f"{type(error).__name__}: {error}"
        return Outcome(tenant=code, state="failed", error=why)
    return Outcome(tenant=code, state="applied", changes=changes)


async def _each(work: Callable[[T], Awaitable[U]], items: list[T], parallel: int) -> list[U]:
    """The results in the order of the items, so many at work at once."""
    room = asyncio.Semaphore(parallel)

    async def one(item: T) -> U:
        async with room:
            return await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in items]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None  # the others were ended because of it
    return [task.result() for task in tasks]


def _refuse(problems: list[tuple[Path, Problem]], findings: list[FileFinding]) -> None:
    """Raises the only problem as it is, several as the findings of an InvalidTenant."""
    if len(problems) == 1 and not findings:
        raise problems[0][1]
    told = findings
    for folder, problem in problems:
        if isinstance(problem, InvalidTenant):
            told += problem.findings
        else:
            path = folder / "tenant.toml"
            told.append(FileFinding(path=path, message=problem.detail, mend=problem.mend or ""))
    if told:
        raise InvalidTenant(told)
