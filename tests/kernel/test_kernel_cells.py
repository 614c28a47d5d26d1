"""Tenants in several database clusters: each in its own, found wherever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel.config import CellConfig, Config
from pss_kernel.errors import Conflict, Invalid
from pss_kernel.installation import Installation, open_installation
from pss_kernel.messaging._jobs import JobRunner
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit
from pss_notes import store

pytestmark = pytest.mark.xdist_group("cells")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def kit(folder: Path, registry: Registry) -> AsyncIterator[TestKit]:
    """An installation of two embedded clusters."""
    east = CellConfig(name="east", database_url="embedded")
    config = Config(data_dir=folder / "two-cells", cells=(east,), pool_size=4)
    async with open_installation(config, registry) as opened:
        yield TestKit(opened)


async def _tenant(installation: Installation, code: str, cell: str) -> Tenant:
    await create_tenant(installation, code, name=code, currency="EUR", time_zone="UTC", cell=cell)
    await enable_plugins(installation, code, {"echo": None})
    return installation.directory.by_code(code)


async def _schemas(kit: TestKit, cell: str) -> set[str]:
    async with kit.installation.cells[cell].owner() as owner:
        rows = await owner.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 't!_%' ESCAPE '!'"
        )
    return {row["nspname"] for row in rows}


async def test_each_in_its_own(kit: TestKit) -> None:
    """A tenant's schema, rows, events and keys are in its cell and in no other."""
    here = await _tenant(kit.installation, "here", "default")
    there = await _tenant(kit.installation, "there", "east")
    assert ("default", "east") == (here.cell, there.cell)
    assert ({"t_here"}, {"t_there"}) == (
        await _schemas(kit, "default"),
        await _schemas(kit, "east"),
    )
    for tenant in (here, there):
        async with kit.unit_of_work(tenant) as uow:
            await store.write_note(uow, tenant.code)
        assert 1 == await kit.deliver(tenant)
        async with kit.unit_of_work(tenant) as uow:
            assert 1 == len(await store.traces(uow, "copy"))
        async with kit.http(tenant, ["*"]) as http:
            (note,) = (await http.get("/v1/notes")).json()["data"]
            assert tenant.code == note["body"]


async def test_jobs_of_each_cell(kit: TestKit) -> None:
    """A cell's runner registers the jobs of its own tenants."""
    await _tenant(kit.installation, "worker_here", "default")
    await _tenant(kit.installation, "worker_there", "east")
    for cell, expected in (("default", "worker_here"), ("east", "worker_there")):
        await JobRunner(kit.installation, cell)._register()
        async with kit.installation.cells[cell].owner() as owner:
            rows = await owner.fetch(
                "SELECT DISTINCT tenant FROM pss.job WHERE tenant LIKE 'worker%'"
            )
        assert [expected] == [row["tenant"] for row in rows]


async def test_one_code_for_all_cells(kit: TestKit) -> None:
    """A code and a host name belong to one tenant, whichever cell it is in."""
    await _tenant(kit.installation, "single", "east")
    again = await _tenant(kit.installation, "single", "default")
    assert "east" == again.cell  # where it was first
    facts: dict[str, Any] = {"name": "x", "currency": "EUR", "time_zone": "UTC"}
    await create_tenant(kit.installation, "single", domains=["single.example"], **facts)
    with pytest.raises(Conflict, match="belongs to the tenant 'single'"):
        await create_tenant(kit.installation, "second", domains=["single.example"], **facts)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"PSS_CELLS": "east"}, "PSS_CELL_EAST_DATABASE_URL is not set"),
        ({"PSS_CELLS": "default"}, "can't be a cell's name"),
        ({"PSS_CELLS": "Ost"}, "can't be a cell's name"),
    ],
)
def test_cells_that_are_wrong(cells: dict[str, str], said: str) -> None:
    """A mistake in the variables is told with the variable."""
    with pytest.raises(Invalid, match=said):
        Config.from_environment(cells)


def test_cells_from_the_environment() -> None:
    """Each name has variables of its own."""
    config = Config.from_environment(
        {
            "PSS_CELLS": "east, west",
            "PSS_CELL_EAST_DATABASE_URL": "embedded",
            "PSS_CELL_WEST_DATABASE_URL": "postgresql://owner@west/pss",
            "PSS_CELL_WEST_APP_DATABASE_URL": "postgresql://pss_app@west/pss",
        }
    )
    assert [
        ("east", "embedded", None),
        ("west", "postgresql://owner@west/pss", "postgresql://pss_app@west/pss"),
    ] == [(one.name, one.database_url, one.app_database_url) for one in config.cells]
