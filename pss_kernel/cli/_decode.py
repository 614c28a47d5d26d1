"""``pss decode``: what an outside format says, as JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from pss_kernel.cli._context import examples, print_json
from pss_kernel.errors import Invalid
from pss_kernel.registry import Registry

__all__ = ["group"]

_MOST_BYTES = 50_000_000
_MISTAKE = 2
# Texts of fixed columns hold runs of blanks; a path hardly ever does.
_LIKE_A_PATH = re.compile(r"(?!.*  )[^\n]+\.[A-Za-z]\w{0,4}|\S*/\S*")
_IMAGES = {b"\x89PNG\r\n": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF"}
_Source = Annotated[
    str, typer.Argument(help="The text itself, the path of a file, or '-' for standard input.")
]


def group(registry: Registry) -> typer.Typer:
    """A command for each format that an installed plugin can read."""
    app = typer.Typer(help="Print an outside format as JSON.", no_args_is_help=True)
    for plugin in registry.plugins.values():
        for name, decode in plugin.decoders.items():
            _add(app, name, decode)
    return app


def _add(app: typer.Typer, name: str, decode: Callable[[bytes], object]) -> None:
    help_text = (decode.__doc__ or f"Read {name}.").splitlines()[0]

    @app.command(
        name,
        help=help_text,
        epilog=examples(f"pss decode {name} FILE", f"pss decode {name} - < FILE"),
    )
    def command(source: _Source) -> None:
        answer = decode(_read(source))
        print_json(answer)
        findings = getattr(answer, "findings", ())
        if any(getattr(one, "severity", "") == "error" for one in findings):
            raise typer.Exit(_MISTAKE)


def _read(source: str) -> bytes:
    if source == "-":
        raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
    else:
        path = _file(source)
        if path is None:
            return source.encode("utf-8", "surrogateescape")
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    for beginning, name in _IMAGES.items():
        if raw.startswith(beginning):
            raise Invalid(
                f"This is an image ({name}), not text.", mend="Give the text that it shows."
            )
    if len(raw) > _MOST_BYTES:
        raise Invalid(f"It is larger than {_MOST_BYTES // 1_000_000} MB.", code="too-large")
    return raw


def _file(source: str) -> Path | None:
    """The file that is meant, None for the text itself. Raises Invalid where it isn't there."""
    path = Path(source)
    try:
        if path.is_file():
            return path
        if path.is_dir():
            raise Invalid(f"{source} is a folder.", mend="Give a file in it.")
    except (OSError, ValueError):  # too long or not a path at all: then it is the text
        return None
    if _LIKE_A_PATH.fullmatch(source):
        raise Invalid(
            f"There is no file {source}.", mend="Correct the path, or give text through '-'."
        )
    return None
