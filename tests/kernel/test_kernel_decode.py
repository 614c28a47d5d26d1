"""``pss decode``: what is a file, what is the text itself, and what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from pss_kernel.cli._context import print_table
from pss_kernel.cli._decode import group
from pss_kernel.errors import Invalid
from pss_kernel.plugin import Plugin
from pss_kernel.registry import Registry


class Finding(msgspec.Struct):
    """What is odd."""

    severity: Literal["error", "warning"]


class Line(msgspec.Struct):
    """An answer as decoders give it."""

    text: str
    findings: list[Finding]


@pytest.fixture
def app() -> typer.Typer:
    """``pss decode`` with one format, in which "!" is an error and "?" a warning."""
    plugin = Plugin("lines", version="1.0.0", summary="Lines", package=__name__)
    signs: dict[str, Literal["error", "warning"]] = {"!": "error", "?": "warning"}

    @plugin.decoder("line")
    def line(raw: bytes) -> Line:
        """Read a line."""
        text = raw.decode()
        return Line(text, [Finding(signs[sign]) for sign in text if sign in signs])

    @plugin.decoder("other")
    def other(raw: bytes) -> int:
        """Count bytes."""
        return len(raw)

    return group(Registry([plugin]))


@pytest.mark.parametrize(
    ("text", "code"),
    [("fine", 0), ("odd?", 0), ("odd? wrong!", 2), ("M1EXAMPLE/ADA         EDEN5G5 VIE.ab", 0)],
)
def test_errors_give_exit_code_2(app: typer.Typer, text: str, code: int) -> None:
    """What was understood is printed; an error among the findings is told by the code."""
    ended = CliRunner().invoke(app, ["line", text])
    assert (code, text) == (ended.exit_code, msgspec.json.decode(ended.stdout)["text"])


@pytest.mark.parametrize("path", ["w26.ssim", "here/there", "/nowhere/my pass.png"])
def test_a_path_to_nothing(app: typer.Typer, path: str) -> None:
    """What looks like a path but isn't there is not taken for the text."""
    ended = CliRunner().invoke(app, ["line", path])
    assert isinstance(ended.exception, Invalid)
    assert f"There is no file {path}." == ended.exception.detail


def test_a_folder_and_an_image(app: typer.Typer, tmp_path: Path) -> None:
    """Neither has text to read, and that is what is said."""
    image = tmp_path / "pass.png"
    image.write_bytes(b"\x89PNG\r\n\x1a\n")
    for path, said in ((tmp_path, f"{tmp_path} is a folder."), (image, "This is an image (PNG)")):
        ended = CliRunner().invoke(app, ["line", str(path)])
        assert isinstance(ended.exception, Invalid)
        assert ended.exception.detail.startswith(said)


def test_a_row_is_a_line_for_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Where standard output is no terminal, nothing is wrapped, however long."""
    print_table(["id", "scopes"], [["1", "first " * 100], ["2", "second"]])
    assert 3 == len(capsys.readouterr().out.splitlines())
