"""``pss migrate run``: in waves, or as a dry run."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    print_json,
    print_table,
    progress_bars,
    with_installation,
)
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation
from pss_kernel.rollout._pending import Catalogue, behind, chosen

__all__ = ["run"]

_FAILED = 1


def run(
    tenant: Annotated[
        list[str] | None,
        typer.Option("--tenant", help="Only this tenant; may be given several times."),
    ] = None,
    plugin: Annotated[
        list[str] | None,
        typer.Option("--plugin", help="Only this plugin; may be given several times."),
    ] = None,
    canary: Annotated[
        list[str] | None,
        typer.Option("--canary", help="A tenant to migrate first; may be given several times."),
    ] = None,
    canary_share: Annotated[
        float,
        typer.Option(
            min=0.01, max=100, help="Without --canary: percent of the tenants that go first."
        ),
    ] = 1.0,
    watch: Annotated[
        float,
        typer.Option(min=0, max=86_400, help="Seconds to watch a wave's requests before the next."),
    ] = 30.0,
    max_errors: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of their requests that may fail.")
    ] = 1.0,
    max_latency: Annotated[
        int, typer.Option(min=5, max=60_000, help="Milliseconds for 95 of 100 requests.")
    ] = 1000,
    check: Annotated[
        str | None,
        typer.Option(
            help="A command for each wave: given the tenants' codes on standard input, "
            "it ends with 0 where all is well."
        ),
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=1, max=64, help="Tenants at once; each takes a connection.")
    ] = 4,
    lock_timeout: Annotated[
        int, typer.Option(min=10, max=60_000, help="Milliseconds to wait for a lock, each try.")
    ] = 250,
    statement_timeout: Annotated[
        int, typer.Option(min=100, max=3_600_000, help="Milliseconds that a statement may take.")
    ] = 60_000,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Apply and roll back, and say what happened.")
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Don't continue the last run, begin another.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Migrate the tenants, canaries first; run it again to continue one that was stopped."""
    from pss_kernel.rollout._apply import Limits  # noqa: PLC0415 - it loads the SQL parser
    from pss_kernel.rollout._health import HealthCheck  # noqa: PLC0415 - the same
    from pss_kernel.rollout._run import Options  # noqa: PLC0415 - the same

    options = Options(
        tenants=tuple(tenant) if tenant else None,
        plugins=tuple(plugin) if plugin else None,
        canaries=tuple(canary or ()),
        canary_share=canary_share,
        parallel=parallel,
        anew=anew,
        health=HealthCheck(watch, max_errors, max_latency, check),
        limits=Limits(lock_timeout, statement_timeout),
    )
    if dry_run:
        _dry(options, data_dir, json=json)
    else:
        _run(options, data_dir, json=json)


def _run(options: Any, data_dir: Path | None, *, json: bool) -> None:
    from pss_kernel.rollout._run import run_migrations  # noqa: PLC0415 - it loads the SQL parser

    async def work(installation: Installation) -> Any:
        for code in options.canaries:
            installation.directory.by_code(code)
        with progress_bars() as report:
            return await run_migrations(installation, options, _plain(report))

    outcome = with_installation(work, data_dir)
    if json:
        print_json(outcome)
    elif outcome.state == "nothing":
        sys.stdout.write("Nothing is pending.\n")
    else:
        done = f"Run {outcome.run_id} is {outcome.state}: {outcome.migrated} tenants migrated"
        sys.stdout.write(
            f"{done}{' (continued)' if outcome.continued else ''}, {outcome.waiting} pending.\n"
        )
        if outcome.reason:
            sys.stderr.write(
                f"Halted: {outcome.reason}\n"
                "Every tenant is wholly migrated or untouched. Mend it, and run the same again.\n"
            )
    if outcome.state == "halted":
        raise typer.Exit(_FAILED)


def _plain(report: Callable[[str, int, int], None]) -> Callable[[str, int, int], None]:
    """Where no bar is shown, a line for each thing that begins."""
    told: set[str] = set()

    def tell(what: str, done: int, total: int) -> None:
        if what not in told and not sys.stderr.isatty():
            told.add(what)
            sys.stderr.write(f"  {what}\n")
            sys.stderr.flush()
        report(what, done, total)

    return tell


def _dry(options: Any, data_dir: Path | None, *, json: bool) -> None:
    from pss_kernel.rollout._apply import MigrationHalted  # noqa: PLC0415 - it loads the SQL parser
    from pss_kernel.rollout._dry import dry_run  # noqa: PLC0415 - the same
    from pss_kernel.rollout._plan import locks_in_words  # noqa: PLC0415 - the same

    async def work(installation: Installation) -> list[Any]:
        tenants = await _dry_tenants(installation, options)
        found = []
        for migration_of in tenants:
            async with installation.cells[migration_of.cell].owner() as owner:
                found += await dry_run(_migration(installation, owner, migration_of, options))
        return found

    try:
        observed = with_installation(work, data_dir)
    except MigrationHalted as problem:
        sys.stderr.write(f"It would fail: {problem.detail}\nEverything was rolled back.\n")
        raise typer.Exit(_FAILED) from problem
    if json:
        print_json({"observed": observed})
        return
    if not observed:
        sys.stdout.write("Nothing is pending.\n")
        return
    print_table(
        ["tenant", "plugin", "revision", "ms", "locks taken", "rewritten", "statement"],
        [
            [
                *(one.tenant, one.plugin, one.revision),
                "not run" if one.milliseconds is None else f"{one.milliseconds:.1f}",
                locks_in_words(one.locks),
                ", ".join(one.rewritten),
                " ".join(one.sql.split())[:60],
            ]
            for one in observed
        ],
    )
    sys.stderr.write("Everything was rolled back.\n")


def _migration(installation: Installation, owner: Any, tenant: Any, options: Any) -> Any:
    from pss_kernel.rollout._apply import TenantMigration  # noqa: PLC0415 - it loads the SQL parser

    catalogue = Catalogue(installation.registry, options.plugins)
    roles = installation.cells[tenant.cell].roles
    return TenantMigration(owner, tenant, roles, catalogue, options.limits, asyncio.Lock())


async def _dry_tenants(installation: Installation, options: Any) -> list[Any]:
    """Those that were named, else those that would be canaries."""
    from pss_kernel.rollout._run import pick_canaries  # noqa: PLC0415 - it loads the SQL parser

    catalogue = Catalogue(installation.registry, options.plugins)
    waiting = chosen(installation, behind(installation, catalogue), options.tenants)
    if options.tenants is not None or not waiting:
        return list(waiting)
    codes = options.canaries or await pick_canaries(
        installation, list(waiting), options.canary_share
    )
    found = [one for one in waiting if one.code in codes]
    if not found:
        raise Invalid(
            "Nothing is pending for those tenants.",
            code="nothing-pending",
            mend="'pss migrate plan' shows what is.",
        )
    return found
