"""Data rules: what a role narrows a permission to, and what a permission lets it be narrowed by.

A plugin declares on its permission which rules it checks (``UpTo``, ``Own``); a role of a tenant
sets them; a person's ``Limits`` are what came of it, and the plugin asks them with
``uow.require`` or ``uow.allowed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from pss_kernel.errors import Invalid
from pss_kernel.money import Money

__all__ = ["Limits", "Own", "Rule", "RuleValues", "UpTo", "limits_of", "met_by"]


@dataclass(frozen=True, slots=True)
class UpTo:
    """The permission can be narrowed to a highest amount for each action."""

    what: str
    """What has the amount, for people: ``what is given back``."""

    @property
    def name(self) -> str:
        """As a role sets it."""
        return "up_to"


@dataclass(frozen=True, slots=True)
class Own:
    """The permission can be narrowed to things of the person's own ``attribute``."""

    attribute: str
    """A name in the attributes of accounts, and of the fact that ``uow.require`` is given."""
    what: str
    """Which fact of the thing that is, for people: ``where the parcel is handed in``."""

    @property
    def name(self) -> str:
        """As a role sets it."""
        return f"own {self.attribute}"


Rule = UpTo | Own


@dataclass(frozen=True, slots=True)
class Limits:
    """What one role narrows a permission to; all of it must hold."""

    up_to: tuple[Money, ...] = ()
    """The highest amounts, one for each currency; empty: no such rule."""
    own: tuple[str, ...] = ()
    """Attributes: the thing's must be among the person's."""

    def __str__(self) -> str:
        amounts = " or ".join(f"{one.amount} {one.currency}" for one in self.up_to)
        said = [f"up to {amounts}"] if amounts else []
        return ", ".join([*said, *(f"own {name} only" for name in self.own)])


class RuleValues(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a role narrows a permission to: ``{"up_to": "500.00 EUR"}``, ``{"own": "station"}``."""

    up_to: str | list[str] = []
    """The highest amount of one action, or one for each currency."""
    own: str | list[str] = []
    """Attributes of the person that the thing's must be among."""


def limits_of(said: RuleValues, rules: tuple[Rule, ...]) -> Limits:
    """Read what a role says about a permission that declares those rules.

    Raises Invalid for an amount that can't be read, for a rule that the permission doesn't
    declare, and where nothing is narrowed.
    """
    amounts = [said.up_to] if isinstance(said.up_to, str) else said.up_to
    names = [said.own] if isinstance(said.own, str) else said.own
    known = {rule.name for rule in rules}
    for name in ["up_to"] * bool(amounts) + [f"own {one}" for one in names]:
        if name not in known:
            offered = ", ".join(repr(one) for one in sorted(known)) or "none"
            raise Invalid(
                f"The permission knows no rule {name!r}, so nothing would check it.",
                code="unknown-rule",
                mend=f"Its rules are: {offered}.",
            )
    if not (amounts or names):
        raise Invalid("The rule narrows nothing.", code="unknown-rule", mend="Leave it out.")
    limits = Limits(tuple(_amount(one) for one in amounts), tuple(sorted(set(names))))
    currencies = [one.currency for one in limits.up_to]
    if len(set(currencies)) < len(currencies):
        raise Invalid("The rule names a currency twice.", code="unknown-rule")
    return limits


def _amount(text: str) -> Money:
    amount, _, currency = text.partition(" ")
    money = Money(amount, currency)
    if money.minor < 0:
        raise Invalid(f"{text!r} is below zero.", code="invalid-amount")
    return Money.of(money.minor, currency)


def met_by(
    limits: Limits, attributes: Mapping[str, Any], up_to: Money | None, facts: Mapping[str, str]
) -> str:
    """An empty string where the limits hold, else a sentence that says which does not.

    An amount in a currency that the rule doesn't name is over it; a fact that nobody knows is
    nobody's own.
    """
    if limits.up_to:
        most = {one.currency: one for one in limits.up_to}
        allowed = most.get(up_to.currency) if up_to is not None else None
        over = up_to is None or allowed is None or up_to.minor > allowed.minor
        if over and not (up_to is not None and up_to.minor == 0):  # nothing is nothing everywhere
            found = f"{up_to.amount} {up_to.currency}" if up_to is not None else "An unknown amount"
            return f"{found} is outside what the role allows: {Limits(up_to=limits.up_to)}."
    for name in limits.own:
        owned = attributes.get(name, ())
        owned = [owned] if isinstance(owned, str) else owned
        if name not in facts or facts[name] not in owned:
            listed = ", ".join(map(str, owned)) or "none"
            return (
                f"This is of the {name} {facts.get(name, 'nobody knows')}; the role allows the "
                f"own {name} only ({listed})."
            )
    return ""
