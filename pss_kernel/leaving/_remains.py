"""The proof that nothing remains of a tenant: every place is looked at where it could be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from pss_kernel.leaving._broker import messages_of
from pss_kernel.leaving._cache import cache_keys_of
from pss_kernel.leaving._drop import naming_tenants, roles_of
from pss_kernel.leaving._export import OUTBOXES

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["Remains", "kept_exports", "remains_of"]

_DATABASE_FILES = {"exports", "cells"}


@dataclass(frozen=True, slots=True)
class Remains:
    """How much of a tenant one place has."""

    cell: str
    """The database cluster; empty for what is beside them."""
    place: str
    count: int


async def remains_of(installation: Installation, code: str) -> list[Remains]:
    """Every place that was looked at, with what it has; all zero where the tenant has gone."""
    found = []
    for cell, database in installation.cells.items():
        async with database.owner() as owner:
            roles = await roles_of(owner, code, database.roles)
            found.append(Remains(cell, "database roles", len(roles)))
            found += [Remains(cell, *one) async for one in _in_database(owner, code)]
    found += [
        Remains("", f"queue {name}", count)
        for name, count in (await messages_of(installation, code)).items()
    ]
    found += [
        Remains("", f"cache keys {pattern}", count)
        for pattern, count in (await cache_keys_of(installation, code)).items()
    ]
    found.append(Remains("", "files in the data folder", len(_files(installation, code))))
    return found


async def _in_database(owner: asyncpg.Connection, code: str) -> AsyncIterator[tuple[str, int]]:
    schema = f"t_{code}"
    yield (
        f"schema {schema}",
        await owner.fetchval("SELECT count(*) FROM pg_namespace WHERE nspname = $1", schema),
    )
    for name, column in (await naming_tenants(owner)).items():
        count = await owner.fetchval(
            f'SELECT count(*) FROM pss."{name}" WHERE "{column}" = $1',  # noqa: S608 - names from the catalogue, quoted
            code,
        )
        yield f"rows of pss.{name}", count
    for name in OUTBOXES:
        count = await owner.fetchval(
            f"SELECT count(*) FROM pss.{name} "  # noqa: S608 - a name of ours
            "WHERE (convert_from(payload, 'UTF8')::jsonb ->> 'tenant') = $1",
            code,
        )
        yield f"events in pss.{name}", count


def _files(installation: Installation, code: str) -> list[Path]:
    """What a folder of ours is called after the tenant, the exports left out."""
    root = installation.config.data_dir
    return [
        path
        for path in (*root.glob("*"), *root.glob("*/*"))
        if path.relative_to(root).parts[0] not in _DATABASE_FILES and _named_after(path, code)
    ]


def _named_after(path: Path, code: str) -> bool:
    return path.name == code or path.name.startswith((f"{code}-", f"{code}.", f".{code}-"))


def kept_exports(installation: Installation, code: str) -> list[Path]:
    """The exports in the data folder, which are kept on purpose; throw them away yourself."""
    folder = installation.config.data_dir / "exports"
    return sorted(path for path in folder.glob("*") if _named_after(path, code))
