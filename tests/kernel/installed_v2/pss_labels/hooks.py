"""Looks after its own migration."""

from __future__ import annotations

from pss_kernel import UnitOfWork, migration_health
from pss_labels import plugin


@plugin.hook(migration_health)
async def titles_are_filled(uow: UnitOfWork, findings: list[str]) -> list[str]:
    """Each label has its title, and none says that it is broken."""
    rows = await uow.hot(
        "SELECT count(*) FROM label WHERE title IS DISTINCT FROM caption OR title = 'broken'"
    )
    return [*findings, f"{rows[0][0]} labels are wrong."] if rows[0][0] else findings
