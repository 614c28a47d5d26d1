"""``pss tenant``: from a tenant's folder to what runs."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pss_kernel.cli import _leaving, _move, _test_mode
from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    progress_bars,
    with_installation,
)
from pss_kernel.cli._progress import whole_progress
from pss_kernel.config import PLATFORM
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._file import load_tenant
from pss_kernel.tenancy._folders import (
    Outcome,
    TenantsFailed,
    apply_plans,
    find_folders,
    plan_folders,
)
from pss_kernel.tenancy._plan import Change, Plan, apply_tenant
from pss_kernel.tenancy._tenant import IDENTITY, KERNEL
from pss_kernel.tenancy._test_mode import twin_of_definition

__all__ = ["app"]

app = typer.Typer(help="Tenants and the files that describe them.", no_args_is_help=True)
_move.register(app)
_Folders = Annotated[
    list[Path],
    typer.Argument(
        help="Folders of tenants, each with its tenant.toml; or folders that hold such folders.",
        metavar="FOLDER...",
    ),
]
_Test = Annotated[
    bool,
    typer.Option(
        "--test", help="Not the tenant that a folder describes, but its test data (CODE_test)."
    ),
]
_Parallel = Annotated[
    int,
    typer.Option(min=1, max=32, help="Tenants at once, and owner's connections to each cell."),
]


@app.command(epilog=examples("pss tenant plan tenants/aurelis", "pss tenant plan tenants --json"))
def plan(
    folders: _Folders,
    parallel: _Parallel = 4,
    test: _Test = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Print what 'apply' would change; changes nothing."""
    found = find_folders(folders)

    async def work(installation: Installation) -> list[Plan]:
        return await plan_folders(installation, found, parallel=parallel, test=test)

    plans = with_installation(work, data_dir)
    outcomes = [
        Outcome(tenant=one.wanted.code, state="planned", changes=one.changes)
        if one.changes
        else Outcome(tenant=one.wanted.code, state="unchanged")
        for one in plans
    ]
    _tell(outcomes, json=json, alone=found == folders[:1], each_change=True)


@app.command(
    epilog=examples(
        "pss tenant apply tenants/aurelis",
        "pss tenant apply tenants --parallel 8",
        "pss tenant apply tenants/aurelis --test",
        "pss tenant apply tenants/aurelis tenants/pipit --json",
    )
)
def apply(
    folders: _Folders,
    parallel: _Parallel = 4,
    test: _Test = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make what runs equal to the folders; running it again changes nothing."""
    found = find_folders(folders)
    alone = found == folders[:1]

    async def one(installation: Installation) -> list[Outcome]:
        wanted = load_tenant(found[0], installation.registry)
        if test:
            wanted = twin_of_definition(wanted)
        with progress_bars() as report:
            changes = await apply_tenant(installation, wanted, report)
        state: Literal["applied", "unchanged"] = "applied" if changes else "unchanged"
        return [Outcome(tenant=wanted.code, state=state, changes=changes)]

    async def many(installation: Installation) -> list[Outcome]:
        plans = await plan_folders(installation, found, parallel=parallel, test=test)
        with whole_progress("tenants") as (report, done):
            return await apply_plans(
                installation, plans, parallel=parallel, report=report, done=done
            )

    outcomes = with_installation(one if alone else many, data_dir)
    _tell(outcomes, json=json, alone=alone, each_change=alone)
    failed = [outcome.tenant for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise TenantsFailed(
            f"{len(failed)} of {len(outcomes)} tenants could not be applied: {', '.join(failed)}.",
            mend="Mend what is said of each, and run the same command again.",
        )


def _tell(outcomes: list[Outcome], *, json: bool, alone: bool, each_change: bool) -> None:
    """For people and machines; ``alone``: it was about one tenant's folder."""
    if json:
        print_json({"changes": outcomes[0].changes} if alone else {"tenants": outcomes})
        return
    for outcome in outcomes:
        if outcome.error is not None:
            sys.stderr.write(f"{outcome.tenant}: {outcome.error}\n")
        elif each_change:
            for change in outcome.changes:
                before = "" if alone else f"{outcome.tenant}: "
                sys.stdout.write(f"{before}{change}\n")
        elif outcome.changes:
            sys.stdout.write(f"{outcome.tenant}: {_counted(outcome.changes)}\n")
    if all(outcome.state == "unchanged" for outcome in outcomes):
        sys.stdout.write("Nothing to change.\n")
    elif not alone:
        states = Counter(outcome.state for outcome in outcomes)
        said = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        sys.stdout.write(f"{len(outcomes)} tenants: {said}.\n")


def _counted(changes: list[Change]) -> str:
    """Such as ``create 1, enable 10, load 2``."""
    return ", ".join(
        f"{action} {number}" for action, number in Counter(one.action for one in changes).items()
    )


@app.command("list", epilog=examples("pss tenant list", "pss tenant list --json"))
def list_tenants(data_dir: DataDir = None, json: Json = False) -> None:
    """All tenants."""

    async def work(installation: Installation) -> list[dict[str, Any]]:
        for code, cell in sorted(installation.directory.away.items()):
            sys.stderr.write(f"{code} is not shown: its cell {cell!r} can't be reached.\n")
        return [_facts(one) for one in installation.directory if one.code != PLATFORM]

    rows = with_installation(work, data_dir)
    if json:
        print_json({"data": rows})
    else:
        print_table(
            ["code", "name", "test of", "currency", "plugins"],
            [
                [
                    *(row["code"], row["name"], row["test_of"] or "", row["currency"]),
                    ", ".join(row["enabled"]),
                ]
                for row in rows
            ],
        )


@app.command(epilog=examples("pss tenant show aurelis --json"))
def show(
    code: Annotated[str, typer.Argument(help="The tenant's code.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """One tenant, with the state of each plugin."""

    async def work(installation: Installation) -> dict[str, Any]:
        return _facts(installation.directory.by_code(code))

    facts = with_installation(work, data_dir)
    if json:
        print_json(facts)
        return
    states = facts.pop("plugins")
    for name, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value or ""
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        sys.stdout.write(f"{name:15}{shown}\n")
    for name, one in states.items():
        if one["reason"]:
            sys.stdout.write(f"{one['state']:15}{name}: {one['reason']}\n")


_leaving.register(app)
_test_mode.register(app)


def _facts(tenant: Tenant) -> dict[str, Any]:
    return {
        "code": tenant.code,
        "name": tenant.name,
        "test_of": tenant.test_of,
        "currency": tenant.currency,
        "time_zone": tenant.time_zone,
        "locales": list(tenant.locales),
        "domains": list(tenant.domains),
        "cell": tenant.cell,
        "placement": tenant.placement,
        "strict_plugins": tenant.strict_plugins,
        **({"due_at": tenant.due_at} if tenant.due_at else {}),
        "schema": tenant.schema,
        "role": tenant.role,
        "enabled": sorted(tenant.enabled - {KERNEL, IDENTITY}),
        "plugins": {
            name: {
                "state": one.state,
                "version": one.version,
                "revision": one.revision,
                "reason": one.reason,
            }
            for name, one in sorted(tenant.plugins.items())
        },
    }
