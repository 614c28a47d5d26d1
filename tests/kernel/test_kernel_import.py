"""Importing a tenant: into another installation, another cell, under another code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel.config import CellConfig, Config
from pss_kernel.errors import Conflict, Invalid, TenantUnknown
from pss_kernel.installation import Installation, open_installation
from pss_kernel.leaving._delete import drop_tenant, schedule_deletion
from pss_kernel.leaving._drop import roles_of
from pss_kernel.leaving._export import export_tenant
from pss_kernel.leaving._format import Manifest
from pss_kernel.leaving._import import import_tenant
from pss_kernel.leaving._purge import purge_plugin
from pss_kernel.leaving._verify import read_manifest
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._enablement import disable_plugin
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit
from pss_notes import store


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def elsewhere(folder: Path, registry: Registry) -> AsyncIterator[TestKit]:
    """Another installation, with two cells."""
    east = CellConfig(name="east", database_url="embedded")
    config = Config(data_dir=folder / "elsewhere", cells=(east,), pool_size=4)
    async with open_installation(config, registry) as opened:
        yield TestKit(opened)


async def _exported(kit: TestKit, target: Path) -> tuple[Tenant, Manifest]:
    """A tenant with settings, notes, a counter, a key, a job and an event that waits."""
    tenant = await kit.make_tenant(
        plugins=["notes", "echo"], settings={"notes": {"greeting": "salve", "most": 7}}
    )
    async with kit.unit_of_work(tenant) as uow:
        await store.write_note(uow, "first")
        await store.set_counter(uow, "left", 5)
        await store.leave_trace(uow, "somebody", "something")
    await kit.deliver(tenant)
    async with kit.unit_of_work(tenant) as uow:
        await store.write_note(uow, "second")
    return tenant, await export_tenant(kit.installation, tenant.code, target)


async def _count(installation: Installation, code: str, cell: str = "default") -> tuple[int, int]:
    """Schemas and rows of ``pss.tenant`` of that code in a cell."""
    async with installation.cells[cell].owner() as owner:
        schemas = await owner.fetchval(
            "SELECT count(*) FROM pg_namespace WHERE nspname = $1", f"t_{code}"
        )
        rows = await owner.fetchval("SELECT count(*) FROM pss.tenant WHERE code = $1", code)
    return schemas, rows


async def test_into_another_installation(
    either: TestKit, elsewhere: TestKit, tmp_path: Path
) -> None:
    """It lives on there: rows, settings, counters, keys, and the events that waited."""
    tenant, manifest = await _exported(either, tmp_path / "out")
    key = await either.api_key(tenant, ["*"])
    manifest = await export_tenant(either.installation, tenant.code, tmp_path / "again")
    arrived = await import_tenant(elsewhere.installation, tmp_path / "again", manifest)
    assert (tenant.code, "active", "default") == (arrived.code, arrived.placement, arrived.cell)
    assert {"kernel", "identity", "notes", "echo"} == arrived.enabled
    assert {"greeting": "salve", "most": 7} == arrived.plugins["notes"].settings
    async with elsewhere.unit_of_work(arrived) as uow:
        assert 5 == await store.left_in(uow, "left")
        await store.leave_trace(uow, "somebody", "more")  # its number goes on
        assert ["something", "more"] == await store.traces(uow, "somebody")
    assert 1 == await elsewhere.deliver(arrived)
    async with elsewhere.unit_of_work(arrived) as uow:
        assert 2 == len(await store.traces(uow, "copy"))
    async with elsewhere.http(arrived) as http:
        answer = await http.get("/v1/notes", headers={"Authorization": f"Bearer {key}"})
        assert ["first", "second"] == sorted(note["body"] for note in answer.json()["data"])


async def test_the_way_back(elsewhere: TestKit, either: TestKit, tmp_path: Path) -> None:
    """Exported again from where it arrived, each table is the same file."""
    tenant, before = await _exported(elsewhere, tmp_path / "out")
    await import_tenant(either.installation, tmp_path / "out", before)
    after = await export_tenant(either.installation, tenant.code, tmp_path / "again")
    first, second = (
        [
            (one.name, one.sha256, one.fingerprint)
            for one in manifest.tables
            if one.name != "audit_entry"  # says that it was imported and exported
        ]
        for manifest in (before, after)
    )
    assert first == second
    assert before.identity_counters == after.identity_counters


async def test_into_a_cell(elsewhere: TestKit, kit: TestKit, tmp_path: Path) -> None:
    """It can be given its cell; a cell that is not there is refused."""
    tenant, manifest = await _exported(kit, tmp_path / "out")
    with pytest.raises(Invalid, match="'west' is not configured"):
        await import_tenant(elsewhere.installation, tmp_path / "out", manifest, cell="west")
    arrived = await import_tenant(elsewhere.installation, tmp_path / "out", manifest, cell="east")
    assert "east" == arrived.cell
    assert (0, 0) == await _count(elsewhere.installation, tenant.code)
    assert 1 == await elsewhere.deliver(arrived)


async def test_as_another(either: TestKit, tmp_path: Path) -> None:
    """Beside the original: role, schema and waiting events are its own, keys and hosts are not."""
    tenant, manifest = await _exported(either, tmp_path / "out")
    await either.api_key(tenant, ["*"])
    await create_tenant(
        either.installation,
        tenant.code,
        name="x",
        currency="EUR",
        time_zone="UTC",
        domains=[f"{tenant.code}.example"],
    )
    async with either.installation.database.owner() as owner:
        await owner.execute(
            "INSERT INTO pss.event_waiting (tenant, plugin, event_id, event_type, payload, "
            "occurred_at) SELECT $1, 'notes', gen_random_uuid(), 'x', payload, now() "
            "FROM pss.outbox WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = $1",
            tenant.code,
        )
    manifest = await export_tenant(either.installation, tenant.code, tmp_path / "again")
    other = f"{tenant.code}_b"
    arrived = await import_tenant(either.installation, tmp_path / "again", manifest, code=other)
    async with either.installation.database.owner() as owner:
        held = await owner.fetch(
            "SELECT tenant, convert_from(payload, 'UTF8')::jsonb ->> 'tenant' AS inside "
            "FROM pss.event_waiting WHERE tenant = $1",
            other,
        )
        assert [(other, other)] == [tuple(row) for row in held]
    assert (other, f"t_{other}", ()) == (arrived.code, arrived.schema, arrived.domains)
    assert either.installation.database.roles.tenant(other) == arrived.role
    async with either.installation.database.owner() as owner:
        assert 0 == await owner.fetchval(
            "SELECT count(*) FROM pss.api_key WHERE tenant = $1", other
        )
    assert 2 == await either.deliver(arrived)
    assert 2 == await either.deliver(tenant)
    async with either.unit_of_work(arrived) as uow:
        await store.write_note(uow, "mine")
        assert 2 == len(await store.traces(uow, "copy"))
    async with either.unit_of_work(tenant) as uow:
        assert 2 == len(await store.traces(uow, "copy"))


async def test_with_strict_plugins(either: TestKit, tmp_path: Path) -> None:
    """Roles of single plugins are made anew where the tenant has them, and go with it."""
    tenant = await either.make_tenant(plugins=["notes"])
    await create_tenant(
        either.installation,
        tenant.code,
        name="x",
        currency="EUR",
        time_zone="UTC",
        strict_plugins=True,
    )
    manifest = await export_tenant(either.installation, tenant.code, tmp_path / "out")
    other = f"{tenant.code}_b"
    arrived = await import_tenant(either.installation, tmp_path / "out", manifest, code=other)
    assert arrived.strict_plugins
    async with either.installation.unit_of_work(arrived, plugin="notes") as uow:
        await store.write_note(uow, "mine")
    await disable_plugin(either.installation, other, "notes")
    roles = either.installation.database.roles
    async with either.installation.database.owner() as owner:
        assert [roles.plugin(other, "notes"), roles.tenant(other)] == await roles_of(
            owner, other, roles
        )
        await purge_plugin(either.installation, other, "notes", None)
        assert [roles.tenant(other)] == await roles_of(owner, other, roles)
        await schedule_deletion(either.installation, tenant.code, timedelta(), export=False)
        await drop_tenant(either.installation, tenant.code)
        assert [] == await roles_of(owner, tenant.code, roles)


async def test_without_events(kit: TestKit, elsewhere: TestKit, tmp_path: Path) -> None:
    """What waited stays behind where that is asked for."""
    _, manifest = await _exported(kit, tmp_path / "out")
    arrived = await import_tenant(
        elsewhere.installation, tmp_path / "out", manifest, code="quiet", events=False
    )
    assert 0 == await elsewhere.deliver(arrived)


async def test_one_that_exists(kit: TestKit, tmp_path: Path) -> None:
    """A code that somebody has is refused, and what they have is untouched."""
    tenant, manifest = await _exported(kit, tmp_path / "out")
    with pytest.raises(Conflict, match="There is a tenant") as caught:
        await import_tenant(kit.installation, tmp_path / "out", manifest)
    assert "tenant-exists" == caught.value.code
    assert 1 == await kit.deliver(tenant)


async def test_a_domain_of_another(kit: TestKit, elsewhere: TestKit, tmp_path: Path) -> None:
    """A host name that belongs to somebody is not taken from them."""
    tenant, _ = await _exported(kit, tmp_path / "out")
    facts: dict[str, Any] = {"name": "x", "currency": "EUR", "time_zone": "UTC"}
    host = f"{tenant.code}.example".replace("_", "-")
    await create_tenant(kit.installation, tenant.code, domains=[host], **facts)
    manifest = await export_tenant(kit.installation, tenant.code, tmp_path / "again")
    await create_tenant(elsewhere.installation, "owner_of_host", domains=[host], **facts)
    with pytest.raises(Conflict, match="belongs to the tenant 'owner_of_host'"):
        await import_tenant(elsewhere.installation, tmp_path / "again", manifest)
    await create_tenant(elsewhere.installation, "owner_of_host", domains=[], **facts)
    arrived = await import_tenant(elsewhere.installation, tmp_path / "again", manifest)
    assert (host,) == arrived.domains


def _changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> Manifest:
    """The manifest with something else in it (its digest is looked at last)."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_manifest(folder)


