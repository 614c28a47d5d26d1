"""What nobody does to accounts: change the own roles, or give facts that one hasn't oneself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pss_kernel.errors import Forbidden, Unauthorised

if TYPE_CHECKING:
    from pss_kernel.auth import Actor
    from pss_kernel.identity.accounts.store import Account
    from pss_kernel.persistence import UnitOfWork

__all__ = ["refuse_own", "refuse_wider", "signed_in"]


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
