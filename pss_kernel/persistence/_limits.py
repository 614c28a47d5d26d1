"""Data rules within a unit of work: asked by a plugin about one thing, and never left unasked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import structlog

from pss_kernel.auth._rules import Own, UpTo, met_by
from pss_kernel.errors import Forbidden

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.money import Money
    from pss_kernel.persistence._unit_of_work import UnitOfWork
    from pss_kernel.plugin import Permission

__all__ = ["refusal_of", "refuse_unasked"]

_log = structlog.get_logger("pss.identity")


def refusal_of(
    uow: UnitOfWork, permission: str, up_to: Money | None, facts: Mapping[str, str]
) -> Forbidden | None:
    """Why the one who asks may not do this with that thing; None where nothing is against it.

    Raises KeyError for a permission that no plugin declares, TypeError where the call doesn't give
    what the permission's rules are about, whoever asks.
    """
    declared = uow.installation.registry.permissions[permission]
    _refuse_incomplete(declared, up_to, facts)
    uow.asked.add(permission)
    actor = uow.actor
    if not actor.may(permission):
        if declared.guest:  # as a guest: the plugin asks for more than a permission
            return None
        return Forbidden(
            f"The permission {permission!r} is needed for this.", code="missing-permission"
        )
    narrowed = actor.rules.get(permission, ())
    said = [met_by(limits, actor.attributes, up_to, facts) for limits in narrowed]
    if not said or "" in said:
        return None
    return Forbidden(
        " ".join(said),
        code="outside-your-limits",
        mend="Ask somebody whose role allows it.",
    )


def refuse_unasked(actor: Actor, permission: str, asked: set[str]) -> None:
    """Refuse what a narrowed actor does where the plugin did not ask whether it is within limits.

    Raises Forbidden: what a plugin forgot must not be what a role doesn't allow.
    """
    if permission in actor.rules and permission not in asked:
        _log.error("rule_not_asked", permission=permission, actor=actor.label)
        raise Forbidden(
            f"Your role narrows {permission!r}, and this operation does not say whether it is "
            "within that.",
            code="rule-not-asked",
            mend="Its plugin must call uow.require or uow.allowed.",
        )


def _refuse_incomplete(declared: Permission, up_to: Money | None, facts: Mapping[str, str]) -> None:
    wanted = {rule.attribute for rule in declared.rules if isinstance(rule, Own)}
    amount = any(isinstance(rule, UpTo) for rule in declared.rules)
    if wanted != set(facts) or amount != (up_to is not None):
        names = [*sorted(wanted), *(["up_to"] if amount else [])]
        raise TypeError(
            f"The rules of {declared.name!r} are about: {', '.join(names) or 'nothing'}; "
            "say that, and nothing else."
        )
