"""``pss tenant``: from a tenant's folder to what runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    progress_bars,
    with_installation,
)
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._file import load_tenant
from pss_kernel.tenancy._plan import Change, apply_tenant, plan_tenant
from pss_kernel.tenancy._provision import KERNEL

__all__ = ["app"]

app = typer.Typer(help="Tenants and the files that describe them.", no_args_is_help=True)
_Folder = Annotated[Path, typer.Argument(help="The tenant's folder, with its tenant.toml.")]


@app.command(epilog=examples("pss tenant plan tenants/aurelis"))
def plan(folder: _Folder, data_dir: DataDir = None, json: Json = False) -> None:
    """Print what 'apply' would change; changes nothing."""

    async def work(installation: Installation) -> list[Change]:
        return await plan_tenant(installation, load_tenant(folder, installation.registry))

    changes = with_installation(work, data_dir)
    if json:
        print_json({"changes": changes})
        return
    for change in changes:
        sys.stdout.write(f"{change}\n")
    if not changes:
        sys.stdout.write("Nothing to change.\n")


@app.command(epilog=examples("pss tenant apply tenants/aurelis"))
def apply(folder: _Folder, data_dir: DataDir = None, json: Json = False) -> None:
    """Make what runs equal to the folder; running it again changes nothing."""

    async def work(installation: Installation) -> list[Change]:
        wanted = load_tenant(folder, installation.registry)
        with progress_bars() as report:
            return await apply_tenant(installation, wanted, report)

    changes = with_installation(work, data_dir)
    if json:
        print_json({"changes": changes})
        return
    for change in changes:
        sys.stdout.write(f"{change}\n")
    if not changes:
        sys.stdout.write("Nothing to change.\n")


@app.command("list", epilog=examples("pss tenant list", "pss tenant list --json"))
def list_tenants(data_dir: DataDir = None, json: Json = False) -> None:
    """All tenants."""

    async def work(installation: Installation) -> list[dict[str, Any]]:
        return [_facts(tenant) for tenant in installation.directory]

    rows = with_installation(work, data_dir)
    if json:
        print_json({"data": rows})
    else:
        print_table(
            ["code", "name", "currency", "plugins"],
            [
                [row["code"], row["name"], row["currency"], ", ".join(row["enabled"])]
                for row in rows
            ],
        )


@app.command(epilog=examples("pss tenant show aurelis --json"))
def show(
    code: Annotated[str, typer.Argument(help="The tenant's code.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """One tenant, with the state of each plugin."""

    async def work(installation: Installation) -> dict[str, Any]:
        return _facts(installation.directory.by_code(code))

    facts = with_installation(work, data_dir)
    if json:
        print_json(facts)
        return
    states = facts.pop("plugins")
    for name, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        if isinstance(value, bool):
            shown = "yes" if value else "no"
        sys.stdout.write(f"{name:15}{shown}\n")
    for name, one in states.items():
        if one["reason"]:
            sys.stdout.write(f"{one['state']:15}{name}: {one['reason']}\n")


def _facts(tenant: Tenant) -> dict[str, Any]:
    return {
        "code": tenant.code,
        "name": tenant.name,
        "currency": tenant.currency,
        "time_zone": tenant.time_zone,
        "locales": list(tenant.locales),
        "domains": list(tenant.domains),
        "cell": tenant.cell,
        "placement": tenant.placement,
        "strict_plugins": tenant.strict_plugins,
        "schema": tenant.schema,
        "role": tenant.role,
        "enabled": sorted(tenant.enabled - {KERNEL}),
        "plugins": {
            name: {
                "state": one.state,
                "version": one.version,
                "revision": one.revision,
                "reason": one.reason,
            }
            for name, one in sorted(tenant.plugins.items())
        },
    }
