"""A program for the tests: moves a tenant, as ``pss tenant move`` does, and says each statement.

Arguments: the data folder, the tenant's code, the cell.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "installed"))

from pss_kernel.config import Config
from pss_kernel.errors import Problem
from pss_kernel.installation import Installation
from pss_kernel.observability import configure_logging
from pss_kernel.persistence import Database
from pss_kernel.persistence._embedded import EmbeddedPostgres
from pss_kernel.registry import Registry, _load
from pss_kernel.tenancy import _changing, _move
from pss_outside.killing import say_statements


async def main(folder: Path, code: str, cell: str) -> None:
    """Move, or go on with it, on the servers that the test holds."""
    config = Config(data_dir=folder, pool_size=2, log_level="critical")
    configure_logging(config)
    names = ("notes", "echo")
    registry = Registry(_load(EntryPoint(one, f"pss_{one}:plugin", "pss.plugins")) for one in names)
    servers = {"default": folder, "east": folder / "cells" / "east"}
    cells = {
        name: Database(config, EmbeddedPostgres(place).url, cell=name, embedded=True)
        for name, place in servers.items()
    }
    installation = Installation(config, registry, cells)
    say_statements()
    await _move.move_tenant(installation, code, cell)
    await installation.close()


# No process serves meanwhile that would need a second to hear of it.
_move.SEEN_EVERYWHERE_SECONDS = _changing.SEEN_EVERYWHERE_SECONDS = 0.02
try:
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
except Problem as problem:
    sys.exit(problem.sentence)
