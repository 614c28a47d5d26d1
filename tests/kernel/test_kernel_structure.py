"""What the code itself must keep to: no airline in the kernel, models as their migrations."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import typer
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import pss_kernel
from pss_kernel.cli._context import installed_plugins
from pss_kernel.cli._main import build
from pss_kernel.installation import Installation
from pss_kernel.persistence._database import connect_arguments
from pss_kernel.registry import Registry
from pss_kernel.testing import TestKit

_ROOT = Path(__file__).parents[2]
_AVIATION = {
    "aircraft", "airline", "airport", "aviation", "baggage", "bag", "bcbp", "boarding", "booking",
    "cabin", "carrier", "checkin", "coupon", "crew", "departure", "emd", "fare", "flight", "gate",
    "gds", "iata", "icao", "itinerary", "leg", "locator", "luggage", "meal", "passenger", "pax",
    "pilot", "pnr", "runway", "seat", "ssim", "ssr", "ticket", "traveller",
}  # fmt: skip


def _identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield value, getattr(node, "lineno", 0)


def _words(identifier: str) -> set[str]:
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)
    return {form for part in parts for form in (part.lower(), part.lower().removesuffix("s"))}


def test_words() -> None:
    """The splitter finds words in every style of name."""
    assert {"order", "passenger"} <= _words("orderPassengers") | _words("order_passengers")
    assert {"pnr", "number"} <= _words("PNRNumber")


@pytest.mark.parametrize("folder", ["pss_kernel", "api/pss_api", "migrations"])
def test_no_airline_in_the_kernel(folder: str) -> None:
    """No identifier of the kernel or the application names a thing of aviation."""
    found = [
        f"{path.relative_to(_ROOT)}:{line}: {name}"
        for path in sorted((_ROOT / folder).rglob("*.py"))
        for name, line in _identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if _words(name) & _AVIATION
    ]
    assert [] == found


def _metadata_of(package: str) -> MetaData | None:
    try:
        models = importlib.import_module(f"{package}.models")
    except ModuleNotFoundError as error:
        if error.name != f"{package}.models":
            raise
        return None
    found: MetaData = models.metadata
    return found


def _differences(connection: Connection, metadata: MetaData) -> list[Any]:
    def ours(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "table" or name in metadata.tables

    context = MigrationContext.configure(
        connection,
        opts={"compare_type": True, "compare_server_default": False, "include_name": ours},
    )
    return compare_metadata(context, metadata)


async def _compare(installation: Installation, registry: Registry) -> dict[str, list[Any]]:
    """What differs for each plugin of the registry, in a tenant that has all of them."""
    beside = Installation(installation.config, registry, installation.cells)
    tenant = await TestKit(beside).make_tenant(plugins=list(registry.plugins))

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(
            **connect_arguments(installation.database.owner_url),
            server_settings={"search_path": tenant.schema},
        )

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    found = {}
    async with engine.connect() as connection:
        for plugin in registry.plugins.values():
            metadata = _metadata_of(plugin.package)
            if metadata is not None:
                found[plugin.name] = await connection.run_sync(_differences, metadata)
            else:
                assert not registry.migrations_of(plugin.name).is_dir(), plugin.name
        tables = await connection.run_sync(
            lambda sync: set(sync.dialect.get_table_names(sync, schema=tenant.schema))
        )
    await engine.dispose()
    modelled = {
        table
        for plugin in registry.plugins.values()
        if (metadata := _metadata_of(plugin.package)) is not None
        for table in metadata.tables
    }
    assert {"event", "inbox", "idempotency", "person_key"} == tables - modelled
    return found


async def test_models_of_the_test_plugins(installation: Installation, registry: Registry) -> None:
    """The comparison itself works: the plugins of these tests agree."""
    assert {"identity": [], "notes": []} == await _compare(installation, registry)


async def test_models_agree_with_migrations(
    installation: Installation, every_plugin: Registry
) -> None:
    """Each installed plugin's models say what its migrations make: columns, types, indexes."""
    found = await _compare(installation, every_plugin)
    assert {name: [] for name in found} == found


def test_nothing_installed_is_broken(every_plugin: Registry) -> None:
    """Every plugin of this repository can be used together with the others."""
    assert [] == every_plugin.broken


_DOCUMENTS = sorted((_ROOT / "docs").rglob("*.md"))


def _commands(command: Any, path: str = "pss") -> Iterator[str]:
    for name, one in getattr(command, "commands", {}).items():
        yield from (
            _commands(one, f"{path} {name}") if hasattr(one, "commands") else [f"{path} {name}"]
        )


@pytest.mark.skipif(not _DOCUMENTS, reason="docs/ has no pages yet")
@pytest.mark.parametrize(
    "kind", ["facade", "permissions", "settings", "events", "hooks", "commands"]
)
def test_everything_public_is_documented(every_plugin: Registry, kind: str) -> None:
    """Each public name stands in ``docs/`` or in a plugin's README.md."""
    pages = [*_DOCUMENTS, *sorted((_ROOT / "plugins").glob("*/README.md"))]
    told = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    plugins = every_plugin.plugins.values()
    installed_plugins.cache_clear()
    names = {
        "facade": lambda: pss_kernel.__all__,
        "permissions": lambda: every_plugin.permissions,
        "settings": lambda: [
            name for plugin in plugins for name in plugin.settings.__struct_fields__
        ],
        "events": lambda: [event.event_type for plugin in plugins for event in plugin.emits],
        "hooks": lambda: _declared_hooks(every_plugin),
        "commands": lambda: _commands(typer.main.get_command(build())),
    }[kind]()
    missing = sorted(
        {name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", told)}
    )
    assert [] == missing


def _declared_hooks(registry: Registry) -> Iterator[str]:
    for plugin in registry.plugins.values():
        try:
            contracts = importlib.import_module(f"{plugin.package}.contracts")
        except ModuleNotFoundError as error:
            if error.name != f"{plugin.package}.contracts":
                raise
            continue
        for value in vars(contracts).values():
            if isinstance(value, pss_kernel.hooks.HookSpec) and value.owner == plugin.package:
                yield value.name


def test_every_plugin_is_in_the_contracts() -> None:
    """Import-linter looks at each plugin of the checkout, with a contract about its contents."""
    root = Path(__file__).parents[2]
    rules = tomllib.loads((root / ".importlinter.toml").read_text())["tool"]["importlinter"]
    here = {f"pss_{path.parent.name}" for path in root.glob("plugins/*/pyproject.toml")}
    guarded = {one for rule in rules["contracts"][4:] for one in rule["forbidden_modules"]}
    assert here <= set(rules["root_packages"])
    assert here == guarded
