"""Nobody gives what they don't have: neither in a role that they make, nor by assigning one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from pss_kernel.auth._rights import LEVELS, Given, given_by
from pss_kernel.auth._rules import Limits
from pss_kernel.errors import FieldError, Forbidden, Invalid
from pss_kernel.identity.roles.store import keep_roles, role_grants

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.persistence import UnitOfWork
    from pss_kernel.registry import Registry

__all__ = ["check_roles", "refuse_escalation"]


async def check_roles(
    uow: UnitOfWork, roles: Iterable[str], *, held: Iterable[str] = (), pointer: str = "/roles"
) -> None:
    """Refuse to give an account those roles; ``held`` are those that it has already.

    To be called in the transaction that assigns them: until it ends none of them is deleted.
    Raises Invalid for a role that there isn't, Forbidden (``escalation``) for one that gives more
    than the one who assigns it has.
    """
    wanted, before = list(roles), set(held)
    await keep_roles(uow)
    there = await role_grants(uow)
    unknown = [
        FieldError(
            pointer=f"{pointer}/{place}",
            code="unknown-role",
            detail=f"There is no role {role[:60]!r}.",
        )
        for place, role in enumerate(wanted)
        if role not in LEVELS and role not in there
    ]
    if unknown:
        known = ", ".join([*LEVELS, *sorted(there)])
        raise Invalid(
            "Some roles are not known.",
            code="unknown-role",
            errors=unknown,
            mend=f"There are: {known}.",
        )
    tenant = replace(uow.tenant, roles=there, rights={})  # as they are now
    for role in wanted:
        if role not in before:
            given = given_by(uow.installation.registry, tenant, role)
            refuse_escalation(uow.actor, uow.installation.registry, f"The role {role!r}", given)


def refuse_escalation(
    actor: Actor, registry: Registry, what: str, given: Mapping[str, Given]
) -> None:
    """Refuse to give what the actor doesn't have itself. Raises Forbidden (``escalation``)."""
    if actor.kind == "system":
        return
    beyond = sorted(
        name
        for name, one in given.items()
        if not _everybodys(registry, name) and not _has(actor, name, one.limits)
    )
    if beyond:
        more = f" and {len(beyond) - 3} more" if len(beyond) > 3 else ""  # noqa: PLR2004 - as said
        raise Forbidden(
            f"{what} gives more than you have yourself: {', '.join(beyond[:3])}{more}.",
            code="escalation",
            mend="Leave it out, or let somebody do this who has it.",
        )


def _everybodys(registry: Registry, permission: str) -> bool:
    """Whether guests have all of it, so that there is nothing to give."""
    declared = registry.permissions[permission]
    return declared.guest and declared.level is None


def _has(actor: Actor, permission: str, limits: Limits | None) -> bool:
    """Whether the actor has the permission, at least as wide as those limits leave it."""
    if not actor.may(permission):
        return False
    mine = actor.rules.get(permission)
    return mine is None or (limits is not None and any(_as_wide(one, limits) for one in mine))


def _as_wide(mine: Limits, given: Limits) -> bool:
    """Whether what is within the given limits always is within mine.

    What is one's own is nobody else's, so who is narrowed to that can give none of it.
    """
    if mine.own or not given.up_to:
        return False
    most = {one.currency: one.minor for one in mine.up_to}
    return all(one.minor <= most.get(one.currency, -1) for one in given.up_to)
