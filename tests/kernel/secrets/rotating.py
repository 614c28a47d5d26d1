"""Rotates a tenant's keys in a process of its own, saying what it has done, to be killed.

Arguments: the data folder, the tenant.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "installed"))

from importlib.metadata import EntryPoint

from pss_kernel.config import Config
from pss_kernel.installation import open_installation
from pss_kernel.registry import Registry, _load
from pss_kernel.tenancy import _rotation

_rotation._BATCH = 5


def _say(what: str, done: int, _total: int) -> None:
    sys.stdout.write(f"{what} {done}\n")
    sys.stdout.flush()


async def _rotate(folder: str, code: str) -> None:
    registry = Registry([_load(EntryPoint("guarded", "pss_guarded:plugin", "pss.plugins"))])
    config = Config(data_dir=Path(folder))
    async with open_installation(config, registry, upgrade_plugins=False) as installation:
        _say("open", 0, 0)
        await _rotation.rotate_tenants(installation, [code], _say)
        _say("done", 0, 0)


asyncio.run(_rotate(*sys.argv[1:]))
