"""How far long work is: bars on a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["progress_bars", "whole_progress"]

_LINES = 20
"""At most so many of them where standard error is no terminal."""


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A report function that shows a bar for each thing that takes long, until it is done."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("  {task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bars:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)
            if done >= total:
                bars.remove_task(tasks.pop(what))

        yield report


@contextmanager
def whole_progress(
    what: str,
) -> Iterator[tuple[Callable[[str, int, int], None], Callable[[int, int], None]]]:
    """Two functions: a report as above, and one that is told how far the whole is.

    Where standard error is no terminal, the whole is told in lines such as ``tenants 50/1000``.
    """
    terminal = Console(stderr=True).is_terminal
    told = 0
    with progress_bars() as report:

        def whole(done: int, total: int) -> None:
            nonlocal told
            report(what, done, total)
            due = done == total or (done - told) * _LINES >= total
            if not terminal and done and due:
                told = done
                sys.stderr.write(f"{what} {done}/{total}\n")
                sys.stderr.flush()

        yield report, whole
