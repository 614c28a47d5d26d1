"""What is enabled but not usable here is named with its mend, and the rest of the system starts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from pss_kernel import Plugin, Tenant
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation, open_installation
from pss_kernel.registry import Registry
from pss_kernel.tenancy._absent import AbsentPlugin, plugins_absent, report_absent
from pss_kernel.tenancy._enablement import disable_plugin
from pss_kernel.testing import TestKit


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(installation: Installation) -> Tenant:
    """A tenant with both plugins enabled."""
    return await TestKit(installation).make_tenant(plugins=["echo"])


@pytest_asyncio.fixture(loop_scope="session")
async def without_echo(
    installation: Installation, registry: Registry, served: Tenant
) -> AsyncIterator[TestKit]:
    """A process on the same database, on a machine from which one plugin was removed."""
    rest = Registry([registry["notes"]])
    async with open_installation(installation.config, rest) as opened:
        yield TestKit(opened)


def _echo(installation: Installation) -> AbsentPlugin:
    (found,) = [one for one in plugins_absent(installation) if one.name == "echo"]
    return found


async def test_named_with_its_mend(without_echo: TestKit, served: Tenant) -> None:
    """The plugin, whom it serves, and what to do stand in one sentence, and in the log."""
    absent = _echo(without_echo.installation)
    assert served.code in absent.tenants
    assert "not installed on this machine. Install the distribution" in absent.sentence
    with capture_logs() as lines:
        report_absent(without_echo.installation)
    (line,) = [one for one in lines if one["plugin"] == "echo"]
    assert ("plugin_absent", "error") == (line["event"], line["log_level"])
    assert "pss plugin disable echo" in line["mend"]


async def test_the_rest_serves(without_echo: TestKit, served: Tenant) -> None:
    """The tenant's other plugins answer as before."""
    tenant = without_echo.installation.directory.by_code(served.code)
    async with without_echo.http(tenant, ["*"]) as http:
        assert 201 == (await http.post("/v1/notes", json={"body": "here"})).status_code


async def test_strict_refuses(
    installation: Installation, registry: Registry, served: Tenant
) -> None:
    """With ``strict`` the process does not start."""
    rest = Registry([registry["notes"]])
    with pytest.raises(Invalid, match="'echo' is enabled for"):
        async with open_installation(installation.config, rest, strict=True):
            pass


async def test_versions_that_cannot_work_together(
    installation: Installation, registry: Registry, served: Tenant
) -> None:
    """Enabled plugins that are left out for a requirement are named with the requirement."""
    notes = Plugin("notes", version="3.0", package="pss_notes")
    rest = Registry([notes, Plugin("echo", version="1", requires=["notes<2"], package="pss_echo")])
    assert {"identity", "notes"} == rest.plugins.keys()
    beside = Installation(installation.config, rest, installation.cells)
    await beside.directory.refresh()
    absent = _echo(beside)
    assert "It needs notes<2; installed is 3.0." in absent.sentence
    assert "Install a 'notes' that satisfies <2." in absent.sentence


async def test_what_is_gone_can_be_disabled(without_echo: TestKit) -> None:
    """The mend that is named works on the machine that lacks the plugin."""
    kit = without_echo
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "INSERT INTO pss.tenant_plugin (tenant, plugin, state) VALUES ($1, 'gone', 'enabled')",
            tenant.code,
        )
    await kit.installation.directory.refresh()
    assert ["gone"] == await disable_plugin(kit.installation, tenant.code, "gone")
    state = kit.installation.directory.by_code(tenant.code).plugins["gone"]
    assert "disabled" == state.state
