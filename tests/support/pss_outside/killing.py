"""Programs that are killed in the middle of their work, and run again.

A program is a Python script of its own process. It says how far it is by writing lines; a kill
comes after so many of them, wherever the program is by then. Processes are forked from one that has
imported the kernel already, so that fifty of them take seconds.

::

    program = Program(Path(__file__).with_name("applying.py"), str(data_dir), str(folder))
    whole = program.run()                    # undisturbed; how many lines does it write?
    for moment in moments(seed=7, lines=len(whole.lines), number=50):
        ended = program.run(moment)          # killed there, unless it had ended before
    assert 0 == program.run().code           # the same again finishes it

What a program writes line by line is up to it; ``say_statements`` makes it tell each statement that
it has sent to the database as its owner, which is as fine as it gets.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import runpy
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import asyncpg

__all__ = ["KILLS", "Ended", "Moment", "Program", "moments", "say_statements"]

KILLS = int(os.environ.get("PSS_TEST_KILLS", "8"))
"""How often a test kills its program; ``make faults`` does it fifty times."""

_ENDS_WITHIN = 90.0  # seconds; a machine that is busy with other things may need them
_warm = multiprocessing.get_context("forkserver")
_warm.set_forkserver_preload(["pytest", "pss_kernel.cli", "pss_api", "faststream_outbox"])


@dataclass(frozen=True, slots=True)
class Moment:
    """When to kill: after so many lines were read, and so many seconds later."""

    lines: int
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended: its exit code (``-9`` where it was killed), and what it wrote."""

    code: int
    lines: tuple[str, ...]

    @property
    def killed(self) -> bool:
        """Whether the kill came before its end."""
        return self.code == -signal.SIGKILL


@dataclass(frozen=True)
class Program:
    """A script with its arguments; each run is a new process."""

    script: Path
    arguments: tuple[str, ...]
    environment: dict[str, str]

    def __init__(
        self, script: Path, *arguments: str, environment: dict[str, str] | None = None
    ) -> None:
        object.__setattr__(self, "script", script)
        object.__setattr__(self, "arguments", arguments)
        object.__setattr__(self, "environment", environment or {})

    def run(self, moment: Moment | None = None) -> Ended:
        """Run it to its end, or kill it (SIGKILL) at a moment.

        Blocks; use ``asyncio.to_thread`` beside a running loop. Raises AssertionError where it
        neither ends nor reaches the moment.
        """
        reader, writer = _warm.Pipe(duplex=False)
        process = _warm.Process(
            target=_play, args=(writer, str(self.script), self.arguments, self.environment)
        )
        process.start()
        writer.close()
        lines: list[str] = []
        try:
            for line in _lines(reader):
                lines.append(line)
                if moment is not None and len(lines) == moment.lines:
                    time.sleep(moment.seconds)  # part of the moment, not a wait for something
                    process.kill()
            process.join(_ENDS_WITHIN)
        finally:
            process.kill()
            process.join()
            reader.close()
        ended = Ended(process.exitcode or 0, tuple(lines))
        process.close()
        return ended


def moments(seed: int, lines: int, number: int, *, longest: float = 0.004) -> Iterator[Moment]:
    """Give random moments, the same for the same seed, spread over a run of so many lines.

    ``longest``: up to so many seconds after a line, so as to be within what comes next too.
    """
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    for _ in range(number):
        yield Moment(
            chance.randint(1, max(lines, 1)), chance.choice((0.0, chance.random())) * longest
        )


def say_statements() -> None:
    """Called by a script: write a line for each statement that the owner's connections send."""
    from pss_kernel.persistence import Database  # noqa: PLC0415 - in the script's own process

    def say(record: Any) -> None:
        words = " ".join(record.query.split())
        sys.stdout.write(f"sql {words[:60]}\n")
        sys.stdout.flush()

    given = Database.owner

    @contextlib.asynccontextmanager
    async def owner(self: Database) -> AsyncIterator[asyncpg.Connection]:
        async with given(self) as connection:
            with connection.query_logger(say):
                yield connection

    Database.owner = owner  # type: ignore[method-assign]


def _play(
    writer: Connection, script: str, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    """In the new process: become the program, with its output in the pipe."""
    for descriptor in (1, 2):
        os.dup2(writer.fileno(), descriptor)
    writer.close()
    os.environ.update(environment)
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


def _lines(reader: Connection) -> Iterator[str]:
    """Each line as it comes, until whoever writes has gone."""
    rest = b""
    deadline = time.monotonic() + _ENDS_WITHIN
    while True:
        waiting = max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([reader.fileno()], [], [], waiting)
        assert readable, f"It has not ended after {_ENDS_WITHIN:g} s; its last words: {rest!r}"
        piece = os.read(reader.fileno(), 65536)
        if not piece:
            break
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")
