"""``pss migrate``: bring the tables of many tenants to the installed versions."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    installed_plugins,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.cli._migrate_run import run
from pss_kernel.installation import Installation
from pss_kernel.rollout._pending import Catalogue, behind, chosen

__all__ = ["app"]

app = typer.Typer(help="Migrations of the tenants' tables, in waves.", no_args_is_help=True)
app.command(
    "run",
    epilog=examples(
        "pss migrate run",
        "pss migrate run --canary aurelis --watch 120 --check ./smoke-test.sh",
        "pss migrate run --dry-run --tenant aurelis",
    ),
)(run)

_Tenants = Annotated[
    list[str] | None, typer.Option("--tenant", help="Only this tenant; may be given several times.")
]
_Plugins = Annotated[
    list[str] | None, typer.Option("--plugin", help="Only this plugin; may be given several times.")
]
_SHOWN = 5
_FAILED = 1


@app.command(
    epilog=examples("pss migrate plan", "pss migrate plan --tenant aurelis --plugin meals --sql")
)
def plan(
    tenant: _Tenants = None,
    plugin: _Plugins = None,
    sql: Annotated[bool, typer.Option("--sql", help="Show each statement whole.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """What is pending, with each statement's locks; changes nothing."""
    from pss_kernel.rollout import _plan  # noqa: PLC0415 - it loads the SQL parser

    async def work(installation: Installation) -> list[_plan.Group]:
        catalogue = Catalogue(installation.registry, plugin)
        waiting = chosen(installation, behind(installation, catalogue), tenant)
        return _plan.grouped(waiting, catalogue)

    groups = with_installation(work, data_dir)
    if json:
        print_json({"pending": groups})
        return
    for group in groups:
        _print_group(group, whole=sql)
    if not groups:
        sys.stdout.write("Nothing is pending.\n")


def _print_group(group: Any, *, whole: bool) -> None:
    from pss_kernel.rollout._plan import locks_in_words  # noqa: PLC0415 - it loads the SQL parser

    names = ", ".join(group.tenants[:_SHOWN])
    more = len(group.tenants) - _SHOWN
    count = f"{len(group.tenants)} tenant{'s' if len(group.tenants) != 1 else ''}"
    sys.stdout.write(
        f"{group.plugin} {group.version}: {group.at or 'nothing'} to {group.to}, {count}: {names}"
        + (f" and {more} more\n" if more > 0 else "\n")
    )
    for step in group.steps:
        alone = "" if step.in_transaction else " (not in a transaction; after the others)"
        sys.stdout.write(f"  {step.revision}{alone}\n")
        for one in step.statements:
            sys.stdout.write(f"    {_shown(one.sql, whole=whole)}\n")
            notes = [locks_in_words(one.locks)]
            notes += ["writes every row anew"] if one.rewrites else []
            notes += ["reads every row"] if one.scans else []
            notes += ["what it locks shows in a dry run only"] if one.unseen else []
            said = "; ".join(note for note in notes if note)
            sys.stdout.write(f"      {said or 'no lock on a table in use'}\n")


def _shown(sql: str, *, whole: bool) -> str:
    if whole:
        return sql.replace("\n", "\n    ")
    words = " ".join(sql.split())
    return words if len(words) <= 100 else f"{words[:97]}..."  # noqa: PLR2004 - a line of a terminal


@app.command(epilog=examples("pss migrate status", "pss migrate status --json"))
def status(data_dir: DataDir = None, json: Json = False) -> None:
    """Where the tenants' tables are, plugin by plugin, and how far the last run is."""
    from pss_kernel.rollout import _plan  # noqa: PLC0415 - it loads the SQL parser

    async def work(installation: Installation) -> dict[str, Any]:
        catalogue = Catalogue(installation.registry)
        return {
            "plugins": _plan.plugin_statuses(installation, catalogue),
            "run": await _plan.run_status(installation),
        }

    found = with_installation(work, data_dir)
    if json:
        print_json(found)
        return
    print_table(
        ["plugin", "version", "revision", "migrated", "pending", "ahead", "unready"],
        [
            [
                *(one.plugin, one.version, one.head or "", str(one.migrated)),
                *(str(one.pending), str(one.ahead)),
                ", ".join(f"{number} {state}" for state, number in one.unready.items()),
            ]
            for one in found["plugins"]
        ],
    )
    _print_run(found["run"])


def _print_run(one: Any) -> None:
    if one is None:
        return
    total = one.migrated + one.waiting + len(one.failed)
    sys.stdout.write(
        f"\nRun {one.run}, begun {one.started_at:%Y-%m-%d %H:%M:%S}, is {one.state}: "
        f"wave {one.wave} of {max(one.waves - 1, 0)}, {one.migrated} of {total} tenants migrated.\n"
    )
    if one.reason:
        sys.stdout.write(f"  {one.reason}\n")
    for code, reason in list(one.failed.items())[:_SHOWN]:
        sys.stdout.write(f"  {code}: {reason}\n")
    if one.state in {"interrupted", "halted"}:
        sys.stdout.write("  'pss migrate run' continues it.\n")


@app.command(epilog=examples("pss migrate lint", "pss migrate lint meals pricing --json"))
def lint(
    plugins: Annotated[
        list[str] | None, typer.Argument(help="Plugins to look at; all without.")
    ] = None,
    json: Json = False,
) -> None:
    """Refuse revisions that would stop requests or break the version before; needs no database."""
    from pss_kernel.rollout._lint import lint as look  # noqa: PLC0415 - it loads the SQL parser

    catalogue = Catalogue(installed_plugins(), plugins or None)
    findings = look(catalogue)
    refused = [one for one in findings if one.allowed is None]
    if json:
        print_json({"findings": findings, "refused": len(refused)})
    else:
        for one in findings:
            said = f"allowed: {one.allowed}" if one.allowed else one.message
            sys.stdout.write(
                f"{one.plugin} {one.revision} {one.rule}: {_shown(one.statement, whole=False)}\n"
                f"  {said}\n"
            )
        number = sum(len(catalogue.revisions(name)) for name in catalogue.folders)
        sys.stdout.write(
            f"{number} revisions looked at, {len(refused)} refused, "
            f"{len(findings) - len(refused)} allowed.\n"
        )
    if refused:
        raise typer.Exit(_FAILED)
