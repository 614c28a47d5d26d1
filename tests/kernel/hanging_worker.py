"""A worker of its own process that takes one event, says so, and never finishes it.

Arguments: the data folder, the AMQP URL (or an empty one), the script to hang in.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "installed"))

from importlib.metadata import EntryPoint

from pss_kernel.config import Config
from pss_kernel.installation import open_installation
from pss_kernel.messaging._worker import run_worker
from pss_kernel.registry import Registry, _load


async def _hang(*_: Any) -> None:
    sys.stdout.write("taken\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


async def _work(folder: str, amqp_url: str, script: str) -> None:
    points = [EntryPoint(one, f"pss_{one}:plugin", "pss.plugins") for one in ("notes", "echo")]
    registry = Registry(_load(point) for point in points)
    from pss_notes.scripted import scripts  # noqa: PLC0415 - loaded by the line above

    scripts[script] = _hang
    config = Config(data_dir=Path(folder), amqp_url=amqp_url or None)
    async with open_installation(config, registry) as installation:
        sys.stdout.write("open\n")
        sys.stdout.flush()
        await run_worker(installation, asyncio.Event())


asyncio.run(_work(*sys.argv[1:]))
