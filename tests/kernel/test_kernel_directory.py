"""The directory of each process: what changed is read again, and no change is missed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from pss_kernel import Tenant
from pss_kernel.errors import TenantUnknown
from pss_kernel.tenancy import Directory
from pss_kernel.tenancy._cell import Cell, look
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit

_RENAME = "UPDATE pss.tenant SET name = $2 WHERE code = $1"


async def _beside(kit: TestKit) -> Directory:
    """A directory as another process has it, which nobody refreshes but the test."""
    directory = Directory(kit.installation.cells, kit.installation.config.base_domain)
    await directory.refresh()
    return directory


async def _make(kit: TestKit, number: int) -> list[Tenant]:
    return [await kit.make_tenant(plugins=["notes"]) for _ in range(number)]


@asynccontextmanager
async def _reading(kit: TestKit) -> AsyncIterator[asyncpg.Connection]:
    async with (
        kit.installation.database.owner() as owner,
        owner.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield owner


async def test_only_what_changed_is_read(either: TestKit) -> None:
    """A change gives a new object for its tenant; the others stay the very objects they were."""
    one, other = await _make(either, 2)
    directory = await _beside(either)
    before = {code: directory.by_code(code) for code in (one.code, other.code)}
    async with either.installation.database.owner() as owner:
        await owner.execute(_RENAME, one.code, "Renamed")
    assert await directory.refresh()
    assert "Renamed" == directory.by_code(one.code).name
    assert before[one.code] is not directory.by_code(one.code)
    assert before[other.code] is directory.by_code(other.code)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE pss.tenant_plugin SET settings = '{\"most\": 3}' WHERE tenant = $1",
        "DELETE FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = 'notes'",
        "INSERT INTO pss.tenant_domain (host, tenant) VALUES ($1::text || '.example', $1)",
        "UPDATE pss.placement SET state = 'moving' WHERE tenant = $1",
    ],
)
async def test_each_table_that_is_known(either: TestKit, sql: str) -> None:
    """A change of a plugin's row, a domain or the placement is one of its tenant."""
    (tenant,) = await _make(either, 1)
    directory = await _beside(either)
    before = directory.by_code(tenant.code)
    async with either.installation.database.owner() as owner:
        await owner.execute(sql, tenant.code)
    assert await directory.refresh()
    after = directory.by_code(tenant.code)
    assert (before.plugins, before.domains, before.placement) != (
        after.plugins,
        after.domains,
        after.placement,
    )


async def test_keys_and_hosts_go(either: TestKit) -> None:
    """A revoked key, a domain that was given up and a deleted tenant are not found any more."""
    one, other = await _make(either, 2)
    facts: dict[str, Any] = {"name": "x", "currency": "EUR", "time_zone": "UTC"}
    host = f"{one.code.replace('_', '-')}.example"
    await create_tenant(either.installation, one.code, domains=[host], **facts)
    kept, revoked = [(await either.api_key(tenant, ["*"])).split("_")[1] for tenant in (other, one)]
    directory = await _beside(either)
    assert one.code == getattr(directory.by_host(host), "code", None)
    async with either.installation.database.owner() as owner:
        await owner.execute("UPDATE pss.api_key SET revoked_at = now() WHERE key_id = $1", revoked)
        await owner.execute("UPDATE pss.tenant_domain SET tenant = $2 WHERE host = $1", host,
                            other.code)  # fmt: skip
    await directory.refresh()
    assert (None, other.code) == (directory.key(revoked), directory.by_host(host).code)
    assert () == directory.by_code(one.code).domains
    async with either.installation.database.owner() as owner:
        await owner.execute("DELETE FROM pss.placement WHERE tenant = $1", other.code)
        await owner.execute("DELETE FROM pss.tenant WHERE code = $1", other.code)
    await directory.refresh()
    assert (None, None) == (directory.key(kept), directory.by_host(host))
    with pytest.raises(TenantUnknown):
        directory.by_code(other.code)


