from __future__ import annotations

import tomllib
from pathlib import Path

from pss_kernel import FileFinding, Progress, UnitOfWork
from pss_notes import plugin, store


def check_lists(path: Path) -> list[FileFinding]:
    """Each line that is not ``name = number``."""
    return [
        FileFinding(path=path, line=number, message="Not a number.", mend="Write name = 3.")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if not line.partition("=")[2].strip().isdecimal()
    ]


@plugin.tenant_files("counters", pattern="counters/*.toml", check=check_lists)
async def load_counters(uow: UnitOfWork, paths: list[Path], progress: Progress) -> str:
    await uow.hot("DELETE FROM counter")
    for done, path in enumerate(paths, start=1):
        for name, remaining in tomllib.loads(path.read_text()).items():
            await store.set_counter(uow, name, remaining)
        progress(done, len(paths))
    return f"{len(paths)} files of counters loaded"
