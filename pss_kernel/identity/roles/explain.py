"""Why somebody may do something, or not: in sentences, from what decides it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from pss_kernel.auth._rights import (
    LEVELS,
    Given,
    effective,
    given_by,
    may_use,
    rights_of,
    scopes_of,
)
from pss_kernel.errors import NotFound

if TYPE_CHECKING:
    from pss_kernel.identity.roles.subjects import Subject
    from pss_kernel.plugin import Permission
    from pss_kernel.registry import Registry
    from pss_kernel.tenancy import Tenant

__all__ = ["Explanation", "GrantFound", "explain", "permissions_of"]


class GrantFound(msgspec.Struct, frozen=True, kw_only=True):
    """What one role, or the scopes of a key, have to do with the permission."""

    source: str
    """``role gate_agent``, or ``key``."""
    gives: bool
    by: str = ""
    """What of it: ``level agent``, ``extends agent``, ``boarding:*``, the permission itself."""
    narrowed_to: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Whether somebody may use a permission, and all that decides it."""

    permission: str
    subject: str
    allowed: bool
    because: list[str]
    """Sentences, the deciding ones first."""
    grants: list[GrantFound]
    rules: list[str]
    """What narrows it, one of which must hold; empty: nothing does."""
    attributes: dict[str, Any]
    """The person's own, which those rules look at."""
    plugin_enabled: bool
    guest: bool
    """Whether it needs no account."""
    special: bool
    second_factor: Literal["none", "at sign-in", "fresh"]
    """What a person must have given beside the first: one a few minutes ago at the most?"""


def explain(
    registry: Registry,
    tenant: Tenant,
    subject: Subject,
    permission: str,
    second_factor_roles: Collection[str] = (),
) -> Explanation:
    """Why the subject may use the permission in the tenant, or not. Raises NotFound.

    ``second_factor_roles`` are the tenant's setting of that name.
    """
    declared = registry.permissions.get(permission)
    if declared is None:
        raise NotFound(
            f"No installed plugin has the permission {permission[:60]!r}.",
            mend="GET /v1/permissions, and docs/permissions.md, list them.",
        )
    grants = list(_grants(registry, tenant, subject, permission))
    scopes, rules = _rights(registry, tenant, subject)
    allowed = may_use(tenant, declared, scopes) and not subject.barred
    needing = sorted({*subject.roles} & {*second_factor_roles})
    factor = _factor(declared, subject, needing)
    narrowed = [str(one) for one in rules.get(permission, ())]
    plugin = permission.partition(":")[0]
    return Explanation(
        permission=permission,
        subject=subject.name or subject.id or subject.kind,
        allowed=allowed,
        because=[
            *_sentences(tenant, declared, subject, grants, narrowed),
            *(_factor_sentences(factor, needing) if allowed else []),
            *subject.notes,
        ],
        grants=grants,
        rules=narrowed,
        attributes=dict(subject.attributes),
        plugin_enabled=plugin in tenant.enabled,
        guest=declared.guest,
        special=declared.special,
        second_factor=factor,
    )


def permissions_of(registry: Registry, tenant: Tenant, scopes: frozenset[str]) -> list[str]:
    """The permissions that somebody with those rights may use in the tenant now."""
    return sorted(
        name for name, one in registry.permissions.items() if may_use(tenant, one, scopes)
    )


def _rights(
    registry: Registry, tenant: Tenant, subject: Subject
) -> tuple[frozenset[str], Mapping[str, Any]]:
    if subject.kind == "user":
        rights = rights_of(registry, tenant, subject.roles)
        return rights.scopes, rights.rules
    return scopes_of(registry, tenant, subject.scopes), {}


def _grants(
    registry: Registry, tenant: Tenant, subject: Subject, permission: str
) -> Iterator[GrantFound]:
    if subject.kind == "key":
        given = permission in scopes_of(registry, tenant, subject.scopes)
        named = permission in subject.scopes
        by = permission if named else ", ".join(sorted(one for one in subject.scopes if "*" in one))
        yield GrantFound(source="key", gives=given, by=by if given else "")
    for role in subject.roles:
        found: Given | None = given_by(registry, tenant, role).get(permission)
        known = "" if role in LEVELS or role in tenant.roles else " (there is no such role)"
        yield GrantFound(
            source=f"role {role}{known}",
            gives=found is not None,
            by=found.by if found else "",
            narrowed_to=str(found.limits) if found and found.limits else "",
        )


def _sentences(
    tenant: Tenant,
    declared: Permission,
    subject: Subject,
    grants: list[GrantFound],
    narrowed: list[str],
) -> list[str]:
    said = list(subject.barred)
    plugin = declared.name.partition(":")[0]
    if plugin not in tenant.enabled:
        state = tenant.plugins.get(plugin)
        said.append(f"The plugin {plugin!r} is {state.state if state else 'not enabled'} here.")
    if not effective(declared.name, tenant):
        said.append("It is for the operators of the installation, in their own tenant alone.")
    giving = [one for one in grants if one.gives]
    for one in giving:
        limits = f", narrowed to: {one.narrowed_to}" if one.narrowed_to else ""
        said.append(f"The {one.source} gives it ({one.by}){limits}.")
    if not giving:
        said.append(_ungiven(declared, subject))
    if giving and not narrowed and any(one.narrowed_to for one in giving):
        said.append("Another role gives it without limits, so there are none.")
    return said


def _factor(
    declared: Permission, subject: Subject, needing: list[str]
) -> Literal["none", "at sign-in", "fresh"]:
    if subject.kind != "user":
        return "none"
    if declared.step_up:
        return "fresh"
    return "at sign-in" if needing else "none"


def _factor_sentences(factor: str, needing: list[str]) -> list[str]:
    said = []
    if needing:
        said.append(f"Having the role {needing[0]} needs a sign-in with a second factor.")
    if factor == "fresh":
        said.append("A second factor must have been given a few minutes ago at the most.")
    return said


def _ungiven(declared: Permission, subject: Subject) -> str:
    if declared.guest:
        return "Guests may, so nothing has to give it; what is not the caller's own is not shown."
    lowest = f"The lowest built-in role that has it is {declared.level!r}."
    if subject.kind == "guest":
        return f"It needs an account or an API key. {lowest}"
    if subject.kind == "key":
        name = "; it opens special data, so a key must name it" if declared.special else ""
        return f"No scope of the key gives it{name}. {lowest}"
    roles = ", ".join(subject.roles) or "none"
    special = " It opens special data: a role of the tenant's own must name it." * declared.special
    return f"No role of the account gives it (roles: {roles}). {lowest}{special}"
