"""What commands share: configuration, an open installation, output for people and machines."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from pss_kernel.cli._progress import progress_bars
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.keys._secret import encode_secret
from pss_kernel.observability import configure_logging
from pss_kernel.registry import Registry

__all__ = [
    "DataDir",
    "Json",
    "examples",
    "installed_plugins",
    "open_config",
    "print_json",
    "print_table",
    "progress_bars",
    "with_installation",
]

T = TypeVar("T")

_UNLIMITED = 10_000

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The embedded database's folder. [default: var]"),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def examples(*lines: str) -> str:
    """The epilog of a command: what people type."""
    return "Examples:\n\n\b\n" + "\n".join(f"  {line}" for line in lines)


@cache
def installed_plugins() -> Registry:
    """What is installed, looked for once."""
    return Registry.discover()


def open_config(data_dir: Path | None, *, quiet: bool = True) -> Config:
    """The configuration of this run, with logging set up."""
    config = Config.from_environment(data_dir=data_dir)
    if quiet and config.log_level == "info":
        configure_logging(msgspec.structs.replace(config, log_level="warning"))
    else:
        configure_logging(config)
    return config


def with_installation(
    work: Callable[[Installation], Awaitable[T]], data_dir: Path | None = None
) -> T:
    """Run a coroutine function with the installation that the environment describes."""

    async def run() -> T:
        config = open_config(data_dir)
        async with open_installation(
            config, installed_plugins(), upgrade_plugins=False
        ) as installation:
            return await work(installation)

    return asyncio.run(run())


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    document = msgspec.json.encode(value, enc_hook=encode_secret)
    sys.stdout.write(msgspec.json.format(document, indent=2).decode() + "\n")


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table for people."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, column in enumerate(columns):
        # The first is what other commands are given: it is never cut.
        table.add_column(column, no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_UNLIMITED)  # for other programs, a row is a line
    console.print(table)
