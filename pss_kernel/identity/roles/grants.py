"""What a role of a tenant's own may say, and everything that is wrong with one."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import msgspec

from pss_kernel.auth._rights import LEVELS, Grants
from pss_kernel.auth._rules import limits_of
from pss_kernel.config import PLATFORM
from pss_kernel.errors import FieldError, Invalid

if TYPE_CHECKING:
    from pss_kernel.registry import Registry

__all__ = ["RoleBody", "RoleName", "grants_of", "role_errors"]

RoleName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{1,40}\Z", examples=["gate_agent"])]
_RESERVED = {*LEVELS, "guest", "system", "key"}


class RoleBody(Grants, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A role as it is written down, all but its name."""

    summary: Annotated[str, msgspec.Meta(max_length=200)] = ""


def grants_of(body: RoleBody) -> Grants:
    """What is stored of it beside its summary."""
    return Grants(extends=body.extends, permissions=body.permissions, rules=body.rules)


def role_errors(
    registry: Registry, tenant: str, name: str, body: RoleBody, *, pointer: str = ""
) -> list[FieldError]:
    """Everything in a role that would give nothing, or not what it says.

    ``tenant`` is the code of whose role it is, ``pointer`` where the role stands in what was sent.
    """
    return list(_errors(registry, tenant, name, body, pointer))


def _errors(
    registry: Registry, tenant: str, name: str, body: RoleBody, pointer: str
) -> Iterator[FieldError]:
    if name in _RESERVED:
        detail = f"{name!r} is built in; give the role another name."
        yield FieldError(pointer=f"{pointer}/name", code="reserved-name", detail=detail)
    groups = {"*", *(f"{one.partition(':')[0]}:*" for one in registry.permissions)}
    for place, one in enumerate(body.permissions):
        if one not in groups and (said := _unknown(registry, tenant, one)):
            here = f"{pointer}/permissions/{place}"
            yield FieldError(pointer=here, code="unknown-permission", detail=said)
    for permission, said_rules in body.rules.items():
        here = f"{pointer}/rules/{permission.replace('~', '~0').replace('/', '~1')}"
        if unknown := _unknown(registry, tenant, permission):
            yield FieldError(pointer=here, code="unknown-permission", detail=unknown)
            continue
        try:
            limits_of(said_rules, registry.permissions[permission].rules)
        except Invalid as error:
            yield FieldError(pointer=here, code=error.code, detail=error.sentence)
            continue
        if not _gives(registry, body, permission):
            detail = "The role does not give this permission, so there is nothing to narrow."
            yield FieldError(pointer=here, code="rule-without-permission", detail=detail)


def _unknown(registry: Registry, tenant: str, permission: str) -> str:
    if permission not in registry.permissions:
        near = difflib.get_close_matches(permission, registry.permissions, n=1)
        return f"No installed plugin has the permission {permission[:60]!r}." + (
            f" Did you mean {near[0]!r}?" if near else ""
        )
    if permission.startswith("identity:platform-") and tenant != PLATFORM:
        return f"{permission!r} is for the operators of the installation alone."
    return ""


def _gives(registry: Registry, body: RoleBody, permission: str) -> bool:
    declared = registry.permissions[permission]
    if permission in body.permissions:
        return True
    if declared.special:
        return False
    plugin = permission.partition(":")[0]
    reached = (
        body.extends is not None
        and declared.level is not None
        and LEVELS.index(declared.level) <= LEVELS.index(body.extends)
    )
    return reached or not {f"{plugin}:*", "*"}.isdisjoint(body.permissions)
