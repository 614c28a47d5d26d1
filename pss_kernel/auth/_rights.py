"""What roles amount to: the permissions of a person or a key, and what narrows them.

Built-in roles come from the ``level`` of each permission; a tenant's own from ``pss.role``. What
is not given is denied: names that are not known (any more), grants that can't be read and rules
that nothing checks give nothing. Everything is computed from what the process holds in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

import msgspec

from pss_kernel.auth._rules import Limits, RuleValues, limits_of
from pss_kernel.config import PLATFORM
from pss_kernel.errors import Invalid

if TYPE_CHECKING:
    from pss_kernel.plugin import Permission
    from pss_kernel.registry import Registry
    from pss_kernel.tenancy import Tenant

__all__ = [
    "LEVELS",
    "Given",
    "Grants",
    "Level",
    "Rights",
    "effective",
    "given_by",
    "given_of",
    "may_use",
    "rights_of",
    "scopes_of",
]

Level = Literal["user", "agent", "manager", "admin", "super_admin"]
"""The built-in roles of every tenant, each with all that those before it have."""
LEVELS: tuple[Level, ...] = get_args(Level)

_PLATFORM = "identity:platform-"


class Grants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant's own role gives, as it is stored."""

    extends: Level | None = None
    """A built-in role whose permissions it has too, less the special ones."""
    permissions: list[str] = []
    """Names, ``<plugin>:*`` or ``*``; special ones and those of the platform by name only."""
    rules: dict[str, RuleValues] = {}
    """Permission to what narrows it."""


@dataclass(frozen=True, slots=True)
class Given:
    """That a role gives a permission: by what, and narrowed to what."""

    by: str
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class Rights:
    """What a caller may do: permissions by name, without wildcards, and what narrows them."""

    scopes: frozenset[str] = frozenset()
    rules: Mapping[str, tuple[Limits, ...]] = field(default_factory=dict)
    """Of a permission that is narrowed by every role that gives it: one of these must hold."""


def rights_of(registry: Registry, tenant: Tenant, roles: Iterable[str]) -> Rights:
    """What a person with those roles may do in the tenant.

    A person may what any of the roles gives. Kept with the snapshot of the tenant: this is asked
    for every request.
    """
    key = (registry, frozenset(roles))
    rights: Rights | None = tenant.rights.get(key)
    if rights is None:
        rights = tenant.rights[key] = _joined(
            [given_by(registry, tenant, role) for role in sorted(key[1])]
        )
    return rights


def scopes_of(registry: Registry, tenant: Tenant, scopes: frozenset[str]) -> frozenset[str]:
    """The permissions that an API key with those scopes has in the tenant."""
    key = (registry, "key", scopes)
    found: frozenset[str] | None = tenant.rights.get(key)
    if found is None:
        found = tenant.rights[key] = frozenset(
            name
            for name, one in registry.permissions.items()
            if effective(name, tenant) and _scope_for(one, scopes) and _named(one, scopes)
        )
    return found


def given_by(registry: Registry, tenant: Tenant, role: str) -> Mapping[str, Given]:
    """The permissions that one role gives in the tenant, and what each of them comes from."""
    if role in LEVELS:
        every = registry.permissions.values()
        return {
            one.name: Given(f"level {one.level}")
            for one in every
            if effective(one.name, tenant) and _within(one, role)
        }
    if role not in tenant.roles:
        return {}
    try:
        grants = msgspec.convert(tenant.roles[role], Grants)
    except msgspec.ValidationError:
        return {}
    return given_of(registry, tenant, grants)


def given_of(registry: Registry, tenant: Tenant, grants: Grants) -> Mapping[str, Given]:
    """The permissions that a role of the tenant's own with those grants gives."""
    every = [one for one in registry.permissions.values() if effective(one.name, tenant)]
    found = {}
    for one in every:
        by = _scope_for(one, frozenset(grants.permissions))
        if not by and grants.extends and not one.special and _within(one, grants.extends):
            by = f"extends {grants.extends}"
        if not by:
            continue
        try:
            limits = (
                limits_of(grants.rules[one.name], one.rules) if one.name in grants.rules else None
            )
        except Invalid:  # set when the plugin still checked it: better nothing than everything
            continue
        found[one.name] = Given(by, limits)
    return found


def effective(permission: str, tenant: Tenant) -> bool:
    """Whether a permission can be had there at all: the platform's only among its operators."""
    return tenant.code == PLATFORM or not permission.startswith(_PLATFORM)


def may_use(tenant: Tenant, permission: Permission, scopes: frozenset[str]) -> bool:
    """Whether somebody with those rights may use a permission there, as its plugin stands now."""
    plugin = permission.name.partition(":")[0]
    return (
        plugin in tenant.enabled
        and effective(permission.name, tenant)
        and (permission.guest or permission.name in scopes)
    )


def _within(permission: Permission, role: str) -> bool:
    """Whether the built-in role reaches the permission's level."""
    level = permission.level
    return level is not None and LEVELS.index(level) <= LEVELS.index(role)


def _scope_for(permission: Permission, scopes: frozenset[str]) -> str:
    """The scope that gives the permission, or an empty string.

    By a wildcard nobody gets what opens special categories of data or the whole platform.
    """
    name = permission.name
    if name in scopes:
        return name
    if permission.special or name.startswith(_PLATFORM):
        return ""
    plugin = name.partition(":")[0]
    return next((one for one in (f"{plugin}:*", "*") if one in scopes), "")


def _named(permission: Permission, scopes: frozenset[str]) -> bool:
    """Whether a key has what asks people for a fresh second factor: by name, or with all else."""
    return not permission.step_up or not scopes.isdisjoint((permission.name, "*"))


def _joined(given: Iterable[Mapping[str, Given]]) -> Rights:
    every: dict[str, set[Limits | None]] = {}
    for one in given:
        for name, grant in one.items():
            every.setdefault(name, set()).add(grant.limits)
    return Rights(
        frozenset(every),
        {
            name: tuple(sorted((one for one in limits if one is not None), key=str))
            for name, limits in every.items()
            if None not in limits
        },
    )
