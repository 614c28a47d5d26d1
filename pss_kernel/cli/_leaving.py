"""``pss tenant export``, ``import``, ``delete`` and their kin: a tenant that comes or goes."""

from __future__ import annotations

import re
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    progress_bars,
    with_installation,
)
from pss_kernel.config import CONTROL_CELL
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation
from pss_kernel.leaving._delete import (
    drop_due,
    drop_tenant,
    restore_tenant,
    schedule_deletion,
)
from pss_kernel.leaving._export import export_tenant
from pss_kernel.leaving._format import Manifest
from pss_kernel.leaving._import import import_tenant
from pss_kernel.leaving._place import opened
from pss_kernel.leaving._remains import Remains, kept_exports, remains_of
from pss_kernel.leaving._verify import faults_of, read_manifest
from pss_kernel.tenancy import Tenant

__all__ = ["duration", "register"]

_Code = Annotated[str, typer.Argument(help="The tenant's code.")]
_Source = Annotated[Path, typer.Argument(help="The export: its folder, .zip or .tar.gz.")]
_Yes = Annotated[bool, typer.Option("--yes", help="Don't ask.")]
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,6})([smhdw])", re.ASCII)
_FAULTY = 1


def register(app: typer.Typer) -> None:
    """Add the commands to ``pss tenant``."""
    app.command(epilog=_EXPORT)(export)
    app.command(epilog=_VERIFY)(verify)
    app.command("import", epilog=_IMPORT)(import_)
    app.command(epilog=_DELETE)(delete)
    app.command(epilog=examples("pss tenant restore aurelis"))(restore)
    app.command(epilog=examples("pss tenant remains aurelis", "pss tenant remains aurelis --json"))(
        remains
    )


def duration(text: str) -> timedelta:
    """A time like ``7d``, ``12h`` or ``30m``. Raises Invalid."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Invalid(
            f"{text!r} is not a length of time.",
            code="invalid-duration",
            mend="Write a number and s, m, h, d or w: 7d is a week.",
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


_EXPORT = examples(
    "pss tenant export aurelis exports/aurelis",
    "pss tenant export aurelis exports/aurelis.zip",
)


def export(
    code: _Code,
    target: Annotated[
        Path, typer.Argument(help="A new folder; or a new file that ends in .zip or .tar.gz.")
    ],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Write all that is kept for a tenant to files that anybody can read, while it is served."""

    async def work(installation: Installation) -> Manifest:
        with progress_bars() as report:
            return await export_tenant(installation, code, target, report)

    manifest = with_installation(work, data_dir)
    rows = sum(one.rows for one in (*manifest.tables, *manifest.control))
    if json:
        print_json({"export": str(target), "tables": len(manifest.tables), "rows": rows})
    else:
        sys.stdout.write(
            f"{code} is in {target}: {len(manifest.tables)} tables, {rows} rows. "
            "It holds personal data: keep it safe.\n"
        )


_VERIFY = examples("pss tenant verify exports/aurelis", "pss tenant verify exports/aurelis.zip")


def verify(source: _Source, json: Json = False) -> None:
    """Check that an export is whole, as it was written; exit code 1 where it is not."""
    manifest = None
    try:
        with opened(source) as folder:
            manifest = read_manifest(folder)
            faults = faults_of(folder, manifest)
    except Invalid as invalid:
        if invalid.code != "export-damaged":
            raise
        faults = [invalid.detail]
    if json:
        code = manifest.tenant.code if manifest else None
        print_json({"tenant": code, "whole": not faults, "faults": faults})
    elif faults or manifest is None:
        sys.stdout.writelines(f"{fault}\n" for fault in faults)
    else:
        rows = sum(one.rows for one in (*manifest.tables, *manifest.control))
        sys.stdout.write(
            f"The export of {manifest.tenant.code}, made at {manifest.exported_at:%Y-%m-%d %H:%M} "
            f"UTC, is whole: {rows} rows.\n"
        )
    if faults:
        raise typer.Exit(_FAULTY)


_IMPORT = examples(
    "pss tenant import exports/aurelis",
    "pss tenant import exports/aurelis.zip --as aurelis_test --no-events",
    "pss tenant import exports/aurelis --cell east",
)


