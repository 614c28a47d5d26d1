"""Routes that go wrong in every way that a careless plugin can."""

from __future__ import annotations

from pathlib import Path

from pss_kernel import UnitOfWork
from pss_notes import plugin
from pss_notes.scripted import play


@plugin.get("/faults/{kind:str}", permission="notes:see")
async def fault(uow: UnitOfWork, kind: str) -> dict[str, str]:
    """Fail."""
    if kind == "missing-file":
        Path("/nowhere/at/all").read_text()  # noqa: ASYNC240 - it fails at once
    await play(kind, uow)
    return {"failed": "not"}
