"""Uninstalling a plugin for one tenant: its tables exported, then nothing of it remains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pss_kernel.errors import Conflict, Invalid
from pss_kernel.identity.models import metadata as identity
from pss_kernel.installation import Installation
from pss_kernel.leaving._purge import plugin_remains, plugins_to_purge, purge_plugin
from pss_kernel.leaving._revisions import remember_revisions
from pss_kernel.persistence._migrations import revisions_of, tables_made
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._contents import tables_of
from pss_kernel.tenancy._enablement import disable_plugin, enable_plugins
from pss_kernel.tenancy._tables import KERNEL_MIGRATIONS
from pss_kernel.testing import TestKit
from pss_notes import store

_KERNELS = tables_made(revisions_of(KERNEL_MIGRATIONS)) | identity.tables.keys()


async def _with_notes(kit: TestKit) -> Tenant:
    tenant = await kit.make_tenant(plugins=["notes", "echo"])
    async with kit.unit_of_work(tenant) as uow:
        for number in range(3):
            await store.write_note(uow, f"note {number}")
    await kit.deliver(tenant)
    async with kit.installation.cell(tenant).owner() as owner:
        for table in ("job (tenant, plugin, name, next_run_at)",
                      "tenant_file (tenant, plugin, name, loaded_at, digest)"):  # fmt: skip
            more = ", ''" if "digest" in table else ""
            await owner.execute(
                f"INSERT INTO pss.{table} VALUES ($1, 'notes', 'x', now(){more})", tenant.code
            )
    return tenant


async def _tables(kit: TestKit, tenant: Tenant) -> set[str]:
    async with kit.installation.cell(tenant).owner() as owner:
        return {one.name for one in await tables_of(owner, tenant.schema)}


def _without(kit: TestKit, name: str) -> Installation:
    """The same installation, seen by a process that has not got a plugin's code."""
    given = kit.installation
    rest = [one for key, one in given.registry.plugins.items() if key != name]
    installation = Installation(given.config, Registry(rest), given.cells)
    installation.directory = given.directory
    return installation


async def test_nothing_remains(either: TestKit, tmp_path: Path) -> None:
    """Its tables are in files, and gone with its rows of the ledger, jobs, files and inbox."""
    tenant = await _with_notes(either)
    other = await _with_notes(either)
    await disable_plugin(either.installation, tenant.code, "echo", cascade=True)
    await disable_plugin(either.installation, tenant.code, "notes")
    now = either.installation.directory.by_code(tenant.code)
    assert ["echo", "notes"] == plugins_to_purge(either.installation, now, "notes", cascade=True)
    for name in ("echo", "notes"):
        purged = await purge_plugin(either.installation, tenant.code, name, tmp_path / name)
        assert {0} == set((await plugin_remains(either.installation, tenant.code, purged)).values())
    assert (("counter", "note", "trace"), tmp_path / "notes") == (purged.tables, purged.export)
    lines = (tmp_path / "notes/tables/note.jsonl").read_text(encoding="utf-8").splitlines()
    assert {"note 0", "note 1", "note 2"} == {json.loads(line)["body"] for line in lines}
    assert _KERNELS == await _tables(either, tenant)
    assert {"kernel", "identity"} == set(either.installation.directory.by_code(tenant.code).plugins)
    assert _KERNELS | {"note", "counter", "trace"} == await _tables(either, other)
    async with either.unit_of_work(other) as uow:
        assert 3 == len(await store.traces(uow, "copy"))


async def test_from_the_beginning(kit: TestKit) -> None:
    """Enabled again afterwards, it begins with empty tables."""
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.unit_of_work(tenant) as uow:
        await store.set_counter(uow, "left", 3)
    await disable_plugin(kit.installation, tenant.code, "notes")
    await purge_plugin(kit.installation, tenant.code, "notes", None)
    await enable_plugins(kit.installation, tenant.code, {"notes": None})
    async with kit.unit_of_work(kit.installation.directory.by_code(tenant.code)) as uow:
        await store.set_counter(uow, "left", 5)
        assert 5 == await store.left_in(uow, "left")