def import_(
    source: _Source,
    as_: Annotated[
        str | None, typer.Option("--as", help="Another code. [default: the exported one]")
    ] = None,
    cell: Annotated[str, typer.Option(help="The cell that it shall live in.")] = CONTROL_CELL,
    events: Annotated[
        bool, typer.Option("--events/--no-events", help="Deliver the events that were waiting.")
    ] = True,
    keys: Annotated[
        bool,
        typer.Option("--keys/--no-keys", help="Refuse it where its sealed values don't open here."),
    ] = True,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make an exported tenant here; served when all has arrived. Ended half-way: run it again."""

    async def work(installation: Installation) -> Tenant:
        with opened(source) as folder, progress_bars() as report:
            manifest = read_manifest(folder)
            return await import_tenant(
                installation,
                folder,
                manifest,
                code=as_,
                cell=cell,
                events=events,
                keys=keys,
                report=report,
            )

    tenant = with_installation(work, data_dir)
    if json:
        print_json({"tenant": tenant.code, "cell": tenant.cell, "enabled": sorted(tenant.enabled)})
    else:
        sys.stdout.write(f"{tenant.code} has arrived and is served.\n")


_DELETE = examples(
    "pss tenant delete aurelis",
    "pss tenant delete aurelis --after 30d",
    "pss tenant delete aurelis --now --no-export",
    "pss tenant delete --due --yes",
)


def delete(
    code: Annotated[str | None, typer.Argument(help="The tenant's code.")] = None,
    after: Annotated[
        str, typer.Option(help="How long it may still be taken back: 12h, 7d, 4w.")
    ] = "7d",
    now: Annotated[bool, typer.Option("--now", help="Drop it at once.")] = False,
    due: Annotated[
        bool, typer.Option("--due", help="Drop every tenant whose time has come; for a timer.")
    ] = False,
    export: Annotated[
        bool,
        typer.Option(
            "--export/--no-export", help="Export it to the data folder before it is dropped."
        ),
    ] = True,
    yes: _Yes = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Serve a tenant no more, and drop it after a time. Until then 'restore' takes it back."""
    if due == (code is not None):
        raise Invalid("Give either a tenant's code or --due.", code="invalid-arguments")
    if due:
        _drop_due(data_dir, yes=yes, json=json)
        return
    assert code is not None
    wait = timedelta() if now else duration(after)
    if not yes:
        _ask(code, now=now)

    async def work(installation: Installation) -> tuple[datetime, Path | None]:
        moment = await schedule_deletion(installation, code, wait, export=export)
        if not now:
            return moment, None
        with progress_bars() as report:
            return moment, await drop_tenant(installation, code, report)

    moment, place = with_installation(work, data_dir)
    if json:
        print_json(
            {
                "tenant": code,
                "dropped": now,
                "due_at": moment,
                "export": str(place) if place else None,
            }
        )
    elif now:
        sys.stdout.write(f"{code} is dropped.{_where(place)}\n")
    else:
        sys.stdout.write(
            f"{code} is served no more. It may be dropped from {moment:%Y-%m-%d %H:%M} UTC on, by "
            f"'pss tenant delete --due'; until then: pss tenant restore {code}\n"
        )


def _ask(code: str, *, now: bool) -> None:
    if now:
        typed = typer.prompt(f"All of {code!r} will be dropped for ever. Type its code", err=True)
        if typed != code:
            raise Invalid(f"{typed!r} is not {code!r}; nothing was changed.", code="not-confirmed")
    else:
        typer.confirm(f"Serve {code!r} no more, from now on?", abort=True, err=True)


def _where(place: Path | None) -> str:
    return f" Its export is in {place}." if place else ""


def _drop_due(data_dir: Path | None, *, yes: bool, json: bool) -> None:
    if not yes:
        typer.confirm("Drop every tenant whose time has come, for ever?", abort=True, err=True)

    async def work(installation: Installation) -> dict[str, Path | None]:
        with progress_bars() as report:
            return await drop_due(installation, report)

    dropped = with_installation(work, data_dir)
    if json:
        print_json({"dropped": {code: str(at) if at else None for code, at in dropped.items()}})
        return
    for code, place in dropped.items():
        sys.stdout.write(f"{code} is dropped.{_where(place)}\n")
    if not dropped:
        sys.stdout.write("No tenant's time has come.\n")


def restore(code: _Code, data_dir: DataDir = None, json: Json = False) -> None:
    """Take back a deletion: the tenant is served again, as it was."""

    async def work(installation: Installation) -> None:
        await restore_tenant(installation, code)

    with_installation(work, data_dir)
    if json:
        print_json({"tenant": code, "placement": "active"})
    else:
        sys.stdout.write(f"{code} is served again.\n")


def remains(code: _Code, data_dir: DataDir = None, json: Json = False) -> None:
    """Look for a tenant in every place where it could be; exit code 1 where something is."""

    async def work(installation: Installation) -> tuple[list[Remains], list[Path]]:
        return await remains_of(installation, code), kept_exports(installation, code)

    found, exports = with_installation(work, data_dir)
    total = sum(one.count for one in found)
    if json:
        print_json(
            {"tenant": code, "total": total, "places": found, "exports": exports_of(exports)}
        )
    else:
        print_table(
            ["place", "cell", "count"],
            [[one.place, one.cell, str(one.count)] for one in found],
        )
        if exports:
            sys.stdout.write(f"Exports kept on purpose: {', '.join(exports_of(exports))}\n")
        sys.stdout.write(
            f"{total} things of {code} remain.\n" if total else f"Nothing of {code} remains.\n"
        )
    if total:
        raise typer.Exit(_FAULTY)


def exports_of(paths: list[Path]) -> list[Any]:
    """Paths as text."""
    return [str(path) for path in paths]
