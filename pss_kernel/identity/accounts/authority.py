"""Nobody gives, or takes away, more than they have themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pss_kernel.auth._rights import LEVELS, rights_of
from pss_kernel.errors import FieldError, Forbidden, Invalid, Unauthorised

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.identity.accounts.store import Account
    from pss_kernel.persistence import UnitOfWork

__all__ = ["check_roles", "refuse_above", "refuse_own", "refuse_wider", "signed_in"]


def check_roles(uow: UnitOfWork, roles: Iterable[str]) -> list[str]:
    """The roles, each once, in order. Raises Invalid for one that the tenant doesn't have."""
    wanted = list(dict.fromkeys(roles))
    known = [*LEVELS, *sorted(uow.tenant.roles)]
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
    return wanted


def refuse_above(uow: UnitOfWork, roles: Iterable[str]) -> None:
    """Raises Forbidden where the roles amount to more than the actor may itself.

    So nobody gives such roles, and nobody changes the account of somebody who has them.
    """
    actor = uow.actor
    if actor.kind == "system":
        return
    rights = rights_of(uow.installation.registry, uow.tenant, roles)
    above = [name for name in sorted(rights.scopes) if not actor.may(name)]
    # Where the actor's own permission is narrowed, what is given must be narrowed by no less.
    above += [
        name
        for name, own in actor.rules.items()
        if name in rights.scopes
        and not (name in rights.rules and set(rights.rules[name]) <= set(own))
    ]
    if above:
        raise Forbidden(
            f"These roles may more than you: {', '.join(above[:5])}"
            f"{', …' if len(above) > 5 else ''}.",  # noqa: PLR2004 - enough to see why
            code="role-above-own",
            mend="Somebody with at least these permissions can do it.",
        )


def refuse_wider(uow: UnitOfWork, attributes: Mapping[str, Sequence[str]]) -> None:
    """Raises Forbidden for facts that an actor who is narrowed to the own ones doesn't have."""
    actor = uow.actor
    narrowed = {name for each in actor.rules.values() for one in each for name in one.own}
    for name in sorted(narrowed & attributes.keys()):
        own = actor.attributes.get(name, ())
        owned = {own} if isinstance(own, str) else set(own)
        if set(attributes[name]) - owned:
            raise Forbidden(
                f"Your own permissions are narrowed to your {name}; you give nobody another one.",
                code="attribute-above-own",
            )


def refuse_own(uow: UnitOfWork, account: Account) -> None:
    """Raises Forbidden where somebody would change the own roles or state."""
    if uow.actor.kind == "user" and uow.actor.id == account.account_id:
        raise Forbidden(
            "Nobody changes the roles or the state of the own account.",
            code="own-account",
            mend="Ask somebody else who may manage accounts.",
        )


def signed_in(actor: Actor) -> str:
    """The account of a person who has signed in. Raises Unauthorised, Forbidden for a key."""
    if actor.kind == "guest":
        raise Unauthorised("Sign in for this.")
    if actor.kind != "user":
        raise Forbidden("Only a person who has signed in has an account.", code="not-a-person")
    return actor.id
