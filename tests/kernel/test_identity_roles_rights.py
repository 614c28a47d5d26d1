"""What roles amount to, whatever they say: denied is what nothing gives."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_kernel import Invalid, Money, Own, Permission, Plugin, Tenant, UpTo
from pss_kernel.auth import LEVELS, Limits, rights_of, scopes_of
from pss_kernel.auth._rules import RuleValues, limits_of, met_by
from pss_kernel.config import PLATFORM
from pss_kernel.registry import Registry

_POST = Plugin(
    "post",
    version="1",
    package="post",
    permissions=[
        Permission("post:look", "Look at a parcel", level="user"),
        Permission(
            "post:hand-out", "Hand a parcel out", level="agent", rules=(Own("branch", "x"),)
        ),
        Permission(
            "post:refund", "Pay back", level="manager", rules=(UpTo("x"), Own("branch", "x"))
        ),
        Permission("post:sickness", "Read of an illness", level="admin", special=True),
        Permission("post:close", "Close a branch", level="super_admin"),
        Permission("post:track", "Track a parcel", guest=True),
    ],
)
_REGISTRY = Registry([_POST])
_NAMES = sorted(_REGISTRY.permissions)
_SCOPES = st.sampled_from([*_NAMES, "post:*", "identity:*", "*", "gone:read", "gone:*", "", "post"])
_LIMITS = st.sampled_from(
    [{"own": "branch"}, {"up_to": "5.00 EUR"}, {"up_to": ["1 EUR", "2 USD"]}, {"own": 1}, {}, None]
)
_GRANTS = st.fixed_dictionaries(
    {},
    optional={
        "extends": st.sampled_from([*LEVELS, "emperor", None]),
        "permissions": st.lists(_SCOPES, max_size=4),
        "rules": st.dictionaries(st.sampled_from(_NAMES), _LIMITS, max_size=3),
    },
)
_CUSTOM = st.dictionaries(st.sampled_from(["clerk", "helper", "ghost"]), _GRANTS, max_size=3)
_ROLES = st.lists(st.sampled_from([*LEVELS, "clerk", "helper", "ghost", "nobody"]), max_size=4)


def _tenant(roles: dict[str, Any] | None = None, code: str = "post_office") -> Tenant:
    return Tenant(
        code=code, name="Post", schema="t_x", role="t_x", currency="EUR", time_zone="UTC",
        locales=(), brand={}, roles=roles or {},
    )  # fmt: skip


def _rights(
    roles: list[str], custom: dict[str, Any] | None = None, code: str = "post_office"
) -> Any:
    return rights_of(_REGISTRY, _tenant(custom, code), roles)


def test_levels() -> None:
    """Each built-in role has what its level reaches; what guests have needs none."""
    reached = {
        role: {one for one in _rights([role]).scopes if one[:4] == "post"} for role in LEVELS
    }
    assert {
        "user": {"post:look"},
        "agent": {"post:look", "post:hand-out"},
        "manager": {"post:look", "post:hand-out", "post:refund"},
        "admin": {"post:look", "post:hand-out", "post:refund", "post:sickness"},
        "super_admin": {one for one in _NAMES if one[:4] == "post"} - {"post:track"},
    } == reached


def test_own_role() -> None:
    """A tenant's own role: what it extends, its names and wildcards, less the special ones."""
    custom = {
        "branch": {"extends": "admin"},
        "all": {"permissions": ["post:*"]},
        "nurse": {"permissions": ["post:sickness"]},
    }
    assert "post:refund" in _rights(["branch"], custom).scopes
    assert "post:sickness" not in _rights(["branch", "all"], custom).scopes
    assert "post:close" in _rights(["all"], custom).scopes
    assert {"post:sickness"} == _rights(["nurse"], custom).scopes


def test_narrowed() -> None:
    """What every role narrows is narrowed, by one or the other; a role that doesn't frees it."""
    custom = {
        "small": {"extends": "manager", "rules": {"post:refund": {"up_to": "50 EUR"}}},
        "own": {"permissions": ["post:refund"], "rules": {"post:refund": {"own": "branch"}}},
    }
    small, own = Limits(up_to=(Money("50.00", "EUR"),)), Limits(own=("branch",))
    assert {"post:refund": (small,)} == _rights(["small"], custom).rules
    assert {"post:refund": (own, small)} == _rights(["small", "own"], custom).rules
    assert {} == _rights(["small", "own", "manager"], custom).rules


def test_a_rule_that_is_checked_no_more_takes_the_permission() -> None:
    """A stored rule that the permission no longer declares: better nothing than everything."""
    custom = {"clerk": {"extends": "agent", "rules": {"post:look": {"own": "branch"}}}}
    assert {"post:hand-out"} == {one for one in _rights(["clerk"], custom).scopes if "post" in one}


@given(_CUSTOM, _ROLES, _ROLES)
def test_more_roles_never_give_less(
    custom: dict[str, Any], some: list[str], more: list[str]
) -> None:
    """A further role takes no permission away, and narrows none that was not narrowed."""
    few, many = _rights(some, custom), _rights(some + more, custom)
    assert few.scopes <= many.scopes
    assert {name for name in many.rules if name in few.scopes} <= set(few.rules)
    for name, limits in many.rules.items():
        assert set(few.rules.get(name, ())) <= set(limits)


@given(st.sampled_from(LEVELS), st.sampled_from(LEVELS))
def test_levels_are_monotone(one: str, other: str) -> None:
    """A higher built-in role has all that a lower one has, and is never narrowed."""
    low, high = sorted((one, other), key=list(LEVELS).index)
    assert _rights([low]).scopes <= _rights([high]).scopes
    assert {} == _rights([high]).rules


