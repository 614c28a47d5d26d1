"""``pss plugin``: what is installed, and what a tenant has enabled."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    installed_plugins,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.installation import Installation
from pss_kernel.tenancy._provision import disable_plugin, enable_plugins

__all__ = ["app"]

app = typer.Typer(help="Installed plugins; enabling them for a tenant.", no_args_is_help=True)
_Tenant = Annotated[str, typer.Option(help="The tenant's code.")]
_Name = Annotated[str, typer.Argument(help="The plugin's name.")]


@app.command("list", epilog=examples("pss plugin list", "pss plugin list --tenant aurelis --json"))
def list_plugins(
    tenant: Annotated[str | None, typer.Option(help="Show this tenant's states too.")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Installed plugins, in the order in which they need each other."""
    registry = installed_plugins()
    states: dict[str, str] = {}
    if tenant is not None:

        async def work(installation: Installation) -> dict[str, str]:
            plugins = installation.directory.by_code(tenant).plugins
            return {name: one.state for name, one in plugins.items()}

        states = with_installation(work, data_dir)
    rows: list[dict[str, Any]] = [
        {
            "name": plugin.name,
            "version": plugin.version,
            "state": states.get(plugin.name, "not enabled") if tenant else "installed",
            "requires": plugin.requires,
            "summary": plugin.summary,
        }
        for plugin in registry.plugins.values()
    ]
    rows += [
        {
            "name": one.name,
            "version": "",
            "state": "broken",
            "requires": [],
            "summary": f"{one.reason} {one.mend}",
        }
        for one in registry.broken
    ]
    if json:
        print_json({"data": rows})
    else:
        print_table(
            ["name", "version", "state", "summary"],
            [[row["name"], row["version"], row["state"], row["summary"]] for row in rows],
        )


@app.command(epilog=examples("pss plugin enable meals --tenant aurelis"))
def enable(name: _Name, tenant: _Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """Enable a plugin, with all that it requires, while the system runs."""

    async def work(installation: Installation) -> list[str]:
        installation.directory.by_code(tenant)
        return await enable_plugins(installation, tenant, {installation.registry[name].name: None})

    _tell(with_installation(work, data_dir), "enabled", json=json)
    if not json:
        sys.stderr.write("Processes started before it was installed must be started again.\n")


@app.command(
    epilog=examples(
        "pss plugin disable meals --tenant aurelis",
        "pss plugin disable ticketing --tenant aurelis --cascade",
    )
)
def disable(
    name: _Name,
    tenant: _Tenant,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Also disable the plugins that need it.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Disable a plugin while the system runs; its data stays."""

    async def work(installation: Installation) -> list[str]:
        return await disable_plugin(installation, tenant, name, cascade=cascade)

    _tell(with_installation(work, data_dir), "disabled", json=json)


def _tell(names: list[str], done: str, *, json: bool) -> None:
    if json:
        print_json({done: names})
    else:
        what = ", ".join(names) if names else "Nothing to do: it was so already"
        sys.stdout.write(f"{what}{f' {done}' if names else ''}.\n")
