"""``pss account``: the people of a tenant who can sign in."""

from __future__ import annotations

from typing import Annotated

import typer

from pss_kernel.cli import _account_work as work
from pss_kernel.cli._context import DataDir, Json, examples
from pss_kernel.identity.accounts import changes
from pss_kernel.installation import Installation
from pss_kernel.tenancy import Tenant

__all__ = ["app"]

app = typer.Typer(help="Accounts of a tenant's people.", no_args_is_help=True)

_Tenant = Annotated[str, typer.Option(help="The tenant's code.")]
_Who = Annotated[str, typer.Argument(help="The e-mail address, or the id (acc_…).")]
_Roles = Annotated[list[str], typer.Option("--role", help="A role; may be given several times.")]
_Attributes = Annotated[
    list[str],
    typer.Option(
        "--attribute",
        help="A fact for data rules, NAME=VALUE; several times for several values.",
    ),
]


def _of(tenant: str) -> work.WhichTenant:
    async def found(installation: Installation) -> Tenant:
        return installation.directory.by_code(tenant)

    return found


@app.command(
    epilog=examples(
        "pss account invite ada@example.com --tenant aurelis --name 'Ada Byron' --role agent",
        "pss account invite chief@example.com --tenant aurelis --name Chief \\",
        "    --role super_admin --print-link",
    )
)
def invite(
    email: Annotated[str, typer.Argument(help="Where the invitation goes.")],
    tenant: _Tenant,
    name: Annotated[str, typer.Option(help="What the person is called.")],
    role: _Roles = [],  # noqa: B006 - typer's way
    attribute: _Attributes = [],  # noqa: B006 - typer's way
    print_link: work.PrintLink = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Make an account and send the invitation; again, for one that has not accepted it yet."""
    invited = work.Invited(email, name, role, attribute, print_link=print_link)
    work.run_invite(_of(tenant), invited, data_dir=data_dir, json=json)


@app.command("list", epilog=examples("pss account list --tenant aurelis --json"))
def list_accounts(
    tenant: _Tenant, state: work.State = None, data_dir: DataDir = None, json: Json = False
) -> None:
    """The tenant's accounts."""
    work.run_list(_of(tenant), state, data_dir=data_dir, json=json)


@app.command(epilog=examples("pss account show ada@example.com --tenant aurelis"))
def show(who: _Who, tenant: _Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """One account, and whether it is locked."""
    work.run_show(_of(tenant), who, data_dir=data_dir, json=json)


@app.command(
    epilog=examples("pss account disable ada@example.com --tenant aurelis --reason 'left'")
)
def disable(
    who: _Who,
    tenant: _Tenant,
    reason: work.Reason = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Let an account be of no use; all its sessions end within a second."""
    work.run_disable(_of(tenant), who, reason, data_dir=data_dir, json=json)


@app.command(epilog=examples("pss account enable ada@example.com --tenant aurelis"))
def enable(who: _Who, tenant: _Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """Let a disabled account be used again."""
    work.run_change(_of(tenant), who, changes.enable, data_dir=data_dir, json=json)


@app.command(epilog=examples("pss account unlock ada@example.com --tenant aurelis"))
def unlock(who: _Who, tenant: _Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """Let somebody try again who had too many wrong passwords."""
    work.run_change(_of(tenant), who, changes.unlock, data_dir=data_dir, json=json)


@app.command(
    epilog=examples(
        "pss account roles ada@example.com --tenant aurelis --role agent --role sales",
        "pss account roles ada@example.com --tenant aurelis --none",
    )
)
def roles(
    who: _Who,
    tenant: _Tenant,
    role: _Roles = [],  # noqa: B006 - typer's way
    none: Annotated[bool, typer.Option("--none", help="Take all roles away.")] = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Give somebody these roles and no others."""
    work.run_roles(_of(tenant), who, role, none=none, data_dir=data_dir, json=json)


@app.command(epilog=examples("pss account reset ada@example.com --tenant aurelis"))
def reset(
    who: _Who,
    tenant: _Tenant,
    print_link: work.PrintLink = False,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Send somebody a link for a new password."""
    work.run_reset(_of(tenant), who, print_link=print_link, data_dir=data_dir, json=json)


@app.command(
    "reset-factors",
    epilog=examples("pss account reset-factors ada@example.com --tenant aurelis --reason 'lost'"),
)
def reset_factors(
    who: _Who,
    tenant: _Tenant,
    reason: work.Reason = "",
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Take all second factors and recovery codes of somebody away, and end the sessions."""
    work.run_reset_factors(_of(tenant), who, reason, data_dir=data_dir, json=json)
