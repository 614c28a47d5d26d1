"""The façade for plugins that bring commands to ``pss``; see ``Plugin.typer``.

Kept apart from ``pss_kernel`` itself, so that a server does not load what only a command needs.
"""

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    progress_bars,
    with_installation,
)
from pss_kernel.installation import Installation

__all__ = [
    "DataDir",
    "Installation",
    "Json",
    "examples",
    "print_json",
    "print_table",
    "progress_bars",
    "with_installation",
]
