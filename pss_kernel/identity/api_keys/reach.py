"""Whose keys a caller looks after: the tenant's own, and those of its test data."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from pss_kernel.auth import KeyMode
from pss_kernel.config import IDENTITY
from pss_kernel.errors import Conflict, Invalid, NotFound
from pss_kernel.identity.api_keys import store
from pss_kernel.persistence import UnitOfWork, Work
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._test_mode import twin_of

__all__ = ["bare_id", "changing_key", "find_holder", "holder_for", "unit_for"]

_ID = re.compile(r"key_([0-9a-f]{16})", re.ASCII)


def bare_id(public: str) -> str:
    """The id as it is stored. Raises NotFound for what can't be one."""
    match = _ID.fullmatch(public)
    if match is None:
        raise NotFound(f"There is no key with the id {public[:40]!r}.")
    return match[1]


def holder_for(work: Work, mode: KeyMode | None) -> Tenant:
    """The tenant whose keys are of that mode: this one, or its test data.

    Raises Invalid where live keys are asked for among test data, Conflict without test data.
    """
    tenant = work.tenant
    if mode in {None, tenant.mode}:
        return tenant
    if mode == "live":
        raise Invalid("Test data have test keys only.", code="test-data")
    twin = twin_of(work.installation.directory, tenant)
    if twin is None:
        raise Conflict(
            f"{tenant.name} has no test data.",
            code="test-mode-not-enabled",
            mend=f"An operator makes them: pss tenant test-mode enable {tenant.code}.",
        )
    twin.refuse_leaving()
    return twin


@asynccontextmanager
async def unit_for(work: Work, tenant: Tenant) -> AsyncIterator[UnitOfWork]:
    """A unit of work where the keys are."""
    if tenant.code == work.tenant.code:
        async with work.begin() as uow:
            yield uow
        return
    async with work.installation.unit_of_work(
        tenant, work.actor, work.correlation, plugin=IDENTITY
    ) as uow:
        yield uow


@asynccontextmanager
async def changing_key(work: Work, public: str) -> AsyncIterator[tuple[UnitOfWork, asyncpg.Record]]:
    """A key of the tenant or its test data, locked in the unit of work where it is.

    Raises NotFound.
    """
    key_id = bare_id(public)
    tenant = await find_holder(work, key_id)
    async with unit_for(work, tenant) as uow:
        yield uow, await store.locked_key(uow.hot, tenant.code, key_id)


async def find_holder(work: Work, key_id: str) -> Tenant:
    """Whose the key is: the tenant's own or its test data's. Raises NotFound."""
    known = work.installation.directory.key(key_id)
    twin = twin_of(work.installation.directory, work.tenant)
    if twin is None or twin.code == work.tenant.code:
        return work.tenant
    if known is not None:
        return twin if known.tenant == twin.code else work.tenant
    # Revoked, or made a moment ago by another process.
    async with unit_for(work, twin) as uow:
        rows: list[Any] = await uow.hot(
            "SELECT 1 FROM pss.api_key WHERE tenant = $1 AND key_id = $2", twin.code, key_id
        )
    return twin if rows else work.tenant
