"""`pss inventory`: schedules from the command line."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from pss_kernel import Invalid
from pss_kernel.commands import (
    DataDir,
    Installation,
    Json,
    examples,
    print_json,
    progress_bars,
    with_installation,
)

from . import plugin
from .checks import check_bytes
from .schedule import LoadReport, load_schedule
from .ssim import Finding, write

__all__ = ["app", "checked_contents", "import_ssim"]

MOST_PRINTED = 20

app = plugin.typer("inventory", help="Schedules and flights.")


@app.callback()
def inventory() -> None:
    """Schedules and flights."""


@app.command(
    "import-ssim",
    epilog=examples("pss inventory import-ssim w26.ssim s27.ssim --tenant aurelis"),
)
def import_ssim(
    files: Annotated[
        list[Path],
        typer.Argument(exists=True, dir_okay=False, readable=True, help="SSIM chapter 7 files."),
    ],
    tenant: Annotated[str, typer.Option(help="The airline's code.")],
    accept_valid: Annotated[
        bool,
        typer.Option("--accept-valid", help="Import the good records of a file with errors."),
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Import schedule files; with an error in one of them nothing is imported."""
    contents, findings = checked_contents(files, accept_valid=accept_valid)
    if not json:
        _print_findings(findings)

    async def work(installation: Installation) -> LoadReport:
        airline = installation.directory.by_code(tenant)
        with progress_bars() as report:
            async with installation.unit_of_work(airline) as uow:
                return await load_schedule(
                    uow,
                    contents,
                    source="import",
                    progress=lambda done, total: report("flights", done, total),
                )

    loaded = with_installation(work, data_dir)
    if json:
        print_json({"report": loaded, "findings": findings})
        return
    _print_findings(loaded.findings)
    sys.stdout.write(f"{loaded.sentence()}\n")


def checked_contents(
    files: list[Path], *, accept_valid: bool
) -> tuple[dict[str, bytes], dict[str, list[Finding]]]:
    """Choose what to import of each file, and find what is wrong with it.

    Raises Invalid with every error of every file, unless the good records are enough.
    """
    contents: dict[str, bytes] = {}
    findings: dict[str, list[Finding]] = {}
    errors: list[str] = []
    for path in files:
        raw = path.read_bytes()
        reading, found = check_bytes(raw)
        bad = [finding for finding in found if finding.severity == "error"]
        errors.extend(f"{path}:{one.line}:{one.column}: {one.message}" for one in bad)
        if bad and accept_valid and reading.file.schedules:
            raw = write(reading.file)  # what is stored and loaded is what was understood
        contents[path.name], findings[path.name] = raw, found
    if errors and not accept_valid:
        listed = "\n".join(["Nothing was imported, because of:", *errors])
        raise Invalid(
            listed,
            code="malformed-schedule",
            mend="\nMend the lines, or import the good records with --accept-valid.",
        )
    return contents, findings


def _print_findings(findings: dict[str, list[Finding]]) -> None:
    for name, found in findings.items():
        for one in found[:MOST_PRINTED]:
            sys.stderr.write(f"{name}:{one.line}:{one.column}: {one.severity}: {one.message}\n")
        if len(found) > MOST_PRINTED:
            sys.stderr.write(f"{name}: {len(found) - MOST_PRINTED} more findings\n")
