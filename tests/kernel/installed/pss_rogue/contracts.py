from __future__ import annotations

from pss_kernel import UnitOfWork, hookspec, service


@hookspec("pipeline", budget=0.3, optional=True)
async def decorated(uow: UnitOfWork, text: str) -> str:
    """The text, by whoever is there to decorate it."""


@service
async def rogue_word(uow: UnitOfWork) -> str:
    """A word."""
