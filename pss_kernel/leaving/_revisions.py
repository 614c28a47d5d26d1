"""What each plugin's migrations have made, kept in the database: its code may go one day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from pss_kernel.persistence._made import Made, objects_made
from pss_kernel.persistence._migrations import Revision, revisions_of
from pss_kernel.tenancy._tables import KERNEL_MIGRATIONS
from pss_kernel.tenancy._tenant import KERNEL

if TYPE_CHECKING:
    from pss_kernel.persistence import Database
    from pss_kernel.registry import Registry

__all__ = ["folder_of", "made_by", "remember_revisions"]

_REMEMBER = """
INSERT INTO pss.plugin_revision (plugin, revision, made)
SELECT * FROM unnest($1::text[], $2::text[], $3::jsonb[])
ON CONFLICT (plugin, revision) DO UPDATE SET made = excluded.made
WHERE plugin_revision.made <> excluded.made
"""
_MADE = "SELECT made FROM pss.plugin_revision WHERE plugin = $1 AND revision = $2"


async def remember_revisions(database: Database, registry: Registry) -> None:
    """Write down what the revisions of the installed plugins make; idempotent."""
    rows = [
        (name, revisions[place].revision, _json(objects_made(one.sql for one in earlier)))
        for name in registry.plugins
        for revisions in [revisions_of(registry.migrations_of(name))]
        for place in range(len(revisions))
        for earlier in [revisions[: place + 1]]
    ]
    if not rows:
        return
    async with database.owner() as owner:
        await owner.execute(_REMEMBER, *[list(column) for column in zip(*rows, strict=True)])


async def made_by(
    owner: asyncpg.Connection, registry: Registry, name: str, revision: str | None
) -> frozenset[Made] | None:
    """What a plugin's migrations up to a revision have made; None where nobody knows.

    ``owner`` is connected to the control cell.
    """
    if revision is None:
        return frozenset()
    folder = folder_of(registry, name)
    every = revisions_of(folder) if folder else ()
    names = [one.revision for one in every]
    if revision in names:
        upto: tuple[Revision, ...] = every[: names.index(revision) + 1]
        return objects_made(one.sql for one in upto)
    kept = await owner.fetchval(_MADE, name, revision)
    return None if kept is None else frozenset(msgspec.json.decode(kept, type=list[Made]))


def folder_of(registry: Registry, name: str) -> Path | None:
    """A plugin's migrations, or the kernel's own; None where it is not installed."""
    if name == KERNEL:
        return KERNEL_MIGRATIONS
    return registry.migrations_of(name) if name in registry.plugins else None


def _json(made: frozenset[Made]) -> str:
    return msgspec.json.encode(sorted(made)).decode()
