"""``pss auth``: who may do what, and why."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from pss_kernel.cli._context import DataDir, Json, examples, print_json, with_installation
from pss_kernel.config import IDENTITY
from pss_kernel.identity.roles.explain import Explanation
from pss_kernel.identity.roles.explain import explain as explained
from pss_kernel.identity.roles.subjects import find_subject
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.installation import Installation

__all__ = ["app"]

app = typer.Typer(help="Who may do what, and why.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the group a group, with one command."""


@app.command(
    epilog=examples(
        "pss auth explain anna@aurelis.example boarding:board --tenant aurelis",
        "pss auth explain guest payment:refund --tenant aurelis --json",
    )
)
def explain(
    user: Annotated[
        str, typer.Argument(help="An e-mail address, the id of an account or a key, or 'guest'.")
    ],
    permission: Annotated[str, typer.Argument(help="As docs/permissions.md lists them.")],
    tenant: Annotated[str, typer.Option(help="The tenant's code.")],
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Say whether somebody may use a permission, and everything that decides it."""

    async def work(installation: Installation) -> Explanation:
        found = installation.directory.by_code(tenant)
        async with installation.unit_of_work(found, plugin=IDENTITY) as uow:
            subject = await find_subject(uow, user)
        needing = installation.settings_of(found, IdentitySettings).second_factor_roles
        return explained(installation.registry, found, subject, permission, needing)

    found = with_installation(work, data_dir)
    if json:
        print_json(found)
    else:
        sys.stdout.write(_told(found))


def _told(found: Explanation) -> str:
    verdict = "allow" if found.allowed else "deny"
    lines = [f"{verdict}  {found.subject}  {found.permission}", ""]
    lines += [f"- {one}" for one in found.because]
    silent = [one.source for one in found.grants if not one.gives]
    if silent and any(one.gives for one in found.grants):
        lines.append(f"- Nothing about it says: {', '.join(silent)}.")
    if found.rules:
        lines += ["", "Within: " + "; or ".join(found.rules)]
        own = msgspec.json.encode(found.attributes).decode()
        lines.append(f"Attributes of the account: {own}")
    return "\n".join(lines) + "\n"
