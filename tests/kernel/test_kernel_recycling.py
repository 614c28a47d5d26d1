"""Connections that have seen many tenants are closed, and a tenant gets one that knows it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel.config import Config
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation, open_installation
from pss_kernel.persistence import _recycling
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit

_PID = "SELECT pg_backend_pid()"
_MOST = 4


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kit(folder: Path, registry: Registry) -> AsyncIterator[TestKit]:
    """A pool of three connections, each for few tenants."""
    config = Config(data_dir=folder / "recycled", pool_size=3, tenants_per_connection=_MOST)
    async with open_installation(config, registry) as opened:
        await (
            opened.directory.stop()
        )  # it takes connections from the same pool, four times a second
        yield TestKit(opened)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenants(kit: TestKit) -> list[Tenant]:
    """More tenants than a connection may see."""
    return [await kit.make_tenant() for _ in range(3 * _MOST)]


@pytest.fixture(autouse=True)
async def _fresh(kit: TestKit) -> None:
    await kit.installation.database.engine.dispose()


async def backend(installation: Installation, tenant: Tenant) -> int:
    """The server's process that serves a unit of work."""
    async with installation.unit_of_work(tenant) as uow:
        ((pid,),) = await uow.hot(_PID)
    return int(pid)


async def alive(installation: Installation) -> set[int]:
    """The server's processes for the application."""
    async with installation.database.owner() as owner:
        rows = await owner.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'pss pss_app'"
        )
    return {row["pid"] for row in rows}


async def test_closed_after_so_many_tenants(
    kit: TestKit, tenants: list[Tenant], eventually: Any
) -> None:
    """No backend ever sees more tenants than configured; the same tenant again does not count."""
    seen: dict[int, set[str]] = {}
    for tenant in tenants:
        for _ in range(3):
            seen.setdefault(await backend(kit.installation, tenant), set()).add(tenant.code)
    assert all(len(codes) <= _MOST for codes in seen.values())
    # At least three quarters of what is allowed, so that reconnecting stays rare.
    assert len(seen) <= len(tenants) / (_MOST * 0.75)

    async def ended() -> bool:
        return len(await alive(kit.installation) & seen.keys()) <= 1

    await eventually(ended)


async def test_a_full_one_goes_on(kit: TestKit, tenants: list[Tenant]) -> None:
    """A connection that may learn no more serves those that it knows, as long as they come."""
    pids = {await backend(kit.installation, one) for _ in range(5) for one in tenants[:3]}
    assert 1 == len(pids)
    pids |= {await backend(kit.installation, one) for one in tenants[3:5]}
    assert 2 == len(pids)


async def test_one_is_replaced(kit: TestKit, tenants: list[Tenant], eventually: Any) -> None:
    """Where all idle connections are full, a further tenant ends one of them, not all."""
    stranger = await kit.make_tenant()
    await kit.installation.database.engine.dispose()
    async with AsyncExitStack() as stack:  # three at once, so that three are opened
        for tenant in tenants[:3]:
            await stack.enter_async_context(kit.unit_of_work(tenant))

    async def settled() -> set[int]:
        found = await alive(kit.installation)
        return found if len(found) == 3 else set()

    before = await eventually(settled)
    pool: Any = kit.installation.database.engine.pool
    for record in pool._pool._queue._queue:
        record.info[_recycling._WEAR].most = 1
    await backend(kit.installation, stranger)
    after = await eventually(settled)
    assert 2 == len(before & after)


async def test_closed_after_a_failure_as_well(kit: TestKit, tenants: list[Tenant]) -> None:
    """A unit of work that is rolled back wears its connection as one that commits."""
    seen: dict[int, set[str]] = {}

    async def fail(tenant: Tenant) -> None:
        async with kit.unit_of_work(tenant) as uow:
            ((pid,),) = await uow.hot(_PID)
            seen.setdefault(pid, set()).add(tenant.code)
            raise Invalid("on purpose")

    for tenant in tenants:
        with pytest.raises(Invalid, match="on purpose"):
            await fail(tenant)
    assert all(len(codes) <= _MOST for codes in seen.values())


async def test_closed_when_old(
    kit: TestKit, tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection ends after its time, whatever it has seen."""
    monkeypatch.setattr(_recycling, "_LONGEST_SECONDS", 0.0)
    pids = [await backend(kit.installation, tenants[0]) for _ in range(3)]
    assert 3 == len(set(pids))
    monkeypatch.undo()
    pids = [await backend(kit.installation, tenants[0]) for _ in range(3)]
    assert 1 == len(set(pids))


async def test_limits_vary(kit: TestKit) -> None:
    """Connections opened together don't end together."""
    wears = [_recycling._Wear(1000, "x") for _ in range(50)]
    assert 25 < len({wear.most for wear in wears})
    assert 25 < len({round(wear.until) for wear in wears})
    assert all(750 <= wear.most <= 1000 for wear in wears)


async def test_a_tenant_gets_what_knows_it(kit: TestKit, tenants: list[Tenant]) -> None:
    """Of the idle connections, the one that has served the tenant; else the least worn."""
    installation = kit.installation
    async with AsyncExitStack() as stack:  # three at once, so that three are opened
        homes = {}
        for tenant in tenants[:3]:
            uow = await stack.enter_async_context(kit.unit_of_work(tenant))
            ((homes[tenant],),) = await uow.hot(_PID)
    assert 3 == len(set(homes.values()))
    for _ in range(2):
        for tenant in (tenants[2], tenants[0], tenants[1]):
            assert homes[tenant] == await backend(installation, tenant)
    first = await backend(installation, tenants[3])  # now it knows two, the others one each
    assert first != await backend(installation, tenants[4])
    assert first == await backend(installation, tenants[3])


async def test_a_busy_home_is_not_waited_for(kit: TestKit, tenants: list[Tenant]) -> None:
    """While the connection that knows the tenant is in use, another one serves."""
    home = await backend(kit.installation, tenants[0])
    async with kit.unit_of_work(tenants[0]) as uow:
        assert [(home,)] == [tuple(row) for row in await uow.hot(_PID)]
        assert home != await backend(kit.installation, tenants[0])


async def test_a_full_pool_hands_over(kit: TestKit, tenants: list[Tenant], eventually: Any) -> None:
    """Who waits for a connection gets the next one that is given back, worn ones included."""
    pids = await asyncio.gather(*(backend(kit.installation, one) for one in tenants * 4))
    assert len(tenants) * 4 == len(pids)
    assert 0 == kit.installation.database.engine.pool.checkedout()  # type: ignore[attr-defined]

    async def few() -> bool:
        return len(await alive(kit.installation)) <= 3

    await eventually(few)
