"""``pss`` with the two light plugins of the kernel's tests, which tells each of its statements.

Arguments: those of ``pss``.
"""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "installed"))

from pss_kernel.cli import main
from pss_kernel.registry import Registry, _load
from pss_outside.killing import say_statements


def _discover(**_: Any) -> Registry:
    points = [EntryPoint(one, f"pss_{one}:plugin", "pss.plugins") for one in ("notes", "echo")]
    return Registry(_load(point) for point in points)


Registry.discover = _discover  # type: ignore[method-assign,assignment]
say_statements()
main()
