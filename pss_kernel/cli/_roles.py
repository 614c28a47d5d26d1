"""``pss role``: the roles of a tenant."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from pss_kernel.cli._context import (
    DataDir,
    Json,
    examples,
    print_json,
    print_table,
    with_installation,
)
from pss_kernel.config import IDENTITY
from pss_kernel.errors import Invalid, NotFound
from pss_kernel.identity.roles import changes
from pss_kernel.identity.roles.grants import RoleBody
from pss_kernel.identity.roles.routes import Role, roles_of
from pss_kernel.installation import Installation
from pss_kernel.persistence import UnitOfWork
from pss_kernel.validation import explain

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(help="Roles of a tenant: the built-in ones and its own.", no_args_is_help=True)

Tenant = Annotated[str, typer.Option(help="The tenant's code.")]
Name = Annotated[str, typer.Argument(help="The role's name.")]


@app.command("list", epilog=examples("pss role list --tenant aurelis"))
def list_roles(tenant: Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """The built-in roles and the tenant's own, and how many people have each."""
    roles = _within(tenant, roles_of, data_dir)
    if json:
        print_json({"data": roles})
        return
    print_table(
        ["name", "extends", "permissions", "accounts", "summary"],
        [
            [one.name, one.extends or "", str(len(one.gives)), str(one.accounts), one.summary]
            for one in roles
        ],
    )


@app.command(epilog=examples("pss role show gate_agent --tenant aurelis"))
def show(name: Name, tenant: Tenant, data_dir: DataDir = None, json: Json = False) -> None:
    """What a role gives, and what it narrows."""
    roles = {one.name: one for one in _within(tenant, roles_of, data_dir)}
    if name not in roles:
        raise NotFound(f"There is no role {name!r}.", mend="See 'pss role list'.")
    role = roles[name]
    if json:
        print_json(role)
        return
    sys.stdout.write(f"{role.name}: {role.summary or 'no summary'}\n")
    print_table(["gives", "narrowed to"], [[one, _narrowed(role, one)] for one in role.gives])


@app.command(
    "set",
    epilog=examples(
        """pss role set gate_agent '{"extends": "user", "permissions": ["boarding:*"]}' """
        "--tenant aurelis",
        "pss role set gate_agent - --tenant aurelis < gate_agent.json",
    ),
)
def set_role(
    name: Name,
    grants: Annotated[
        str,
        typer.Argument(
            help="JSON with 'summary', 'extends', 'permissions', 'rules'; '-' reads it from "
            "standard input."
        ),
    ],
    tenant: Tenant,
    data_dir: DataDir = None,
) -> None:
    """Make a role of the tenant's own, or make it say something else."""
    body = _body(sys.stdin.read() if grants == "-" else grants)
    _within(tenant, lambda uow: changes.set_role(uow, name, body), data_dir)
    sys.stdout.write(f"The role {name} is set.\n")


@app.command(epilog=examples("pss role delete gate_agent --tenant aurelis"))
def delete(name: Name, tenant: Tenant, data_dir: DataDir = None) -> None:
    """Delete a role that nobody has (any more)."""
    _within(tenant, lambda uow: changes.remove(uow, name), data_dir)
    sys.stdout.write(f"The role {name} is deleted.\n")


def _within(tenant: str, work: Callable[[UnitOfWork], Awaitable[T]], data_dir: Path | None) -> T:
    async def run(installation: Installation) -> T:
        found = installation.directory.by_code(tenant)
        async with installation.unit_of_work(found, plugin=IDENTITY) as uow:
            return await work(uow)

    try:
        return with_installation(run, data_dir)
    except Invalid as problem:
        if not problem.errors:
            raise
        details = " ".join(f"{one.pointer.lstrip('/')}: {one.detail}" for one in problem.errors)
        raise Invalid(f"{problem.detail} {details}", code=problem.code) from problem


def _narrowed(role: Role, permission: str) -> str:
    rules = role.rules.get(permission)
    return "" if rules is None else msgspec.json.encode(rules).decode()


def _body(text: str) -> RoleBody:
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Invalid(f"This is not JSON: {error}.", code="invalid-role") from error
    errors = list(explain(value, RoleBody))
    if errors:
        said = " ".join(f"{one.pointer.lstrip('/') or 'it'}: {one.detail}" for one in errors)
        raise Invalid(f"The role can't be read. {said}", code="invalid-role", errors=errors)
    return msgspec.convert(value, RoleBody)