@given(_CUSTOM, st.sampled_from(["clerk", "helper", "ghost"]))
def test_special_only_by_name(custom: dict[str, Any], role: str) -> None:
    """No wildcard and no role that is extended gives what opens special categories of data."""
    named = "post:sickness" in custom.get(role, {}).get("permissions", [])
    assert named or "post:sickness" not in _rights([role], custom).scopes


@given(_CUSTOM, _ROLES, st.frozensets(_SCOPES, max_size=4))
def test_platform_only_on_the_platform(
    custom: dict[str, Any], roles: list[str], scopes: frozenset[str]
) -> None:
    """No role and no key of any other tenant has a permission of the platform's operators."""
    tenant = _tenant(custom)
    found = rights_of(_REGISTRY, tenant, roles).scopes | scopes_of(_REGISTRY, tenant, scopes)
    assert [] == [one for one in found if one.startswith("identity:platform-")]


@given(_CUSTOM, _ROLES, st.frozensets(_SCOPES, max_size=4))
def test_nothing_but_what_is_declared(
    custom: dict[str, Any], roles: list[str], scopes: frozenset[str]
) -> None:
    """Whatever is written down, only permissions of installed plugins come of it, by name."""
    tenant = _tenant(custom)
    rights = rights_of(_REGISTRY, tenant, roles)
    assert rights.scopes | scopes_of(_REGISTRY, tenant, scopes) <= set(_NAMES)
    assert set(rights.rules) <= rights.scopes
    for name, limits in rights.rules.items():
        declared = {rule.name for rule in _REGISTRY.permissions[name].rules}
        for one in limits:
            assert {*(["up_to"] if one.up_to else []), *(f"own {n}" for n in one.own)} <= declared


@given(st.lists(st.text(max_size=20).filter(lambda one: one not in LEVELS), max_size=5))
def test_unknown_roles_give_nothing(roles: list[str]) -> None:
    """A role that was deleted, or never was, gives nothing."""
    assert (frozenset(), {}) == (_rights(roles).scopes, _rights(roles).rules)


def test_keys() -> None:
    """A key's wildcards give what its tenant's permissions are, less the special ones."""
    post = {one for one in _NAMES if one[:4] == "post"}
    tenant = _tenant()
    assert post - {"post:sickness"} == scopes_of(_REGISTRY, tenant, frozenset({"post:*"}))
    assert {"post:sickness"} == scopes_of(_REGISTRY, tenant, frozenset({"post:sickness"}))
    assert {"post:look"} == scopes_of(_REGISTRY, tenant, frozenset({"post:look", "gone:*"}))


def test_platform() -> None:
    """Its operators' permissions come by level or by name, in that tenant; by no wildcard."""
    operators = Plugin(
        "identity2",
        version="1",
        package="x",
        permissions=[Permission("identity2:x", "x", level="user")],
    )
    registry = Registry([operators])
    registry.permissions["identity:platform-halt"] = Permission(
        "identity:platform-halt", "Halt", level="admin"
    )
    here, there = _tenant(code=PLATFORM), _tenant()
    named = frozenset({"identity:platform-halt"})
    assert "identity:platform-halt" in rights_of(registry, here, ["admin"]).scopes
    assert "identity:platform-halt" not in rights_of(registry, there, ["super_admin"]).scopes
    assert named == scopes_of(registry, here, named)
    assert frozenset() == scopes_of(registry, there, named)
    assert "identity:platform-halt" not in scopes_of(registry, here, frozenset({"*", "identity:*"}))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (RuleValues(own="town"), "knows no rule 'own town'"),
        (RuleValues(up_to="5 EUR"), "knows no rule 'up_to'"),
        (RuleValues(), "narrows nothing"),
    ],
)
def test_unreadable_rules(written: Any, said: str) -> None:
    """A rule that the permission doesn't declare is refused, and so is one that says nothing."""
    with pytest.raises(Invalid, match=said):
        limits_of(written, (Own("branch", "x"),))


@pytest.mark.parametrize("amount", ["5", "5 XXX", "5.001 EUR", "-1 EUR", "EUR 5", "5  EUR"])
def test_unreadable_amounts(amount: str) -> None:
    """A limit is an amount of a currency, not below zero."""
    with pytest.raises(Invalid):
        limits_of(RuleValues(up_to=amount), (UpTo("x"),))


def test_a_currency_twice() -> None:
    """One highest amount for each currency."""
    with pytest.raises(Invalid, match="a currency twice"):
        limits_of(RuleValues(up_to=["5 EUR", "6 EUR"]), (UpTo("x"),))


@pytest.mark.parametrize(
    ("asked", "met"),
    [
        ((Money("5.00", "EUR"), {"branch": "ost"}), True),
        ((Money("5.01", "EUR"), {"branch": "ost"}), False),
        ((Money("600", "JPY"), {"branch": "west"}), True),
        ((Money("1.00", "USD"), {"branch": "ost"}), False),
        ((None, {"branch": "ost"}), False),
        ((Money("5.00", "EUR"), {"branch": "nord"}), False),
        ((Money("5.00", "EUR"), {}), False),
    ],
)
def test_met(asked: tuple[Money | None, dict[str, str]], *, met: bool) -> None:
    """The amount in its currency, and the thing's fact among the person's; else not."""
    limits = Limits((Money("5.00", "EUR"), Money("600", "JPY")), ("branch",))
    amount, facts = asked
    assert met == (met_by(limits, {"branch": ["ost", "west"]}, amount, facts) == "")


def test_no_attributes() -> None:
    """Who has no such attribute owns nothing."""
    assert "(none)" in met_by(Limits(own=("branch",)), {}, None, {"branch": "ost"})