async def test_while_it_serves(kit: TestKit) -> None:
    """What is enabled, or what another plugin needs, is refused unless all shall go."""
    tenant = await _with_notes(kit)
    with pytest.raises(Conflict, match="echo need the plugin 'notes'") as caught:
        plugins_to_purge(kit.installation, tenant, "notes")
    assert "plugin-required" == caught.value.code
    with pytest.raises(Conflict, match="'echo' is enabled") as caught:
        plugins_to_purge(kit.installation, tenant, "echo")
    assert "plugin-not-disabled" == caught.value.code
    with pytest.raises(Invalid, match="nothing of the plugin"):
        plugins_to_purge(kit.installation, tenant, "kernel")
    for name in plugins_to_purge(kit.installation, tenant, "notes", cascade=True):
        await purge_plugin(kit.installation, tenant.code, name, None)
    assert _KERNELS == await _tables(kit, tenant)


async def test_code_that_has_gone(either: TestKit, tmp_path: Path) -> None:
    """A plugin that is no longer on the machine is known by what it had made."""
    tenant = await _with_notes(either)
    await disable_plugin(either.installation, tenant.code, "echo")
    await purge_plugin(either.installation, tenant.code, "echo", None)
    without = _without(either, "notes")
    now = either.installation.directory.by_code(tenant.code)
    assert ["notes"] == plugins_to_purge(without, now, "notes")
    async with either.installation.cell(tenant).owner() as owner:
        rows = await owner.fetchval(
            f"SELECT (SELECT count(*) FROM {tenant.schema}.note) "
            f"+ (SELECT count(*) FROM {tenant.schema}.trace)"
        )
    purged = await purge_plugin(without, tenant.code, "notes", tmp_path / "notes")
    assert (("counter", "note", "trace"), rows) == (purged.tables, purged.rows)
    assert {0} == set((await plugin_remains(without, tenant.code, purged)).values())


async def test_a_revision_that_nobody_knows(kit: TestKit) -> None:
    """Which tables are its own is never guessed."""
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            "UPDATE pss.tenant_plugin SET revision = '0099' WHERE tenant = $1 AND plugin = 'notes'",
            tenant.code,
        )
    await kit.installation.directory.refresh()
    with pytest.raises(Conflict, match="'0099' is not known here"):
        await purge_plugin(_without(kit, "notes"), tenant.code, "notes", None)
    assert "note" in await _tables(kit, tenant)


async def test_what_depends_on_it(kit: TestKit) -> None:
    """Where something else of the tenant depends on its tables, all of it stays."""
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(
            f"CREATE VIEW {tenant.schema}.mine AS SELECT * FROM {tenant.schema}.note"
        )
        await disable_plugin(kit.installation, tenant.code, "notes")
        with pytest.raises(Conflict, match="depends on the tables of 'notes'"):
            await purge_plugin(kit.installation, tenant.code, "notes", None)
        assert {"note", "counter", "trace"} <= await _tables(kit, tenant)
        await owner.execute(f"DROP VIEW {tenant.schema}.mine")
    await purge_plugin(kit.installation, tenant.code, "notes", None)


async def test_an_export_that_fails(kit: TestKit, tmp_path: Path) -> None:
    """Where the export can't be written, nothing is dropped."""
    tenant = await kit.make_tenant(plugins=["notes"])
    await disable_plugin(kit.installation, tenant.code, "notes")
    (tmp_path / "taken").mkdir()
    with pytest.raises(Conflict, match="there already"):
        await purge_plugin(kit.installation, tenant.code, "notes", tmp_path / "taken")
    assert "note" in await _tables(kit, tenant)


async def test_what_is_remembered(kit: TestKit) -> None:
    """Each revision of each installed plugin is written down once, however often that is done."""
    for _ in range(2):
        await remember_revisions(kit.installation.database, kit.installation.registry)
    async with kit.installation.database.owner() as owner:
        rows = await owner.fetch(
            "SELECT revision, made FROM pss.plugin_revision WHERE plugin = 'notes' ORDER BY 1"
        )
    assert [
        ("0001", {"counter", "note"}), ("0002", {"counter", "note", "trace"})
    ] == [
        (row["revision"], {name for _, name in json.loads(row["made"])}) for row in rows
    ]  # fmt: skip
