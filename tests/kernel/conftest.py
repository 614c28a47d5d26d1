"""An installation with two plugins made for these tests, so that they need no airline."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.engine import make_url

from pss_kernel.cli._context import installed_plugins
from pss_kernel.cli._main import main
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.observability import configure_logging
from pss_kernel.persistence._database import connect_arguments
from pss_kernel.registry import Registry, _load
from pss_kernel.testing import LOOPBACK, TestKit

# The plugins of these tests are packages that nobody installs.
INSTALLED = Path(__file__).parent / "installed"
sys.path[:0] = [str(INSTALLED), str(Path(__file__).parents[1] / "support")]

from pss_rogue.scene import beside, put_away  # noqa: E402 - a package of that folder


@pytest.fixture(autouse=True)
def _logging() -> None:
    """As in production (structlog's own default draws every traceback for seconds).

    Again for each test: one that runs the command line leaves its own behind.
    """
    configure_logging(Config(data_dir=Path(), log_level="warning"))


@pytest.fixture(scope="session")
def registry() -> Registry:
    """The two plugins, loaded as the entry points of installed ones are."""
    names = ("notes", "echo")
    return Registry(_load(EntryPoint(one, f"pss_{one}:plugin", "pss.plugins")) for one in names)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that the unprivileged database server can reach."""
    with tempfile.TemporaryDirectory(prefix="pss-kernel-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        yield Path(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installation(folder: Path, registry: Registry) -> AsyncIterator[Installation]:
    """Takes the place of the test kit's own: the same, with our two plugins only."""
    config = Config(data_dir=folder, pool_size=24, outgoing_allow=LOOPBACK)
    async with open_installation(config, registry) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def on_server(
    server_database: dict[str, Any], registry: Registry, folder: Path
) -> AsyncIterator[Installation]:
    """The same on a PostgreSQL server, logged in as the application."""
    config = Config(data_dir=folder, pool_size=8, **server_database)
    async with open_installation(config, registry) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def through_pooler(
    on_server: Installation,
    server_database: dict[str, Any],
    pooler: str,
    registry: Registry,
    folder: Path,
    eventually: Any,
) -> AsyncIterator[Installation]:
    """The same server's database, with PgBouncer in transaction mode before it."""
    assert on_server  # its start has given the role its limits, before PgBouncer logs in
    await eventually(lambda: _answers(pooler))
    given = server_database | {"app_database_url": pooler, "pooler": "transaction"}
    config = Config(data_dir=folder, pool_size=24, **given)
    async with open_installation(config, registry) as opened:
        yield opened


async def _answers(url: str) -> bool:
    try:
        await (await asyncpg.connect(**connect_arguments(make_url(url)), timeout=5)).close()
    except (OSError, asyncpg.PostgresError):
        return False
    return True


@pytest.fixture(params=["embedded", "server"])
def either(request: pytest.FixtureRequest) -> TestKit:
    """The test kit, on the embedded database and then on the server."""
    name = "installation" if request.param == "embedded" else "on_server"
    return TestKit(request.getfixturevalue(name))


@pytest.fixture(scope="session")
def with_rogue() -> Registry:
    """The plugins of these tests, and one that does wrong."""
    names = ("notes", "echo", "rogue")
    return Registry(_load(EntryPoint(one, f"pss_{one}:plugin", "pss.plugins")) for one in names)


@pytest_asyncio.fixture(loop_scope="session")
async def rogue_kit(installation: Installation, with_rogue: Registry) -> AsyncIterator[TestKit]:
    """An installation with a plugin that does wrong, quick to quarantine it."""
    async with beside(installation, with_rogue) as made:
        yield made
    await put_away(installation)


@pytest.fixture(params=["installation", "on_server"])
def opened(request: pytest.FixtureRequest) -> Installation:
    """On the embedded database, and then on the server."""
    found: Installation = request.getfixturevalue(request.param)
    return found


@pytest_asyncio.fixture(loop_scope="session")
async def each_rogue_kit(opened: Installation, with_rogue: Registry) -> AsyncIterator[TestKit]:
    """The same as ``rogue_kit``, on both."""
    async with beside(opened, with_rogue) as made:
        yield made
    await put_away(opened)


@pytest.fixture
def scripts() -> Iterator[dict[str, Any]]:
    """What the plugins are made to do; forgotten after the test."""
    from pss_notes.scripted import scripts  # noqa: PLC0415 - importable once this file has run

    yield scripts
    scripts.clear()


@pytest.fixture(scope="session")
def every_plugin() -> Registry:
    """What is installed beside the kernel."""
    return Registry.discover()


@pytest.fixture
def commanding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Any]]:
    """Commands in this process: ``commanding(registry, data_dir)`` gives a function that runs one.

    It answers exit code, output and remarks; ``typed`` is what somebody types.
    """

    def on(registry: Registry, data_dir: Path) -> Callable[..., tuple[int, str, str]]:
        monkeypatch.setattr(Registry, "discover", lambda **_: registry)
        monkeypatch.setenv("PSS_DATA_DIR", str(data_dir))
        installed_plugins.cache_clear()
        return run

    def run(*arguments: str, typed: str | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pss", *arguments])
        if typed is not None:
            monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    yield on
    installed_plugins.cache_clear()


@pytest.fixture
def pss(
    commanding: Callable[..., Any], registry: Registry, installation: Installation
) -> Callable[..., tuple[int, str, str]]:
    """Run a command on the installation of these tests."""
    given: Callable[..., tuple[int, str, str]] = commanding(registry, installation.config.data_dir)
    return given
