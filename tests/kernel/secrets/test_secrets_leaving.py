"""Sealed values leave sealed, and open elsewhere with the same master key only."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pss_guarded import Settings, store
from pss_kernel.errors import Conflict, Problem
from pss_kernel.installation import Installation
from pss_kernel.leaving._delete import drop_tenant, schedule_deletion
from pss_kernel.leaving._export import export_tenant
from pss_kernel.leaving._import import import_tenant
from pss_kernel.leaving._purge import plugin_remains, purge_plugin
from pss_kernel.leaving._remains import remains_of
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._enablement import disable_plugin
from pss_kernel.testing import TestKit

_KEY = 40  # so long is a key in text, and no word of the key file


async def _sealed(kit: TestKit, clear: str) -> tuple[Tenant, str]:
    """A tenant with a secret among its settings and a visitor whose contact is sealed."""
    tenant = await kit.make_tenant(settings={"guarded": {"token": clear}})
    async with kit.unit_of_work(tenant) as uow:
        ids = await store.write_visitors(uow, {"one": f"{clear}@there.example"})
    return kit.installation.directory.by_code(tenant.code), ids["one"]


def _master_key(kit: TestKit) -> Path:
    path = kit.installation.keyring.masters.file
    assert path is not None
    return path


async def test_sealed_in_the_export(both: TestKit, clear: str, tmp_path: Path) -> None:
    """Nothing that was sealed is in an export in clear, and the manifest says what is sealed."""
    tenant, _ = await _sealed(both, clear)
    manifest = await export_tenant(both.installation, tenant.code, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path.name for path in files if clear.encode() in path.read_bytes()]
    master = _master_key(both)
    keys = [word for word in master.read_text(encoding="utf-8").split() if len(word) >= _KEY]
    assert keys
    for key in keys:
        assert not [path.name for path in files if key.encode() in path.read_bytes()]
    marked = {
        f"{table.name}.{column.name}": column.protection
        for table in (*manifest.tables, *manifest.control)
        for column in table.columns
        if column.protection
    }
    sealed = {"visitor.contact", "factor.secret", "person_key.wrapped", "tenant_key.wrapped"}
    assert sealed == {name for name, protection in marked.items() if protection == "encrypted"}
    assert "secret" == marked["tenant_plugin.settings"]


async def test_with_the_master_key(
    one: TestKit,
    guarded_server: Installation,
    beside: Callable[..., Any],
    clear: str,
    tmp_path: Path,
) -> None:
    """An installation with the master key opens them; one without refuses, or is given it later."""
    tenant, visitor = await _sealed(one, clear)
    manifest = await export_tenant(one.installation, tenant.code, tmp_path / "out")
    with pytest.raises(Conflict, match="don't open here") as caught:
        await import_tenant(guarded_server, tmp_path / "out", manifest)
    assert ("export-sealed", True) == (caught.value.code, "--no-keys" in (caught.value.mend or ""))
    arrived = await import_tenant(guarded_server, tmp_path / "out", manifest, keys=False)
    token = guarded_server.settings_of(arrived, Settings).token
    assert token is not None
    with pytest.raises(Problem):
        token.reveal()
    with_key = await beside(TestKit(guarded_server), master_key_file=_master_key(one))
    await _opens(with_key, arrived.code, visitor, clear)
    await schedule_deletion(guarded_server, arrived.code, timedelta(), export=False)
    await drop_tenant(guarded_server, arrived.code)
    await with_key.installation.directory.refresh()
    arrived = await import_tenant(with_key.installation, tmp_path / "out", manifest)
    await _opens(with_key, arrived.code, visitor, clear)
    async with guarded_server.database.owner() as owner:
        changes = await owner.fetch(
            "SELECT setting, after FROM pss.setting_change WHERE tenant = $1", arrived.code
        )
    before = [
        json.loads(line)
        for line in (tmp_path / "out/control/setting_change.jsonl").read_text().splitlines()
    ]
    assert len(before) == len(changes)  # arriving is no change


async def _opens(kit: TestKit, code: str, visitor: str, clear: str) -> None:
    tenant = kit.installation.directory.by_code(code)
    settings = kit.installation.settings_of(tenant, Settings)
    assert settings.token is not None
    assert clear == settings.token.reveal()
    async with kit.unit_of_work(tenant) as uow:
        assert {visitor: f"{clear}@there.example"} == await store.read_visitors(uow, [visitor])


async def test_under_another_code(both: TestKit, clear: str, tmp_path: Path) -> None:
    """What is sealed is bound to its tenant: under another code it is refused, not lost."""
    tenant, _ = await _sealed(both, clear)
    manifest = await export_tenant(both.installation, tenant.code, tmp_path / "out")
    with pytest.raises(Conflict, match="open under the code") as caught:
        await import_tenant(both.installation, tmp_path / "out", manifest, code=f"{tenant.code}_b")
    assert "export-sealed" == caught.value.code


async def test_nothing_remains(both: TestKit, clear: str) -> None:
    """Keys and the history of settings go with the tenant, and with the plugin."""
    tenant, _ = await _sealed(both, clear)
    await disable_plugin(both.installation, tenant.code, "guarded")
    purged = await purge_plugin(both.installation, tenant.code, "guarded", None)
    left = await plugin_remains(both.installation, tenant.code, purged)
    assert ({0}, True) == (set(left.values()), "rows of pss.setting_change" in left)
    await schedule_deletion(both.installation, tenant.code, timedelta(), export=False)
    await drop_tenant(both.installation, tenant.code)
    found = {one.place: one.count for one in await remains_of(both.installation, tenant.code)}
    assert {0} == set(found.values())
    assert {"rows of pss.tenant_key", "rows of pss.setting_change"} <= found.keys()