async def test_what_is_not_installed(kit: TestKit, elsewhere: TestKit, tmp_path: Path) -> None:
    """Plugins and revisions that are missing are all named, before anything is made."""
    tenant, _ = await _exported(kit, tmp_path / "out")

    def change(content: dict[str, Any]) -> None:
        for one in content["plugins"]:
            if one["name"] == "notes":
                one["revision"] = "0099"
        gone = {"name": "gone", "state": "disabled", "version": "3.1", "revision": "0004"}
        content["plugins"].append(gone)

    manifest = _changed(tmp_path / "out", change)
    with pytest.raises(Conflict) as caught:
        await import_tenant(elsewhere.installation, tmp_path / "out", manifest)
    assert "export-needs" == caught.value.code
    assert "'notes' must know the revision '0099' (version 1.2.0 or newer)" in caught.value.detail
    assert "'gone' (version 3.1) is not installed" in caught.value.detail
    assert (0, 0) == await _count(elsewhere.installation, tenant.code)


async def test_a_damaged_one(kit: TestKit, elsewhere: TestKit, tmp_path: Path) -> None:
    """Files that are not as they were written are not loaded."""
    tenant, manifest = await _exported(kit, tmp_path / "out")
    (tmp_path / "out/tables/note.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(Invalid, match="not whole"):
        await import_tenant(elsewhere.installation, tmp_path / "out", manifest)
    assert (0, 0) == await _count(elsewhere.installation, tenant.code)


async def test_half_way(
    kit: TestKit, elsewhere: TestKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is served by half; the same command begins anew, in another cell if need be."""
    tenant, manifest = await _exported(kit, tmp_path / "out")
    there = elsewhere.installation

    async def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pss_kernel.leaving._import._serve", stop)
        with pytest.raises(KeyboardInterrupt):
            await import_tenant(there, tmp_path / "out", manifest)
    assert (1, 1) == await _count(there, tenant.code)
    await there.directory.refresh()
    with pytest.raises(TenantUnknown):
        there.directory.by_code(tenant.code)
    with pytest.raises(Conflict, match="import of it has ended half-way"):
        await create_tenant(there, tenant.code, name="x", currency="EUR", time_zone="UTC")
    arrived = await import_tenant(there, tmp_path / "out", manifest, cell="east")
    assert ("east", "active") == (arrived.cell, arrived.placement)
    assert 1 == await elsewhere.deliver(arrived)
    assert (0, 0) == await _count(there, tenant.code)


async def test_other_rows(kit: TestKit, elsewhere: TestKit, tmp_path: Path) -> None:
    """Rows that are not those of the fingerprint are not kept."""
    tenant, _ = await _exported(kit, tmp_path / "out")

    def change(content: dict[str, Any]) -> None:
        for one in content["tables"]:
            if one["name"] == "note":
                one["fingerprint"] = "2-1"

    manifest = _changed(tmp_path / "out", change)
    sums = tmp_path / "out/SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines() if "manifest" not in line]
    sums.write_text("".join(f"{line}\n" for line in [*kept, _sum(tmp_path / "out")]))
    with pytest.raises(Conflict, match="not those that were exported"):
        await import_tenant(elsewhere.installation, tmp_path / "out", manifest)
    assert (0, 0) == await _count(elsewhere.installation, tenant.code)


def _tampered(folder: Path, change: Callable[[dict[str, Any]], None]) -> Manifest:
    """The manifest with something else in it, and every digest counted anew."""

    def counted(content: dict[str, Any]) -> None:
        change(content)
        for one in (*content["tables"], *content["control"]):
            file = (folder / one["file"]).read_bytes()
            one["rows"], one["bytes"] = file.count(b"\n"), len(file)
            one["sha256"] = hashlib.sha256(file).hexdigest()

    manifest = _changed(folder, counted)
    names = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in names
        if path.name != "SHA256SUMS"
    ]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    return manifest


def _nothing(_: dict[str, Any]) -> None: ...


def _rewrite(folder: Path, table: str, change: dict[str, Any], **where: str) -> None:
    """Other values in the rows of a control table."""
    path = folder / f"control/{table}.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row in rows:
        if all(row[name] == value for name, value in where.items()):
            row.update(change)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


async def test_values_that_apply_would_refuse(
    kit: TestKit, elsewhere: TestKit, tmp_path: Path
) -> None:
    """The tenant's row and every plugin's settings are checked; all errors are said at once."""
    tenant, _ = await _exported(kit, tmp_path / "out")
    bad = {"time_zone": "Nope/Zone", "currency": "XXQ", "name": "", "locales": []}
    brand = {"primary_color": "red", "logo": "https://elsewhere.example/x.svg"}
    _rewrite(tmp_path / "out", "tenant", bad | {"brand": json.dumps(brand)})
    _rewrite(tmp_path / "out", "tenant_plugin", {"settings": '{"most": "x"}'}, plugin="notes")
    manifest = _tampered(tmp_path / "out", _nothing)
    with pytest.raises(Invalid) as caught:
        await import_tenant(elsewhere.installation, tmp_path / "out", manifest)
    assert "export-invalid" == caught.value.code
    assert {
        "/tenant/time_zone", "/tenant/currency", "/tenant/name", "/tenant/locales",
        "/brand/primary_color", "/brand/logo", "/plugins/notes/most",
    } == {one.pointer for one in caught.value.errors}  # fmt: skip
    assert "'Nope/Zone' is not a time zone" in caught.value.detail
    assert (0, 0) == await _count(elsewhere.installation, tenant.code)


async def test_a_form_that_hides_a_value(kit: TestKit, elsewhere: TestKit, tmp_path: Path) -> None:
    """How a control column is written is known here; what the manifest says of it is not used."""
    tenant, _ = await _exported(kit, tmp_path / "out")

    def change(content: dict[str, Any]) -> None:
        for column in content["control"][0]["columns"]:
            column["written_as"] = "utf8"

    manifest = _tampered(tmp_path / "out", change)
    arrived = await import_tenant(elsewhere.installation, tmp_path / "out", manifest)
    assert tenant.time_zone == arrived.time_zone


@pytest.mark.parametrize(
    "name", ["migration_run", "plugin_revision", "tenant_change", "tenant_domain", "placement"]
)
async def test_tables_that_no_export_has(
    kit: TestKit, elsewhere: TestKit, tmp_path: Path, name: str
) -> None:
    """Rows of other shared tables are refused, under another code too."""
    tenant, _ = await _exported(kit, tmp_path / "out")
    (tmp_path / "out/control" / f"{name}.jsonl").write_text("{}\n", encoding="utf-8")

    def change(content: dict[str, Any]) -> None:
        more = {"name": name, "file": f"control/{name}.jsonl", "columns": []}
        content["control"].append(content["control"][0] | more)

    manifest = _tampered(tmp_path / "out", change)
    other = f"{tenant.code}_b"
    for code in (None, other):
        with pytest.raises(Invalid, match=name) as caught:
            await import_tenant(elsewhere.installation, tmp_path / "out", manifest, code=code)
        assert "not-an-export" == caught.value.code
    assert (0, 0) == await _count(elsewhere.installation, other)


def _without_tenant(content: dict[str, Any]) -> None:
    content["control"] = [one for one in content["control"] if one["name"] != "tenant"]


_DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("table", "row", "change"),
    [
        ("tenant", {}, _without_tenant),
        ("tenant", {"brand": _DEEP}, _nothing),
        ("tenant_plugin", {"settings": "[1]"}, _nothing),
        ("tenant_plugin", {"settings": _DEEP}, _nothing),
        ("tenant_plugin", {"settings": "{"}, _nothing),
        ("tenant_plugin", {"settings": None}, _nothing),
        ("tenant_plugin", {"state": "none"}, _nothing),
        ("tenant_plugin", {"plugin": None}, _nothing),
        ("outbox", {"payload": "[]"}, _nothing),
        ("outbox", {"payload": _DEEP}, _nothing),
        ("outbox", {"headers": _DEEP}, _nothing),
        ("outbox", {"created_at": "yesterweek"}, _nothing),
    ],
)
async def test_nonsense_is_a_sentence(
    kit: TestKit,
    elsewhere: TestKit,
    tmp_path: Path,
    table: str,
    row: dict[str, Any],
    change: Callable[[dict[str, Any]], None],
) -> None:
    """Whatever stands in an export, it is refused in a sentence, and nothing is served."""
    tenant, _ = await _exported(kit, tmp_path / "out")
    _rewrite(tmp_path / "out", table, row)
    manifest = _tampered(tmp_path / "out", change)
    with pytest.raises(Invalid) as caught:
        await import_tenant(elsewhere.installation, tmp_path / "out", manifest)
    assert caught.value.code in {"export-damaged", "export-invalid"}
    assert len(caught.value.detail) < 1000
    assert (0, 0) == await _count(elsewhere.installation, tenant.code)


def _sum(folder: Path) -> str:
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    return f"{digest}  manifest.json"
