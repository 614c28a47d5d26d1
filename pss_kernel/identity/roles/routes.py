"""Roles and permissions over HTTP."""

from datetime import datetime
from typing import Any

import msgspec

from pss_kernel.answers import Page
from pss_kernel.auth._rights import LEVELS, Grants, given_by, given_of
from pss_kernel.auth._rules import RuleValues, UpTo
from pss_kernel.identity import plugin
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.roles import changes
from pss_kernel.identity.roles.explain import Explanation, explain
from pss_kernel.identity.roles.grants import RoleBody, RoleName
from pss_kernel.identity.roles.store import StoredRole, accounts_of_roles, stored_roles
from pss_kernel.identity.roles.subjects import subject_of_account
from pss_kernel.identity.settings import IdentitySettings
from pss_kernel.ids import check_id
from pss_kernel.persistence import UnitOfWork
from pss_kernel.plugin import Permission

__all__ = ["KnownPermission", "NewRole", "Role", "roles_of"]


class NewRole(RoleBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role of the tenant's own."""

    name: RoleName


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """A role and what it gives; the built-in ones can't be changed."""

    name: str
    summary: str
    built_in: bool
    extends: str | None = None
    permissions: list[str] = []
    """As it was written, with wildcards."""
    rules: dict[str, RuleValues] = {}
    gives: list[str]
    """The permissions that come of it in this tenant, by name."""
    accounts: int
    changed_at: datetime | None = None


class KnownRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule that a role may narrow a permission by."""

    kind: str
    """``up_to`` or ``own``."""
    attribute: str | None
    """Of an ``own``: the name in the attributes of accounts."""
    what: str


class KnownPermission(msgspec.Struct, frozen=True, kw_only=True):
    """A permission of an installed plugin."""

    name: str
    plugin: str
    summary: str
    level: str | None
    """The lowest built-in role that has it."""
    guest: bool
    special: bool
    step_up: bool
    enabled: bool
    """Whether the tenant has enabled its plugin."""
    rules: list[KnownRule]


@plugin.get("/roles", permission="identity:roles-read", summary="List the roles")
async def list_roles(uow: UnitOfWork) -> Page[Role]:
    """List the built-in roles, the lowest first, then the tenant's own by name."""
    return Page(data=await roles_of(uow))


@plugin.post("/roles", permission="identity:roles-manage", summary="Make a role")
async def create_role(uow: UnitOfWork, data: NewRole) -> Role:
    """Make a role of the tenant's own. It can't give more than its maker has (`escalation`)."""
    facts = {name: getattr(data, name) for name in RoleBody.__struct_fields__}
    return _own(uow, await changes.create(uow, data.name, RoleBody(**facts)))


@plugin.put("/roles/{name:str}", permission="identity:roles-manage", summary="Change a role")
async def replace_role(uow: UnitOfWork, name: str, data: RoleBody) -> Role:
    """Change what a role gives; whoever has it is given that within a second."""
    return _own(uow, await changes.replace(uow, name, data))


@plugin.delete("/roles/{name:str}", permission="identity:roles-manage", summary="Delete a role")
async def delete_role(uow: UnitOfWork, name: str) -> Role:
    """Delete a role that nobody has (any more)."""
    return _own(uow, await changes.remove(uow, name))


@plugin.get("/permissions", permission="identity:roles-read", summary="List the permissions")
async def list_permissions(uow: UnitOfWork) -> Page[KnownPermission]:
    """List every permission of the installed plugins, with the rules that it can be narrowed by."""
    known = uow.installation.registry.permissions
    return Page(data=[_known(uow, known[name]) for name in sorted(known)])


@plugin.get(
    "/accounts/{account_id:str}/permissions/{permission:str}",
    permission="identity:roles-read",
    summary="Explain a permission",
)
async def explain_permission(uow: UnitOfWork, account_id: str, permission: str) -> Explanation:
    """Tell why the holder of an account may use a permission, or not."""
    account = await account_of(uow, check_id("acc", account_id))
    subject = subject_of_account(account, await uow.now())
    needing = uow.settings(IdentitySettings).second_factor_roles
    return explain(uow.installation.registry, uow.tenant, subject, permission, needing)


async def roles_of(uow: UnitOfWork) -> list[Role]:
    """The built-in roles and the tenant's own, with how many people have each."""
    registry = uow.installation.registry
    accounts = await accounts_of_roles(uow)
    built_in = [
        Role(
            name=level,
            summary="Built in",
            built_in=True,
            gives=sorted(given_by(registry, uow.tenant, level)),
            accounts=accounts.get(level, 0),
        )
        for level in LEVELS
    ]
    return [*built_in, *(_own(uow, one) for one in (await stored_roles(uow)).values())]


def _own(uow: UnitOfWork, role: StoredRole) -> Role:
    try:
        grants = msgspec.convert(role.grants, Grants)
    except msgspec.ValidationError:  # of another version: then it gives nothing
        grants = Grants()
    facts: dict[str, Any] = {name: getattr(grants, name) for name in Grants.__struct_fields__}
    return Role(
        name=role.name,
        summary=role.summary,
        built_in=False,
        gives=sorted(given_of(uow.installation.registry, uow.tenant, grants)),
        accounts=role.accounts,
        changed_at=role.changed_at,
        **facts,
    )


def _known(uow: UnitOfWork, one: Permission) -> KnownPermission:
    plugin_name = one.name.partition(":")[0]
    return KnownPermission(
        name=one.name,
        plugin=plugin_name,
        summary=one.summary,
        level=one.level,
        guest=one.guest,
        special=one.special,
        step_up=one.step_up,
        enabled=plugin_name in uow.tenant.enabled,
        rules=[
            KnownRule(
                kind="up_to" if isinstance(rule, UpTo) else "own",
                attribute=None if isinstance(rule, UpTo) else rule.attribute,
                what=rule.what,
            )
            for rule in one.rules
        ],
    )
