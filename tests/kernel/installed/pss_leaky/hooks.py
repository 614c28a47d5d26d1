from __future__ import annotations

from pss_kernel import UnitOfWork
from pss_leaky import plugin
from pss_leaky.routes import before
from pss_notes.contracts import polished


@plugin.hook(polished, order=99)
async def remembering(uow: UnitOfWork, body: str) -> str:
    """A hook that remembers."""
    return f"{body} {await before(uow)}"
