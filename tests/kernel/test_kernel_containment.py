"""What one plugin, one client or one old process does wrong stays with it."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pss_api.gateway import Gateway
from pss_kernel import Conflict, Plugin, UnitOfWork
from pss_kernel.errors import Invalid, TooSlow
from pss_kernel.messaging._deliver import deliver
from pss_kernel.messaging._envelope import Envelope
from pss_kernel.messaging._waiting import give_back
from pss_kernel.persistence._migrations import knows, pending, revisions_of
from pss_kernel.registry import Registry
from pss_kernel.tenancy._brand import brand_errors
from pss_kernel.tenancy._enablement import disable_plugin
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit
from pss_kernel.validation import explain


def _fault(plugin: Plugin) -> str:
    (broken,) = Registry([plugin]).broken
    return broken.reason


@pytest.mark.parametrize("cron", ["every day", "0 0 30 2 *"])
def test_a_cron_that_never_comes_due(cron: str) -> None:
    """The plugin is left out; it would have stopped everybody's jobs."""
    plugin = Plugin("a", version="1", package="pss_a")

    @plugin.job(cron=cron)
    async def tidy(uow: UnitOfWork) -> None: ...

    assert "never comes due" in _fault(plugin)


def test_a_function_that_is_not_async() -> None:
    """It would fail when it is called, long after it was installed."""
    plugin = Plugin("a", version="1", package="pss_a")

    @plugin.job(every=5)
    def tidy(uow: UnitOfWork) -> None: ...

    assert "must be 'async def'" in _fault(plugin)


def test_commands_that_are_ours() -> None:
    """A plugin can't take the place of the kernel's own commands."""
    plugin = Plugin("a", version="1", package="pss_a")
    plugin.typer("tenant", help="Not yours.")
    assert "that is one of pss's own" in _fault(plugin)


def _revisions(folder: Path, *names: str) -> Path:
    for before, name in zip([None, *names], names, strict=False):
        (folder / f"{name}_step.py").write_text(
            f"revision = {name!r}\ndown_revision = {before!r}\n\ndef upgrade():\n    pass\n"
        )
    return folder


def test_tables_that_are_ahead(tmp_path: Path) -> None:
    """Older code replays nothing on tables that a newer version has already changed."""
    older = _revisions(tmp_path, "0001", "0002")
    assert (["0001", "0002"], ["0002"]) == tuple(
        [one.revision for one in pending(older, current)] for current in (None, "0001")
    )
    assert (False, ()) == (knows(older, "0003"), pending(older, "0003"))


async def test_an_event_waits_for_a_plugin_that_is_not_loaded(kit: TestKit) -> None:
    """It is not taken for handled while a plugin of the tenant can't be asked."""
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.installation.database.owner() as owner:
        await owner.execute(
            "INSERT INTO pss.tenant_plugin (tenant, plugin, state) VALUES ($1, 'gone', 'enabled')",
            tenant.code,
        )
    await kit.installation.directory.refresh()
    envelope = Envelope(
        id=uuid.uuid4(),
        type="nobody.handles-this",
        version=1,
        tenant=tenant.code,
        stream="x",
        stream_version=1,
        occurred_at=datetime.now(UTC),
        correlation_id="c",
        actor="system",
        data={},
    )
    await deliver(kit.installation, envelope)
    await give_back(kit.installation, tenant.cell)
    async with kit.installation.database.owner() as owner:
        waiting = await owner.fetch(
            "SELECT plugin, event_id FROM pss.event_waiting WHERE tenant = $1", tenant.code
        )
        await owner.execute("UPDATE pss.tenant_plugin SET state = 'disabled' WHERE plugin = 'gone'")
    assert [("gone", envelope.id)] == [tuple(row) for row in waiting]


async def test_a_domain_of_another_code(kit: TestKit) -> None:
    """Nobody may answer where a tenant with that code would."""
    with pytest.raises(Conflict, match="kept for a tenant with that code"):
        await create_tenant(
            kit.installation,
            "taker",
            name="Taker",
            currency="EUR",
            time_zone="UTC",
            domains=["victim.localhost"],
        )


def test_a_huge_list_of_errors() -> None:
    """A body full of mistakes is not answered with all of them."""
    assert 100 == len(explain(["x"] * 50_000, list[int]))


@pytest.mark.parametrize("colour", ["red", "javascript:1", "#12345g", "#1234567"])
def test_a_colour_that_is_none(colour: str, tmp_path: Path) -> None:
    """Pages take the brand's colours as they are."""
    (error,) = brand_errors(tmp_path, {"primary_color": colour, "accent_color": "#aabbcc"})
    assert "/brand/primary_color" == error.pointer


async def test_a_body_that_dribbles(kit: TestKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client has only so long to send its body."""
    monkeypatch.setattr("pss_api.gateway._BODY_SECONDS", 0.02)
    never = asyncio.Event()

    async def receive() -> Any:
        await never.wait()

    async def send(_: Any) -> None: ...

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()

    scope: Any = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/x",
        "raw_path": b"/v1/x",
        "query_string": b"",
        "headers": [(b"host", b"test.invalid")],
    }
    with pytest.raises(TooSlow):
        await Gateway(app, kit.installation)(scope, receive, send)


def test_migrations_that_end_twice(tmp_path: Path) -> None:
    """Two revisions after the same one are refused: one of them would never run."""
    folder = _revisions(tmp_path, "0001", "0002")
    (folder / "0003_step.py").write_text(
        "revision = '0003'\ndown_revision = '0001'\n\ndef upgrade():\n    pass\n"
    )
    with pytest.raises(ValueError, match="end twice, with 0002 and 0003"):
        revisions_of(folder)


def test_a_handler_of_what_is_no_event() -> None:
    """It is told where it is declared, so that the plugin alone is left out."""
    plugin = Plugin("a", version="1", package="pss_a")
    with pytest.raises(TypeError, match="is no Event"):
        plugin.on(dict)  # type: ignore[arg-type]


async def test_the_kernel_is_no_plugin(kit: TestKit) -> None:
    """What every tenant has can't be disabled."""
    tenant = await kit.make_tenant()
    with pytest.raises(Invalid, match="The kernel is no plugin"):
        await disable_plugin(kit.installation, tenant.code, "kernel")
