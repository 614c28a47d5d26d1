"""``pss plugin status`` and ``pss plugin release``: what an operator sees and does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from pss_kernel import Tenant
from pss_kernel.tenancy._plugin_states import PluginStatus, plugin_states, release_plugin
from pss_kernel.testing import TestKit
from pss_notes import store

Said = tuple[int, str, str]


@pytest_asyncio.fixture(loop_scope="session")
async def quarantined(kit: TestKit) -> AsyncIterator[Tenant]:
    """A tenant at which a plugin is in quarantine, and an event waits for it."""
    tenant = await kit.make_tenant(plugins=["echo"])
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "SELECT pss.quarantine_plugin($1, 'echo', 'It did wrong.')", tenant.code
        )
    await kit.installation.directory.refresh()
    async with kit.unit_of_work(tenant) as uow:
        await store.write_note(uow, "x")
    await kit.deliver(tenant)
    yield tenant
    if "echo" in kit.installation.directory.by_code(tenant.code).quarantined:
        await release_plugin(kit.installation, tenant.code, "echo")


async def _states(kit: TestKit, tenant: Tenant, *, every: bool) -> dict[str, PluginStatus]:
    found = await plugin_states(kit.installation, tenant.code, every=every)
    return {one.plugin: one for one in found}


async def test_what_needs_a_look(kit: TestKit, quarantined: Tenant) -> None:
    """What is plainly enabled is left out, unless all is asked for; what waits is counted."""
    shown = await _states(kit, quarantined, every=False)
    assert {"echo"} == shown.keys()
    echo = shown["echo"]
    assert ("quarantined", "It did wrong.", "0.3.0", 1) == (
        echo.state,
        echo.reason,
        echo.version,
        echo.events_waiting,
    )
    every = await _states(kit, quarantined, every=True)
    assert {"echo": "quarantined", "identity": "enabled", "notes": "enabled"} == {
        name: one.state for name, one in every.items()
    }
    assert ("1.2.0", "0002", None) == (
        every["notes"].version,
        every["notes"].revision,
        every["notes"].reason,
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("version = '0.9'", "Installed is version 1.2.0."),
        ("revision = '0001'", "Migrations of version 1.2.0 are pending."),
        ("plugin = 'gone'", "It is enabled, but not installed here"),
    ],
)
async def test_what_is_behind(kit: TestKit, change: str, why: str) -> None:
    """An enabled plugin that is not as installed is shown, with what is different."""
    tenant = await kit.make_tenant(plugins=["notes"])
    row = "WHERE tenant = $1 AND plugin IN ('notes', 'gone')"
    async with kit.installation.database.owner() as owner:
        await owner.execute(f"UPDATE pss.tenant_plugin SET {change} {row}", tenant.code)
        await kit.installation.directory.refresh()
        (shown,) = (await _states(kit, tenant, every=False)).values()
        await owner.execute(
            f"UPDATE pss.tenant_plugin SET plugin = 'notes', state = 'disabled' {row}",
            tenant.code,
        )
    assert (shown.reason or "").startswith(why)
    assert "enabled" == shown.state


def test_status_and_release(pss: Callable[..., Said], quarantined: Tenant) -> None:
    """As a table and as JSON; released once, and a second time told that there is nothing to."""
    code, out, _ = pss("plugin", "status", "--tenant", quarantined.code)
    assert (0, True) == (code, "It did wrong." in out)
    assert [quarantined.code, "echo", "quarantined"] == out.splitlines()[1].split()[:3]
    (row,) = _rows(pss, quarantined)
    assert {"plugin": "echo", "state": "quarantined", "events_waiting": 1} == {
        name: row[name] for name in ("plugin", "state", "events_waiting")
    }
    release = ("plugin", "release", "echo", "--tenant", quarantined.code)
    assert (0, "echo released.\n") == pss(*release)[:2]
    code, _, err = pss(*release)
    assert (2, True) == (code, "is not in quarantine" in err)
    # Its event waits still: no worker runs that would give it back.
    assert [("enabled", 1)] == [
        (one["state"], one["events_waiting"]) for one in _rows(pss, quarantined)
    ]


def _rows(pss: Callable[..., Said], tenant: Tenant) -> list[dict[str, Any]]:
    shown = pss("plugin", "status", "--tenant", tenant.code, "--json")[1]
    found: list[dict[str, Any]] = msgspec.json.decode(shown)["data"]
    return found


def test_of_an_unknown_tenant(pss: Callable[..., Said]) -> None:
    """It is said that there is none."""
    code, out, err = pss("plugin", "status", "--tenant", "ghost")
    assert (2, "", True) == (code, out, "There is no tenant 'ghost'." in err)
