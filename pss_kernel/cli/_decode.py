"""``pss decode``: what an outside format says, as JSON."""

from __future__ import annotations

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
        print_json(decode(_read(source)))


def _read(source: str) -> bytes:
    if source == "-":
        raw = sys.stdin.buffer.read(_MOST_BYTES + 1)
    else:
        path = Path(source)
        try:
            is_file = path.is_file()
        except (OSError, ValueError):  # too long or not a path at all: then it is the text
            is_file = False
        if not is_file:
            return source.encode("utf-8", "surrogateescape")
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    if len(raw) > _MOST_BYTES:
        raise Invalid(f"It is larger than {_MOST_BYTES // 1_000_000} MB.", code="too-large")
    return raw
