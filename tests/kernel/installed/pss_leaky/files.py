from __future__ import annotations

from pathlib import Path

from pss_kernel import FileFinding, Progress, UnitOfWork
from pss_leaky import plugin
from pss_leaky.routes import before

_first: list[str] = []


def check(path: Path) -> list[FileFinding]:
    """A finding that quotes the first file that was ever checked."""
    _first.append(path.read_text())
    return [FileFinding(path=path, message=f"Not {_first[0]}.", severity="warning")]


@plugin.tenant_files("secrets", pattern="*.txt", check=check)
async def load(uow: UnitOfWork, paths: list[Path], progress: Progress) -> str:
    """Loading that remembers."""
    return f"{len(paths)} loaded, after {await before(uow)}"