async def test_a_commit_that_comes_late(either: TestKit) -> None:
    """What began earlier and commits later is seen, however many looks came between."""
    early, late = await _make(either, 2)
    directory = await _beside(either)
    async with either.installation.database.owner() as owner:
        async with owner.transaction():
            await owner.execute(_RENAME, late.code, "Late")
            async with either.installation.database.owner() as another:
                await another.execute("SET lock_timeout = '2s'")  # it waits for nothing
                for number in range(3):
                    await another.execute(_RENAME, early.code, f"Early {number}")
                    assert await directory.refresh()
                    assert not await directory.refresh()
            assert ("Early 2", late.name) == (
                directory.by_code(early.code).name,
                directory.by_code(late.code).name,
            )
        assert await directory.refresh()
    assert "Late" == directory.by_code(late.code).name


async def test_racing(either: TestKit) -> None:
    """Writers that overlap, in any order of begin and commit: each commit is seen by the next look.

    Some give up; of those nothing is seen.
    """
    tenants = await _make(either, 6)
    directory = await _beside(either)

    async def write(tenant: Tenant, seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        name = tenant.name
        for number in range(12):
            async with either.installation.database.owner() as owner:
                transaction = owner.transaction()
                await transaction.start()
                await owner.execute(_RENAME, tenant.code, f"{tenant.code} {number}")
                for _ in range(chance.randint(0, 4)):
                    await owner.execute("SELECT pg_sleep($1)", chance.random() / 200)
                if chance.random() < 0.2:
                    await transaction.rollback()
                else:
                    await transaction.commit()
                    name = f"{tenant.code} {number}"
            await directory.refresh()
            assert name == directory.by_code(tenant.code).name

    await asyncio.gather(*(write(tenant, seed) for seed, tenant in enumerate(tenants)))


async def test_everything_after_a_truncation(either: TestKit) -> None:
    """A change of which the tenants aren't known is one of all; a rolled back one is none."""
    (tenant,) = await _make(either, 1)
    directory = await _beside(either)
    async with either.installation.database.owner() as owner:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("TRUNCATE pss.tenant_domain")
        note = await owner.fetchval("SELECT changed_in FROM pss.tenant_change WHERE code = '*'")
        assert note is not None
        await transaction.rollback()
        assert not await directory.refresh()
        await owner.execute(
            "INSERT INTO pss.tenant_change (code, changed_in) VALUES ('*', pg_current_xact_id()) "
            "ON CONFLICT (code) DO UPDATE SET changed_in = excluded.changed_in"
        )
    before = directory.by_code(tenant.code)
    assert await directory.refresh()
    assert before is not directory.by_code(tenant.code)


async def test_after_a_failover_all_is_read(either: TestKit) -> None:
    """Another server's snapshots say nothing about this one's: everything is read again."""
    await _make(either, 1)
    async with _reading(either) as owner:
        known = await look(owner, Cell(), placements=True)
        assert known is await look(owner, known, placements=True)
        again = await look(owner, replace(known, started="before"), placements=True)
    assert (set(known.tenants) | set(known.placements)) == again.changed


async def test_numbers_of_another_cluster(either: TestKit) -> None:
    """A row restored from a dump has a transaction's number that has not come yet: no change."""
    (tenant,) = await _make(either, 1)
    async with either.installation.database.owner() as owner:
        transaction = owner.transaction()
        await transaction.start()
        known = await look(owner, Cell(), placements=True)
        await owner.execute(
            "UPDATE pss.tenant_change SET changed_in = '9000000000000000' WHERE code = $1",
            tenant.code,
        )
        assert known is await look(owner, known, placements=True)
        await transaction.rollback()


async def test_none_of_the_requests_connections(kit: TestKit) -> None:
    """While requests hold every connection of theirs, changes are still seen."""
    engine = kit.installation.database.engine
    held = [await engine.connect() for _ in range(kit.installation.config.pool_size)]
    try:
        tenant = await kit.make_tenant()
        assert tenant.code == kit.installation.directory.by_code(tenant.code).code
    finally:
        for one in held:
            await one.close()
