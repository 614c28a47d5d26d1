"""Making, changing and deleting a tenant's own roles, whoever asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pss_kernel.auth._rights import LEVELS, given_of
from pss_kernel.errors import Conflict, FieldError, Invalid, NotFound
from pss_kernel.identity.roles.escalation import refuse_escalation
from pss_kernel.identity.roles.grants import RoleBody, grants_of, role_errors
from pss_kernel.identity.roles.store import (
    StoredRole,
    delete_role,
    keep_roles,
    stored_roles,
    write_role,
)

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = ["create", "remove", "replace", "set_role"]


async def create(uow: UnitOfWork, name: str, body: RoleBody) -> StoredRole:
    """Make a role. Raises Invalid, Forbidden (``escalation``), Conflict where there is one."""
    _refuse(uow, name, body)
    await keep_roles(uow, alone=True)
    if name in await stored_roles(uow) or not await write_role(uow, name, body, None):
        raise Conflict(f"There is a role {name!r} already.", code="role-exists")
    return (await stored_roles(uow))[name]


async def replace(uow: UnitOfWork, name: str, body: RoleBody) -> StoredRole:
    """Make a role say something else. Raises NotFound, Invalid, Forbidden (``escalation``)."""
    before = await _existing(uow, name)
    _refuse(uow, name, body)
    await write_role(uow, name, body, before)
    return (await stored_roles(uow))[name]


async def set_role(uow: UnitOfWork, name: str, body: RoleBody) -> StoredRole:
    """Make a role, or make it say something else."""
    _refuse(uow, name, body)
    await keep_roles(uow, alone=True)
    await write_role(uow, name, body, (await stored_roles(uow)).get(name))
    return (await stored_roles(uow))[name]


async def remove(uow: UnitOfWork, name: str) -> StoredRole:
    """Delete a role. Raises NotFound, Conflict (``role-in-use``) while somebody has it."""
    role = await _existing(uow, name)
    if role.accounts:
        people = "1 account has it" if role.accounts == 1 else f"{role.accounts} accounts have it"
        raise Conflict(
            f"The role {name!r} is in use: {people}.",
            code="role-in-use",
            mend="Take it from them first.",
        )
    await delete_role(uow, role)
    return role


async def _existing(uow: UnitOfWork, name: str) -> StoredRole:
    if name in LEVELS:
        raise Conflict(f"The role {name!r} is built in.", code="built-in-role")
    await keep_roles(uow, alone=True)
    found = (await stored_roles(uow)).get(name)
    if found is None:
        raise NotFound(f"There is no role {name[:60]!r}.")
    return found


def _refuse(uow: UnitOfWork, name: str, body: RoleBody) -> None:
    registry = uow.installation.registry
    errors: list[FieldError] = role_errors(registry, uow.tenant.code, name, body)
    if errors:
        raise Invalid("The role can't be kept as it was sent.", code="invalid-role", errors=errors)
    given = given_of(registry, uow.tenant, grants_of(body))
    refuse_escalation(uow.actor, registry, "The role", given)
