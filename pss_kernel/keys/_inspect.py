"""What is wrong with the keys of an installation, if anything."""

from __future__ import annotations

import stat
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pss_kernel.errors import Problem

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["key_problems", "readable_by_others"]


async def key_problems(installation: Installation) -> AsyncIterator[tuple[list[str], Problem]]:
    """Each master key that opens nothing here, with the tenants whose keys it wrapped.

    One key of each is tried, so that Vault is asked once and not for every tenant.
    """
    tenants = defaultdict(set)
    tried: dict[str, Problem | None] = {}
    for tenant in installation.directory:
        for key in tenant.keys:
            if key.wrapped is None:
                continue
            if key.master not in tried:
                opened = await installation.keyring.ready(tenant)
                tried[key.master] = opened.problem(key.number)
            tenants[key.master].add(tenant.code)
    for master, problem in tried.items():
        if problem is not None:
            yield sorted(tenants[master]), problem


def readable_by_others(installation: Installation) -> str | None:
    """The key file, where every user of the machine can read it."""
    path = installation.keyring.masters.file
    if path is None or not path.exists() or not path.stat().st_mode & stat.S_IROTH:
        return None
    return str(path)
