"""``pss outgoing``: how those whom the installation calls are doing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.installation import Installation
from pss_kernel.outgoing._state import SeenState, seen

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look at the calls to others.")

_COLUMNS = [
    *("target", "tenant", "plugin", "state", "since", "calls", "failed", "refused"),
    *("repeated", "now", "waiting", "process", "last error"),
]
_WORST = {"open": 0, "half-open": 1, "closed": 2}


@app.command(
    "status", epilog=examples("pss outgoing status", "pss outgoing status --tenant aurelis --json")
)
def _status(
    tenant: Annotated[str | None, typer.Option(help="Of this tenant only.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """How each running process finds each target, open circuits first."""

    async def look(installation: Installation) -> list[SeenState]:
        if tenant is not None:
            installation.directory.by_code(tenant)
        return await seen(installation.database, tenant)

    found = sorted(with_installation(look, data_dir), key=lambda one: _WORST[one.state])
    if json:
        print_json({"targets": found})
    elif not found:
        typer.echo("Nobody has been called in the last minutes.")
    else:
        print_table(_COLUMNS, [_row(one) for one in found])


def _row(one: SeenState) -> list[str]:
    since = datetime.fromtimestamp(one.since, UTC).strftime("%Y-%m-%d %H:%M:%S")
    counts = (one.calls, one.failed, one.refused, one.repeated, one.inside, one.waiting)
    return [
        *(one.target, one.tenant or "-", one.plugin, one.state, f"{since}Z"),
        *(str(count) for count in counts),
        *(one.process, one.last_error),
    ]
