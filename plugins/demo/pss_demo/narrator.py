"""Telling each step in plain words, with the time it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status
from rich.text import Text

from .summary import Refusal, Step

__all__ = ["Narrator", "Telling"]

_WIDTH = 100  # where nobody says how wide the page is


class Telling:
    """A step under way; ``outcome`` completes its sentence."""

    def __init__(self, what: str, status: Status | None) -> None:
        self.what = what
        self._status = status
        self.outcome = ""
        self.failed = False
        self.refusal: Refusal | None = None

    def progress(self, text: str) -> None:
        """How far it is, where somebody looks on."""
        if self._status is not None:
            self._status.update(f"{escape(self.what)} … [dim]{escape(text)}[/dim]")

    def refused(self, code: str, detail: str) -> None:
        """This step is a refusal that had to happen, and did."""
        self.refusal = Refusal(self.what, code, detail)
        self.outcome = f"refused: {detail} ({code})"


class Narrator:
    """Prints as it goes, and keeps what it told."""

    def __init__(self, *, to_stderr: bool) -> None:
        self._console = Console(stderr=to_stderr, highlight=False)
        self._moving = self._console.is_terminal
        self._page = min(self._console.width, _WIDTH) if self._moving else _WIDTH
        self.steps: list[Step] = []
        self.refusals: list[Refusal] = []

    def chapter(self, title: str) -> None:
        """Begin a part; its steps and refusals are counted anew."""
        self.steps, self.refusals = [], []
        self._console.print(f"\n[bold]{escape(title)}[/bold]")

    def say(self, text: str = "", *, style: str | None = None) -> None:
        """A line as it is."""
        self._console.print(text, style=style, markup=False, soft_wrap=True)

    def legend(self) -> None:
        """What the marks before the steps mean."""
        done, refused = ("✓", "✗") if self._fancy() else ("+", "x")
        self.say(f"{done} is a step that succeeds, {refused} is a refusal that should happen.")

    @contextmanager
    def step(self, what: str) -> Iterator[Telling]:
        """Tell one step when it has ended, also when it fails or is stopped: the error goes on."""
        status = self._console.status(f"{escape(what)} …") if self._moving else None
        telling = Telling(what, status)
        started = time.monotonic()
        try:
            with status or nullcontext():
                yield telling
        except (KeyboardInterrupt, asyncio.CancelledError):  # Ctrl-C cancels what runs
            telling.failed, telling.outcome = True, "stopped"
            raise
        except BaseException:
            telling.failed, telling.outcome = True, "failed"
            raise
        finally:
            seconds = time.monotonic() - started
            self.steps.append(Step(what, telling.outcome, round(seconds, 3)))
            if telling.refusal is not None:
                self.refusals.append(telling.refusal)
            self._print(telling, seconds)

    def _print(self, telling: Telling, seconds: float) -> None:
        mark, color = self._mark(telling)
        took = f"{seconds:.2f} s"
        gap = max(2, self._page - len(telling.what) - len(took) - 4)
        self._console.print(
            f"  [{color}]{mark}[/{color}] {escape(telling.what)}{' ' * gap}[dim]{took}[/dim]",
            soft_wrap=True,
        )
        if telling.outcome:
            self._print_outcome(telling.outcome, style="red" if telling.failed else "dim")

    def _print_outcome(self, outcome: str, *, style: str) -> None:
        if self._moving:
            text = Padding(Text(outcome, style=style), (0, 0, 0, 6), expand=False)
            self._console.print(text, width=self._page)
        else:
            self._console.print(Text(f"      {outcome}"), soft_wrap=True)  # lines stay whole

    def _mark(self, telling: Telling) -> tuple[str, str]:
        if telling.failed:
            return "!", "red"
        fancy = self._fancy()
        if telling.refusal:
            return ("✗" if fancy else "x"), "yellow"
        return ("✓" if fancy else "+"), "green"

    def _fancy(self) -> bool:
        return self._console.encoding.lower().startswith("utf")
