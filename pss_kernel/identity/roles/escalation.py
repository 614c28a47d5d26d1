"""Nobody gives what they don't have: by a role that they make or assign, or by an API key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pss_kernel.auth._rights import LEVELS, Given, given_by
from pss_kernel.auth._rules import Limits
from pss_kernel.errors import FieldError, Forbidden, Invalid
from pss_kernel.identity.roles.store import keep_roles, role_grants

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.persistence import UnitOfWork
    from pss_kernel.registry import Registry
    from pss_kernel.tenancy import Tenant

__all__ = [
    "assignable",
    "beyond_own",
    "check_roles",
    "named",
    "refuse_above",
    "refuse_escalation",
]


async def check_roles(
    uow: UnitOfWork, roles: Iterable[str], attributes: Mapping[str, Any]
) -> list[str]:
    """The roles that an account with those attributes may be given, each once, in order.

    To be called in the transaction that assigns them: until it ends none of them is deleted or
    changed. Raises Invalid for a role that there isn't, Forbidden (``role-above-own``) where they
    give more than the one who assigns them has.
    """
    wanted = list(dict.fromkeys(roles))
    there = await assignable(uow)
    known = [*LEVELS, *sorted(there.roles)]
    errors = [
        FieldError(
            pointer=f"/roles/{place}",
            detail=f"There is no such role. Known are: {', '.join(known)}.",
            code="unknown-role",
        )
        for place, role in enumerate(wanted)
        if role not in known
    ]
    if errors:
        raise Invalid("Some roles are not known here.", code="unknown-role", errors=errors)
    _refuse_roles(uow, there, wanted, attributes)
    return wanted


async def refuse_above(
    uow: UnitOfWork, roles: Iterable[str], attributes: Mapping[str, Any]
) -> None:
    """Raises Forbidden for the account of somebody who may more than the actor.

    So nobody changes it; ``roles`` and ``attributes`` are the account's.
    """
    if uow.actor.kind != "system":
        _refuse_roles(uow, await _as_they_are(uow), roles, attributes)


async def assignable(uow: UnitOfWork) -> Tenant:
    """The tenant with its roles as they are now and stay until the transaction has ended."""
    await keep_roles(uow)
    return await _as_they_are(uow)


async def _as_they_are(uow: UnitOfWork) -> Tenant:
    """The tenant with its roles of this moment; the snapshot may be a second old."""
    return replace(uow.tenant, roles=await role_grants(uow), rights={})


def _refuse_roles(
    uow: UnitOfWork, tenant: Tenant, roles: Iterable[str], attributes: Mapping[str, Any]
) -> None:
    registry = uow.installation.registry
    above = {
        name
        for role in roles
        for name in beyond_own(uow.actor, registry, given_by(registry, tenant, role), attributes)
    }
    if above:
        raise Forbidden(
            f"These roles may more than you: {named(above)}.",
            code="role-above-own",
            mend="Somebody with at least these permissions can do it.",
        )


def refuse_escalation(
    actor: Actor, registry: Registry, what: str, given: Mapping[str, Given]
) -> None:
    """Refuse to make what gives more than the actor has. Raises Forbidden (``escalation``)."""
    beyond = beyond_own(actor, registry, given)
    if beyond:
        raise Forbidden(
            f"{what} gives more than you have yourself: {named(beyond)}.",
            code="escalation",
            mend="Leave it out, or let somebody do this who has it.",
        )


def beyond_own(
    actor: Actor,
    registry: Registry,
    given: Mapping[str, Given],
    attributes: Mapping[str, Any] | None = None,
) -> list[str]:
    """The permissions among those given that the actor doesn't have as wide; the system has all.

    ``attributes`` are those of the account that is given them; None: whoever comes to have them.
    """
    if actor.kind == "system":
        return []
    return sorted(
        name
        for name, one in given.items()
        if not _everybodys(registry, name) and not _has(actor, name, one.limits, attributes)
    )


def named(permissions: Iterable[str]) -> str:
    """Some of them, as many as one reads."""
    every, most = sorted(permissions), 5
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _everybodys(registry: Registry, permission: str) -> bool:
    """Whether guests have all of it, so that there is nothing to give."""
    declared = registry.permissions[permission]
    return declared.guest and declared.level is None


def _has(
    actor: Actor, permission: str, limits: Limits | None, attributes: Mapping[str, Any] | None
) -> bool:
    """Whether the actor has the permission, at least as wide as those limits leave it."""
    if not actor.may(permission):
        return False
    mine = actor.rules.get(permission)
    return mine is None or (
        limits is not None and any(_as_wide(actor, one, limits, attributes) for one in mine)
    )


def _as_wide(
    actor: Actor, mine: Limits, given: Limits, attributes: Mapping[str, Any] | None
) -> bool:
    """Whether what is within the given limits always is within mine.

    What is an unknown person's own may be anybody's, so who is narrowed to the own gives none of
    it to them; somebody whose attributes are all among the actor's has no more of it.
    """
    for name in mine.own:
        if attributes is None or name not in given.own:
            return False
        if set(_listed(attributes, name)) - set(_listed(actor.attributes, name)):
            return False
    if not mine.up_to:
        return True
    most = {one.currency: one.minor for one in mine.up_to}
    return bool(given.up_to) and all(one.minor <= most.get(one.currency, -1) for one in given.up_to)


def _listed(attributes: Mapping[str, Any], name: str) -> list[str]:
    value = attributes.get(name, [])
    return [value] if isinstance(value, str) else list(value)
