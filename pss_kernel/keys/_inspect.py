"""What is wrong with the keys of an installation, if anything."""

from __future__ import annotations

import asyncio
import stat
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from pss_kernel.auth._signing_store import unwrapped
from pss_kernel.errors import Problem

if TYPE_CHECKING:
    from pss_kernel.installation import Installation

__all__ = ["key_problems", "readable_by_others", "signing_problem"]


async def key_problems(installation: Installation) -> AsyncIterator[tuple[list[str], Problem]]:
    """Why data keys don't open here, each reason with the tenants that it is true of.

    Vault is asked for one key of each master key, and not for every tenant.
    """
    masters = installation.keyring.masters
    tenants: dict[tuple[str, str], set[str]] = defaultdict(set)
    problems: dict[tuple[str, str], Problem] = {}
    well: set[str] = set()
    for tenant in installation.directory:
        for key in tenant.keys:
            if key.wrapped is None or (masters.far and key.master in well):
                continue
            problem = (await installation.keyring.ready(tenant)).problem(key.number)
            if problem is None:
                well.add(key.master)
            else:
                reason = (key.master, problem.code)
                problems.setdefault(reason, problem)
                tenants[reason].add(tenant.code)
    for reason, problem in problems.items():
        yield sorted(tenants[reason]), problem


async def signing_problem(installation: Installation) -> Problem | None:
    """Why a key that signs, or will sign next, doesn't open here."""
    for key in installation.directory.signing_keys:
        if key.state != "retired":
            try:
                await asyncio.to_thread(unwrapped, installation.keyring.masters, key)
            except Problem as problem:
                return problem
    return None


def readable_by_others(installation: Installation) -> str | None:
    """The key file, where every user of the machine can read it."""
    path = installation.keyring.masters.file
    if path is None or not path.exists() or not path.stat().st_mode & stat.S_IROTH:
        return None
    return str(path)
