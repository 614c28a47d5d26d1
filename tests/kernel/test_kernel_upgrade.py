"""A plugin's tables go from one version to the next while its routes serve."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel import Tenant
from pss_kernel.installation import Installation
from pss_kernel.persistence._migrations import revisions_of
from pss_kernel.registry import Registry
from pss_kernel.tenancy._pending import enable_pending
from pss_kernel.testing import TestKit

_NEXT = """
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.execute("ALTER TABLE note ADD COLUMN colour text")


def downgrade():
    op.execute("ALTER TABLE note DROP COLUMN colour")
"""


class _NextVersion(Registry):
    """As the plugins of a new process, of which one has a further migration."""

    folder: Path

    def migrations_of(self, name: str) -> Path:
        """The folder with one more, for the plugin that is upgraded."""
        return self.folder if name == "notes" else super().migrations_of(name)


@pytest_asyncio.fixture(loop_scope="session")
async def upgraded(
    installation: Installation, registry: Registry, tmp_path: Path
) -> AsyncIterator[Installation]:
    """A new process with the next version, beside the one that serves."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in registry.migrations_of("notes").glob("*.py"):
        (folder / file.name).write_text(file.read_text())
    (folder / "0003_colour.py").write_text(_NEXT)
    following = _NextVersion(registry.plugins.values())
    following.folder = folder
    assert "0003" == revisions_of(folder)[-1].revision
    yield Installation(installation.config, following, installation.cells)


async def _only(installation: Installation, tenant: Tenant) -> None:
    """Let the new process see one tenant; the others belong to other tests."""
    await installation.directory.refresh()
    directory = installation.directory
    others = [one.code for one in directory if one.code != tenant.code]
    for code in others:
        directory._snapshot.tenants.pop(code)


async def test_upgraded_while_it_serves(
    kit: TestKit, upgraded: Installation, eventually: Any
) -> None:
    """No request fails, and none is lost: those of the version before go on with the new tables."""
    tenant = await kit.make_tenant(plugins=["echo"])
    stop, answers = asyncio.Event(), Counter[int]()
    async with kit.http(tenant, ["*"]) as client:

        async def write() -> None:
            while not stop.is_set():
                answers[(await client.post("/v1/notes", json={"body": "x"})).status_code] += 1
                answers[(await client.get("/v1/notes")).status_code] += 1

        writing = [asyncio.create_task(write()) for _ in range(4)]
        try:
            await eventually(lambda: answers[201] > 10)
            await _only(upgraded, tenant)
            await enable_pending(upgraded)
            written = answers[201]
            await eventually(lambda: answers[201] > written + 10)
        finally:
            stop.set()
            await asyncio.gather(*writing)
    assert {200, 201} == answers.keys()
    async with kit.unit_of_work(tenant) as uow:
        ((notes, colours),) = await uow.hot("SELECT count(*), count(colour) FROM note")
    assert (answers[201], 0) == (notes, colours)
    assert 2 * notes == await _handled(kit, tenant)


async def _handled(kit: TestKit, tenant: Tenant) -> int:
    """How many events the two consumers have had together, once all are delivered."""
    with contextlib.suppress(AssertionError):  # more than it takes at once
        while await kit.deliver(tenant):
            pass
    await kit.deliver(tenant)
    async with kit.unit_of_work(tenant) as uow:
        ((number,),) = await uow.hot("SELECT count(*) FROM inbox")
    return int(number)


@pytest.mark.parametrize("meanwhile", ["disabled", "quarantined"])
async def test_an_upgrade_does_not_enable(
    kit: TestKit, upgraded: Installation, meanwhile: str
) -> None:
    """What was switched off after the new process had looked stays off, tables and all."""
    tenant = await kit.make_tenant(plugins=["notes"])
    await _only(upgraded, tenant)
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET state = $2 WHERE tenant = $1 AND plugin = 'notes'",
            *(tenant.code, meanwhile),
        )
    assert "notes" in upgraded.directory.by_code(tenant.code).enabled
    await enable_pending(upgraded)
    async with kit.installation.database.owner() as owner:
        row = await owner.fetchrow(
            "SELECT state, revision FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = 'notes'",
            tenant.code,
        )
    assert (meanwhile, "0002") == tuple(row)
