"""``pss operator``: those who run the installation, the people of a tenant kept for them."""

from __future__ import annotations

from typing import Annotated

import typer

from pss_kernel.cli import _account_work as work
from pss_kernel.cli._context import DataDir, Json, examples
from pss_kernel.config import PLATFORM
from pss_kernel.errors import NotFound, TenantUnknown
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._provision import create_tenant

__all__ = ["app"]

app = typer.Typer(help="Operators of this installation.", no_args_is_help=True)


@app.command(
    epilog=examples(
        "pss operator invite ops@example.com --name 'Grace Hopper' --print-link",
        "pss operator invite ops@example.com --name 'Grace Hopper' --role admin",
    )
)
def invite(
    email: Annotated[str, typer.Argument(help="Where the invitation goes.")],
    name: Annotated[str, typer.Option(help="What the person is called.")],
    role: Annotated[
        list[str], typer.Option("--role", help="A role; may be given several times.")
    ] = ["super_admin"],  # noqa: B006 - typer's way
    print_link: work.PrintLink = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make an operator's account and send the invitation; the first one makes their tenant."""
    invited = work.Invited(email, name, role, [], print_link=print_link)
    work.run_invite(_opened, invited, data_dir=data_dir, json=json)


@app.command("list", epilog=examples("pss operator list --json"))
def list_operators(state: work.State = None, data_dir: DataDir = None, json: Json = False) -> None:
    """The operators' accounts."""
    work.run_list(_platform, state, data_dir=data_dir, json=json)


@app.command(epilog=examples("pss operator disable ops@example.com --reason 'left'"))
def disable(
    who: Annotated[str, typer.Argument(help="The e-mail address, or the id (acc_…).")],
    reason: work.Reason = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Let an operator's account be of no use; all its sessions end within a second."""
    work.run_disable(_platform, who, reason, data_dir=data_dir, json=json)


async def _platform(installation: Installation) -> Tenant:
    try:
        return installation.directory.by_code(PLATFORM)
    except TenantUnknown as error:
        raise NotFound(
            "There are no operators yet.", mend="Invite the first with 'pss operator invite'."
        ) from error


async def _opened(installation: Installation) -> Tenant:
    """The operators' tenant, made where it is missing."""
    try:
        return installation.directory.by_code(PLATFORM)
    except TenantUnknown:
        return await create_tenant(
            installation, PLATFORM, name="Operators", currency="USD", time_zone="UTC", platform=True
        )
