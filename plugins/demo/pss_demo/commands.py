"""``pss demo``."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from pss_kernel import Invalid, Problem
from pss_kernel.cli._children import check_port_free, free_port
from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    installed_plugins,
    open_config,
    print_json,
)
from pss_sdk import PssError

from . import plugin
from .expectation import WentWrong
from .narrator import Narrator
from .run import demonstrate
from .summary import Summary, write

__all__ = ["app"]

_HELP = """Go through the main job with two airlines, over HTTP.

A server is started. A party of three searches, orders, pays, is ticketed, chooses seats, checks
in and boards; others are refused, as they must be. Boarding passes and summaries are written.
Exit code 1 when any step does not go as told.
"""

app = plugin.typer("demo", help=_HELP)


@app.callback(
    invoke_without_command=True,
    no_args_is_help=False,
    subcommand_metavar="",  # it has no commands below it
    epilog=examples("pss demo", "pss demo --data-dir /tmp/pss --json > demo.json"),
)
def demo(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The server's port. [default: a free one]")
    ] = None,
    tenants: Annotated[Path, typer.Option(help="The folder of tenant folders.")] = Path("tenants"),
    output: Annotated[
        Path | None,
        typer.Option(help="Where boarding passes and summaries go. [default: DATA-DIR/demo]"),
    ] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Run the demonstration and say how it went."""
    config = open_config(data_dir)
    if port is not None:
        check_port_free("127.0.0.1", port)
    folder = _writable(output or config.data_dir / "demo")
    narrator = Narrator(to_stderr=json)
    summary = Summary(started_at=datetime.now(UTC), server_log=str(folder / "server.log"))
    started = time.monotonic()
    try:
        asyncio.run(
            demonstrate(
                config,
                installed_plugins(),
                narrator,
                summary,
                port=port or free_port(),
                tenants=tenants,
                output=folder,
            )
        )
    except (WentWrong, PssError, Problem, OSError) as error:
        summary.problem = error.sentence if isinstance(error, Problem) else str(error)
    summary.succeeded = summary.problem is None
    summary.seconds = round(time.monotonic() - started, 3)
    _finish(summary, folder, narrator, json=json)


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Invalid(
            f"The folder {folder} can't be made: {error.strerror}.",
            mend="Give another one with --output.",
        ) from error
    return folder


def _finish(summary: Summary, folder: Path, narrator: Narrator, *, json: bool) -> None:
    """Write and print what is left to say. Exits with 1 where something went wrong."""
    write(folder / "summary.json", summary)
    if json:
        print_json(summary)
    narrator.say()
    if summary.problem is not None:
        sys.stderr.write(f"It did not go as told: {summary.problem}\n")
        sys.stderr.write(f"The server's log: {summary.server_log}\n")
        raise typer.Exit(1)
    for part in summary.airlines:
        narrator.say(
            f"{part.name}: {part.totals['tickets']} tickets, {part.totals['refusals']} refusals, "
            f"{part.totals['paid']} paid, {part.totals['seconds']} s; boarding passes and "
            f"summary.json in {folder / part.tenant}"
        )
    narrator.say(
        f"All went as told, in {summary.seconds:.1f} s. Summary: {folder / 'summary.json'}"
    )
