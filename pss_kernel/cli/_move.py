"""``pss tenant move``: to another database cluster, while everybody else goes on."""

from __future__ import annotations

import sys
from typing import Annotated

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
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation
from pss_kernel.tenancy._move import Moved, abort_move, move_tenant

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command to the group ``pss tenant``."""
    app.command(
        epilog=examples(
            "pss tenant move aurelis --to east",
            "pss tenant move aurelis --to east --keep-source --json",
            "pss tenant move aurelis --abort",
        )
    )(move)


def move(
    code: Annotated[str, typer.Argument(help="The tenant's code.")],
    to: Annotated[str, typer.Option("--to", help="The cell where it shall live.")] = "",
    abort: Annotated[
        bool, typer.Option("--abort", help="Undo a move that was interrupted.")
    ] = False,
    keep_source: Annotated[
        bool,
        typer.Option("--keep-source", help="Leave the tables where they were; nobody uses them."),
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Move a tenant to another cell. It can't be changed meanwhile; the others don't notice.

    What was interrupted, at whatever moment, goes on with the same command.
    """
    if bool(to) == abort:
        raise Invalid(
            "Give the cell with --to, or --abort.", mend="'pss cell list' shows the cells."
        )
    if abort:
        _abort(code, data_dir, json=json)
        return

    async def work(installation: Installation) -> Moved | None:
        with progress_bars() as report:
            return await move_tenant(installation, code, to, keep_source=keep_source, report=report)

    moved = with_installation(work, data_dir)
    if json:
        print_json({"moved": moved})
    elif moved is None:
        sys.stdout.write(f"Nothing to do: {code} lives in {to}.\n")
    else:
        _tell(moved)


def _abort(code: str, data_dir: DataDir, *, json: bool) -> None:
    async def work(installation: Installation) -> str:
        return await abort_move(installation, code)

    cell = with_installation(work, data_dir)
    if json:
        print_json({"aborted": {"tenant": code, "cell": cell}})
    else:
        sys.stdout.write(f"{code} goes on in {cell}.\n")


def _tell(moved: Moved) -> None:
    if moved.tables:
        print_table(
            ["table", "rows", "seconds"],
            [[one.name, str(one.rows), f"{one.seconds:.3f}"] for one in moved.tables],
        )
    pause = ""
    if moved.pause_seconds is not None:
        pause = f" It could not be changed for {moved.pause_seconds:.1f} s."
    sys.stdout.write(
        f"{moved.tenant} lives in {moved.target} now: {moved.rows} rows and {moved.events} events "
        f"in {moved.seconds:.1f} s.{pause}\n"
    )
    if moved.kept_source:
        sys.stdout.write(f"Its tables are kept in {moved.source}; nobody uses them.\n")
