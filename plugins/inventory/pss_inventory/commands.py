"""`pss inventory`: schedules from the command line."""

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct, field
from msgspec.structs import replace

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
from .settings import Settings
from .ssim import Finding, write

__all__ = ["Checked", "app", "checked_contents", "import_ssim", "records_of_others"]

MOST_PRINTED = 20


class Checked(Struct, kw_only=True):
    """What to import and what is wrong with it, by file name; `carriers` counts flight legs."""

    contents: dict[str, bytes] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    carriers: dict[str, Counter[str]] = field(default_factory=dict)


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
    checked = checked_contents(files, accept_valid=accept_valid)
    if not json:
        _print_findings(checked.findings)

    async def work(installation: Installation) -> tuple[LoadReport, int]:
        airline = installation.directory.by_code(tenant)
        with progress_bars() as report:
            async with installation.unit_of_work(airline) as uow:
                ignored = records_of_others(checked.carriers, uow.settings(Settings).carrier)
                loaded = await load_schedule(
                    uow,
                    checked.contents,
                    source="import",
                    progress=lambda done, total: report("flights", done, total),
                )
                return loaded, ignored

    loaded, ignored = with_installation(work, data_dir)
    if json:
        findings = _joined(checked.findings, loaded.findings)
        report = replace(loaded, findings=findings)
        print_json({"report": report, "findings": findings, "ignored_records": ignored})
        return
    _print_findings(loaded.findings)
    remark = f" {ignored:,} records of other carriers were ignored." if ignored else ""
    sys.stdout.write(f"{loaded.sentence()}{remark}\n")


def checked_contents(files: list[Path], *, accept_valid: bool) -> Checked:
    """Choose what to import of each file, and find what is wrong with it.

    Raises Invalid with every error of every file, unless the good records are enough; also for
    a file that has none.
    """
    checked = Checked()
    errors: list[str] = []
    for path in files:
        raw = path.read_bytes()
        reading, found = check_bytes(raw)
        bad = [finding for finding in found if finding.severity == "error"]
        errors.extend(f"{path}:{one.line}:{one.column}: {one.message}" for one in bad)
        if bad and accept_valid and reading.file.schedules:
            raw = write(reading.file)  # what is stored and loaded is what was understood
        checked.contents[path.name], checked.findings[path.name] = raw, found
        checked.carriers[path.name] = Counter(leg.carrier for leg in reading.file.legs)
    if errors and not accept_valid:
        listed = "\n".join(["Nothing was imported, because of:", *errors])
        raise Invalid(
            listed,
            code="malformed-schedule",
            mend="\nMend the lines, or import the good records with --accept-valid.",
        )
    empty = [path for path in files if not checked.carriers[path.name]]
    if empty:
        raise Invalid(
            f"Nothing was imported: there is no good record in the file {empty[0]}.",
            code="malformed-schedule",
        )
    return checked


def records_of_others(carriers: Mapping[str, Counter[str]], carrier: str) -> int:
    """Count the flight legs of other carriers than the airline's own; "" takes every carrier.

    Raises Invalid for a file that has no other.
    """
    if not carrier:
        return 0
    for name, legs in carriers.items():
        if not legs[carrier]:
            raise Invalid(
                f"Nothing was imported: {name} has no record of {carrier}, only of "
                f"{', '.join(sorted(legs))}.",
                mend="Give the airline's own file, or correct carrier in its tenant.toml.",
            )
    return sum(legs.total() - legs[carrier] for legs in carriers.values())


def _joined(*found: Mapping[str, list[Finding]]) -> dict[str, list[Finding]]:
    """The findings of reading and of loading, by file name."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: [each for one in found for each in one.get(name, [])] for name in names}


def _print_findings(findings: dict[str, list[Finding]]) -> None:
    for name, found in findings.items():
        for one in found[:MOST_PRINTED]:
            sys.stderr.write(f"{name}:{one.line}:{one.column}: {one.severity}: {one.message}\n")
        if len(found) > MOST_PRINTED:
            sys.stderr.write(f"{name}: {len(found) - MOST_PRINTED} more findings\n")
