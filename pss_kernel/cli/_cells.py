"""``pss cell``: the database clusters that tenants live in."""

from __future__ import annotations

import sys

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.tenancy._cells import CellStatus, Moving, cells_of, statuses

__all__ = ["app"]

app = typer.Typer(help="The database clusters that tenants live in.", no_args_is_help=True)


@app.command("list", epilog=examples("pss cell list", "pss cell list --json"))
def list_cells(data_dir: DataDir = None, json: Json = False) -> None:
    """The configured cells, and how many tenants are placed in each."""
    cells, moves = with_installation(cells_of, data_dir)
    if json:
        shown = [{"name": one.name, "url": one.url, "tenants": one.tenants} for one in cells]
        print_json({"data": shown, "moves": moves})
        return
    print_table(
        ["name", "tenants", "database"], [[one.name, str(one.tenants), one.url] for one in cells]
    )
    _tell_moves(moves)


@app.command(epilog=examples("pss cell status", "pss cell status --json"))
def status(data_dir: DataDir = None, json: Json = False) -> None:
    """Ask each cell how it is; exit code 1 when one can't be reached."""
    cells, moves = with_installation(statuses, data_dir)
    if json:
        print_json({"data": cells, "moves": moves})
    else:
        print_table(
            ["name", "state", "version", "tenants", "waiting events", "oldest", "resting"],
            [_row(one) for one in cells],
        )
        for one in cells:
            if one.detail:
                sys.stdout.write(f"{one.name}: {one.detail}\n")
        _tell_moves(moves)
    if not all(one.reachable for one in cells):
        raise typer.Exit(1)


def _row(cell: CellStatus) -> list[str]:
    if not cell.reachable:
        return [cell.name, "not reached", "", str(cell.tenants), "", "", ""]
    oldest = cell.oldest_event_seconds
    return [
        cell.name,
        "ok",
        cell.version or "",
        str(cell.tenants),
        str(cell.waiting_events),
        "" if oldest is None else f"{oldest:.0f} s",
        str(cell.resting_events),
    ]


def _tell_moves(moves: list[Moving]) -> None:
    for one in moves:
        since = f", paused since {one.paused_at}" if one.step == "paused" else ""
        sys.stdout.write(
            f"{one.tenant} is on its way from {one.source} to {one.target} ({one.step}{since}): "
            f"'pss tenant move {one.tenant} --to {one.target}' goes on with it.\n"
        )
