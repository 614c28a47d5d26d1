from __future__ import annotations

from pss_kernel import UnitOfWork, service


@service
async def echo_of(uow: UnitOfWork, text: str) -> str:
    """The text, twice."""
