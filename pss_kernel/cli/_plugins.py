"""``pss plugin``: what is installed, and what a tenant has enabled."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from pss_kernel.cli import _uninstall
from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    installed_plugins,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.errors import Invalid
from pss_kernel.installation import Installation
from pss_kernel.tenancy._enablement import disable_plugin, enable_plugins, needing
from pss_kernel.tenancy._plugin_states import PluginStatus, plugin_states, release_plugin

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

    newly = with_installation(work, data_dir)
    _tell(newly, "enabled", json=json)
    if newly and not json:
        sys.stderr.write("Processes started before it was installed must be started again.\n")


@app.command(
    epilog=examples(
        "pss plugin disable meals --tenant aurelis",
        "pss plugin disable ticketing --tenant aurelis --cascade",
        "pss plugin disable ticketing --tenant aurelis --cascade --yes",
    )
)
def disable(
    name: _Name,
    tenant: _Tenant,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Also disable the plugins that need it; asks first.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --cascade: don't ask.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Disable a plugin while the system runs; its data stays."""

    async def work(installation: Installation) -> list[str]:
        with_it = needing(installation, installation.directory.by_code(tenant), name)
        if cascade and with_it and not yes:
            _ask(f"{', '.join(with_it)} of {tenant} need {name} and will be disabled with it.")
        return await disable_plugin(installation, tenant, name, cascade=cascade)

    _tell(with_installation(work, data_dir), "disabled", json=json)


def _ask(what: str) -> None:
    """Ask before what is not undone by one command. Raises Invalid where nobody can be asked."""
    if not sys.stdin.isatty():
        raise Invalid(
            what, code="confirmation-needed", mend="Give --yes to do it without a question."
        )
    sys.stderr.write(f"{what}\n")
    typer.confirm("Disable them?", abort=True, err=True)


@app.command(
    epilog=examples("pss plugin release meals --tenant aurelis"),
)
def release(name: _Name, tenant: _Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """End a plugin's quarantine for a tenant: it serves again, counted anew."""

    async def work(installation: Installation) -> list[str]:
        await release_plugin(installation, tenant, name)
        return [name]

    _tell(with_installation(work, data_dir), "released", json=json)


@app.command(
    epilog=examples(
        "pss plugin status", "pss plugin status --tenant aurelis --all", "pss plugin status --json"
    )
)
def status(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's plugins.")] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also those that are enabled and up to date.")
    ] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Plugins of tenants that are not plainly enabled: since when, and why."""

    async def work(installation: Installation) -> list[PluginStatus]:
        if tenant is not None:
            installation.directory.by_code(tenant)
        return await plugin_states(installation, tenant, every=every)

    rows = with_installation(work, data_dir)
    if json:
        print_json({"data": rows})
        return
    print_table(
        ["tenant", "plugin", "state", "since", "version", "revision", "waiting", "reason"],
        [
            [
                *(one.tenant, one.plugin, one.state, f"{one.since:%Y-%m-%d %H:%M:%S %Z}"),
                *(one.version or "", one.revision or "", str(one.events_waiting or "")),
                one.reason or "",
            ]
            for one in rows
        ],
    )
    if not rows:
        sys.stderr.write("Nothing needs a look. Give --all to see every plugin.\n")


_uninstall.register(app)


def _tell(names: list[str], done: str, *, json: bool) -> None:
    if json:
        print_json({done: names})
    else:
        what = ", ".join(names) if names else "Nothing to do: it was so already"
        sys.stdout.write(f"{what}{f' {done}' if names else ''}.\n")
