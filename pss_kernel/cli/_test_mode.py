"""``pss tenant test-mode``: test data of a tenant, apart from what is real."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    progress_bars,
    with_installation,
)
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._file import load_tenant
from pss_kernel.tenancy._plan import apply_tenant
from pss_kernel.tenancy._tenant import KERNEL
from pss_kernel.tenancy._test_mode import enable_test_mode, twin_of_definition

__all__ = ["register"]

_app = typer.Typer(
    help="Test data of a tenant: a tenant of its own that only test keys reach.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``pss tenant``."""
    app.add_typer(_app, name="test-mode")


@_app.callback()
def _group() -> None:
    """Test data of a tenant: a tenant of its own that only test keys reach."""


@_app.command(
    epilog=examples(
        "pss tenant test-mode enable aurelis", "pss tenant test-mode enable tenants/aurelis"
    )
)
def enable(
    of: Annotated[
        str,
        typer.Argument(
            help="A tenant's code: its plugins and settings without any data; or its folder: "
            "with all its files.",
            metavar="CODE|FOLDER",
        ),
    ],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make the tenant CODE_test for test data; running it again changes nothing."""
    folder = Path(of) if (Path(of) / "tenant.toml").exists() else None

    async def work(installation: Installation) -> Tenant:
        if folder is None:
            return await enable_test_mode(installation, of)
        wanted = twin_of_definition(load_tenant(folder, installation.registry))
        with progress_bars() as report:
            await apply_tenant(installation, wanted, report)
        return installation.directory.by_code(wanted.code)

    twin = with_installation(work, data_dir)
    if json:
        plugins = sorted(twin.enabled - {KERNEL})
        print_json({"code": twin.code, "test_of": twin.test_of, "plugins": plugins})
    else:
        sys.stdout.write(
            f"{twin.code} holds the test data of {twin.test_of}. Make a key for it: "
            f"pss apikey create --tenant {twin.test_of} --mode test --scopes '*'\n"
        )
