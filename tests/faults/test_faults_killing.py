"""The harness that kills programs does so where it is told to."""

from __future__ import annotations

import os
from pathlib import Path

from pss_outside.killing import Ended, Moment, Program, moments

_SCRIPT = """
import sys
for number in range(int(sys.argv[1])):
    print(number, flush=True)
if sys.argv[2:]:
    sys.stdin = open(sys.argv[2])  # nobody writes there
    sys.stdin.read()
sys.exit(3)
"""


def _program(folder: Path, *arguments: str) -> Program:
    script = folder / "counting.py"
    script.write_text(_SCRIPT)
    return Program(script, *arguments)


def test_undisturbed(tmp_path: Path) -> None:
    """A run gives its exit code and every line; the next one is a new process."""
    program = _program(tmp_path, "3")
    assert [Ended(3, ("0", "1", "2"))] * 2 == [program.run(), program.run()]


def test_killed_where_told(tmp_path: Path) -> None:
    """The kill comes after that many lines; one that has ended by then is left alone."""
    os.mkfifo(tmp_path / "nothing")
    with (tmp_path / "nothing").open("r+b", buffering=0):
        ended = _program(tmp_path, "3", str(tmp_path / "nothing")).run(Moment(3))
    assert (True, ("0", "1", "2")) == (ended.killed, ended.lines)
    assert not _program(tmp_path, "3").run(Moment(4)).killed


def test_the_same_moments_again() -> None:
    """A seed gives the same moments each time, within the lines of the run."""
    first, again = (list(moments(seed=1, lines=30, number=50)) for _ in range(2))
    assert first == again
    assert {True} == {1 <= one.lines <= 30 and 0 <= one.seconds <= 0.004 for one in first}
    assert 10 < len({one.lines for one in first})
