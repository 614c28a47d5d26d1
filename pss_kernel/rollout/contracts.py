"""The kernel's own hook for those who watch migrations."""

from __future__ import annotations

from pss_kernel.hooks import hookspec
from pss_kernel.persistence import UnitOfWork

__all__ = ["migration_health"]


@hookspec("pipeline", budget=10.0)
async def migration_health(uow: UnitOfWork, findings: list[str]) -> list[str]:
    """Asked of each tenant that has just been migrated: add a sentence for what is wrong.

    Any finding, or an error, halts the run before further tenants are migrated.
    """
