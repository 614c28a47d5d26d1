"""A tenant's own roles in the database: each statement sees those of the tenant that is bound."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from pss_kernel.config import IDENTITY
from pss_kernel.identity.audit.writing import differences
from pss_kernel.identity.roles.grants import RoleBody, grants_of

if TYPE_CHECKING:
    from pss_kernel.persistence import UnitOfWork

__all__ = [
    "StoredRole",
    "accounts_of_roles",
    "delete_role",
    "differs",
    "keep_roles",
    "role_grants",
    "stored_roles",
    "write_role",
]

_ALL = """
SELECT r.name, r.summary, r.grants, r.changed_at,
       (SELECT count(*) FROM account a WHERE r.name = ANY (a.roles)) AS accounts
FROM pss.role r ORDER BY r.name
"""
_ACCOUNTS = """
SELECT role, count(*) AS accounts FROM account, unnest(roles) AS role GROUP BY role
"""
_INSERT = """
INSERT INTO pss.role (tenant, name, summary, grants) VALUES ($1, $2, $3, $4::jsonb)
ON CONFLICT (tenant, name) DO NOTHING RETURNING name
"""
_UPDATE = """
UPDATE pss.role SET summary = $3, grants = $4::jsonb, changed_at = now()
WHERE tenant = $1 AND name = $2 AND (summary, grants) IS DISTINCT FROM ($3, $4::jsonb)
"""
_DELETE = "DELETE FROM pss.role WHERE tenant = $1 AND name = $2"
# An assignment holds it shared: a role that is being assigned isn't deleted at the same time.
_SHARED = "SELECT pg_advisory_xact_lock_shared(hashtextextended('roles ' || current_schema(), 0))"
_ALONE = "SELECT pg_advisory_xact_lock(hashtextextended('roles ' || current_schema(), 0))"


class StoredRole(msgspec.Struct, frozen=True, kw_only=True):
    """A role of the tenant's own; ``grants`` as stored, whether or not they can still be read."""

    name: str
    summary: str
    grants: dict[str, Any]
    changed_at: datetime
    accounts: int
    """How many people have it."""


async def stored_roles(uow: UnitOfWork) -> dict[str, StoredRole]:
    """The tenant's own roles by name."""
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_ALL)
    return {row["name"]: StoredRole(**dict(row)) for row in rows}


async def accounts_of_roles(uow: UnitOfWork) -> dict[str, int]:
    """How many people have each role, the built-in ones too."""
    async with uow.acting(IDENTITY):
        rows = await uow.hot(_ACCOUNTS)
    return {row["role"]: row["accounts"] for row in rows}


async def role_grants(uow: UnitOfWork) -> dict[str, dict[str, Any]]:
    """The grants of the tenant's own roles, as they are now."""
    async with uow.acting(IDENTITY):
        rows = await uow.hot("SELECT name, grants FROM pss.role")
    return {row["name"]: row["grants"] for row in rows}


async def keep_roles(uow: UnitOfWork, *, alone: bool = False) -> None:
    """Let no role be deleted until this ends; ``alone``: nor be assigned or changed."""
    async with uow.acting(IDENTITY):
        await uow.hot(_ALONE if alone else _SHARED)


async def write_role(uow: UnitOfWork, name: str, body: RoleBody, before: StoredRole | None) -> bool:
    """Make the role, or change one that there was; audited. Whether that was so still."""
    grants = msgspec.to_builtins(grants_of(body))
    was = {} if before is None else {"summary": before.summary, **before.grants}
    old, new = differences(was, {"summary": body.summary, **grants})
    if before is not None and not differs(before, body):
        return True
    statement = _INSERT if before is None else _UPDATE
    text = msgspec.json.encode(grants).decode()
    async with uow.acting(IDENTITY):
        rows = await uow.hot(statement, uow.tenant.code, name, body.summary, text)
    if before is None and not rows:
        return False
    action = "role.created" if before is None else "role.changed"
    uow.audit(action, f"role:{name}", before=old or None, after=new)
    return True


def differs(role: StoredRole, body: RoleBody) -> bool:
    """Whether the role does not say that already."""
    grants = msgspec.to_builtins(grants_of(body))
    return (role.summary, role.grants) != (body.summary, grants)


async def delete_role(uow: UnitOfWork, role: StoredRole) -> None:
    """Delete a role that nobody has; audited."""
    async with uow.acting(IDENTITY):
        await uow.hot(_DELETE, uow.tenant.code, role.name)
    was = {"summary": role.summary, **role.grants}
    uow.audit("role.deleted", f"role:{role.name}", before=was)
