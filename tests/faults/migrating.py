"""``pss migrate run`` with two made plugins, saying each statement: to be killed.

Arguments: the data folder, the folder of the plugins' packages, and each one's name and package.
"""

from __future__ import annotations

import sys
from typing import Any

from pss_kernel import Plugin
from pss_kernel.cli import main
from pss_kernel.registry import Registry
from pss_outside.killing import say_statements

_, data_dir, folder, *given = sys.argv
sys.path.append(folder)
plugins = [
    Plugin(name, version="2", package=package)
    for name, package in zip(given[::2], given[1::2], strict=True)
]


def discover(**_: Any) -> Registry:
    """Find our two plugins, in the place of what is installed."""
    return Registry(plugins)


Registry.discover = discover  # type: ignore[method-assign,assignment]
say_statements()
sys.argv = ["pss", "migrate", "run", "--watch", "0", "--parallel", "2", "--data-dir", data_dir]
main()
