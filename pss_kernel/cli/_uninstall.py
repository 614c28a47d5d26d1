"""``pss plugin uninstall``: a plugin's tables exported and dropped."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pss_kernel.cli._context import DataDir, Json, examples, print_json, with_installation
from pss_kernel.errors import Conflict, Invalid
from pss_kernel.installation import Installation
from pss_kernel.leaving._purge import Purged, plugin_remains, plugins_to_purge, purge_plugin

__all__ = ["register"]

_EXAMPLES = examples(
    "pss plugin uninstall meals --tenant aurelis --purge",
    "pss plugin uninstall ticketing --tenant aurelis --purge --cascade",
    "pss plugin uninstall meals --tenant aurelis --purge --to exports/meals --yes",
)


def register(app: typer.Typer) -> None:
    """Add the command to ``pss plugin``."""
    app.command(epilog=_EXAMPLES)(uninstall)


def uninstall(
    name: Annotated[str, typer.Argument(help="The plugin's name; its code may have gone.")],
    tenant: Annotated[str, typer.Option(help="The tenant's code.")],
    purge: Annotated[
        bool, typer.Option("--purge", help="Drop its tables; 'disable' is what keeps them.")
    ] = False,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Also the plugins that need it, disabled first.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(help="A new folder for the export. [default: in the data folder]"),
    ] = None,
    export: Annotated[
        bool, typer.Option("--export/--no-export", help="Export the tables before.")
    ] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Export a plugin's tables of one tenant, then drop them and all that is kept for it."""
    if not purge:
        raise Invalid(
            "Without --purge there is nothing to do here.",
            code="invalid-arguments",
            mend="'pss plugin disable' keeps the data; --purge exports and drops it.",
        )

    async def listed(installation: Installation) -> list[str]:
        found = installation.directory.by_code(tenant)
        return plugins_to_purge(installation, found, name, cascade=cascade)

    names = with_installation(listed, data_dir)
    if not yes:
        sys.stderr.write(f"To be dropped for {tenant}, with all their rows: {', '.join(names)}\n")
        typer.confirm("Go on?", abort=True, err=True)

    async def work(installation: Installation) -> list[Purged]:
        done = []
        for one in names:
            place = _place(installation, tenant, one, to, several=len(names) > 1)
            purged = await purge_plugin(installation, tenant, one, place if export else None)
            left = await plugin_remains(installation, tenant, purged)
            if any(left.values()):
                raise Conflict(f"Something of {one!r} remains: {left}.", code="purge-unfinished")
            done.append(purged)
        return done

    purged = with_installation(work, data_dir)
    if json:
        print_json({"purged": [_shown(one) for one in purged]})
        return
    for one in purged:
        where = f" Exported: {one.rows} rows, in {one.export}." if one.export else ""
        sys.stdout.write(
            f"Nothing of {one.plugin} remains for {tenant}: {len(one.tables)} tables dropped."
            f"{where}\n"
        )


def _place(
    installation: Installation, tenant: str, name: str, to: Path | None, *, several: bool
) -> Path:
    if to is not None:
        return to / name if several else to
    moment = datetime.now(UTC)
    return installation.config.data_dir / "exports" / f"{tenant}-{name}-{moment:%Y%m%dT%H%M%SZ}"


def _shown(one: Purged) -> dict[str, object]:
    return {
        "plugin": one.plugin,
        "tables": one.tables,
        "rows": one.rows,
        "export": str(one.export) if one.export else None,
    }
