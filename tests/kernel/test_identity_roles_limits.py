"""Data rules: what a role narrows is asked about, and refused where nobody asked."""
# ruff: noqa: PT012 - what raises is the transaction, with all that is in it

from __future__ import annotations

from typing import Any

import pytest
import pytest_asyncio

from pss_kernel import Forbidden, Money, Tenant, Work
from pss_kernel.auth import Actor, Limits
from pss_kernel.persistence import Correlation
from pss_kernel.testing import TestKit
from pss_notes import postage, store

_LIMITS = (Limits(up_to=(Money("5.00", "EUR"),)), Limits(own=("branch",)))
_CLERK = Actor(
    "user",
    "acc_1",
    frozenset({"notes:post"}),
    attributes={"branch": ["ost"]},
    rules={"notes:post": _LIMITS},
)
_CHEAP, _DEAR = Money("5.00", "EUR"), Money("5.01", "EUR")


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(kit: TestKit) -> Tenant:
    """A fresh tenant with notes."""
    return await kit.make_tenant(plugins=["notes"])


def _work(kit: TestKit, tenant: Tenant, actor: Actor) -> Work:
    return Work(
        *(kit.installation, tenant, actor, Correlation("c"), "notes"), permission="notes:post"
    )


async def _notes(kit: TestKit, tenant: Tenant) -> int:
    async with kit.unit_of_work(tenant) as uow:
        return (await uow.hot("SELECT count(*) FROM note"))[0][0]


@pytest.mark.parametrize(
    ("branch", "amount", "allowed"),
    [("west", _CHEAP, True), ("ost", _DEAR, True), ("west", _DEAR, False)],
)
async def test_one_role_is_enough(
    kit: TestKit, tenant: Tenant, branch: str, amount: Money, *, allowed: bool
) -> None:
    """Of two roles that narrow it, either may allow it."""
    async with kit.unit_of_work(tenant, _CLERK) as uow:
        assert allowed == uow.allowed("notes:post", up_to=amount, branch=branch)
        if not allowed:
            with pytest.raises(Forbidden) as refused:
                uow.require("notes:post", up_to=amount, branch=branch)
            assert "outside-your-limits" == refused.value.code
            assert (
                "5.01 EUR is outside what the role allows: up to 5.00 EUR. This is of the branch "
                "west; the role allows the own branch only (ost)."
            ) == refused.value.detail


@pytest.mark.parametrize(
    ("actor", "allowed"),
    [
        (Actor("system"), True),
        (Actor("key", "k", frozenset({"notes:post"})), True),
        (Actor("user", "acc_2", frozenset({"notes:post"})), True),
        (Actor("user", "acc_3", frozenset({"notes:write"})), False),
        (Actor("guest"), False),
    ],
)
async def test_who_is_not_narrowed(
    kit: TestKit, tenant: Tenant, actor: Actor, *, allowed: bool
) -> None:
    """The system, keys and people without a rule may; who lacks the permission may not."""
    async with kit.unit_of_work(tenant, actor) as uow:
        assert allowed == uow.allowed("notes:post", up_to=_DEAR, branch="west")


async def test_a_guest_permission(kit: TestKit, tenant: Tenant) -> None:
    """What guests may do is the plugin's own question."""
    async with kit.unit_of_work(tenant, Actor("guest")) as uow:
        assert uow.allowed("notes:see")


@pytest.mark.parametrize(
    "facts",
    [{}, {"branch": "ost"}, {"up_to": _CHEAP}, {"up_to": _CHEAP, "branch": "x", "day": "x"}],
)
async def test_all_facts_are_given(kit: TestKit, tenant: Tenant, facts: dict[str, Any]) -> None:
    """A call that leaves out what a rule is about fails for everybody, so in the first test."""
    async with kit.unit_of_work(tenant) as uow:
        with pytest.raises(TypeError, match="are about: branch, up_to"):
            uow.require("notes:post", **facts)


async def test_within_the_limits(kit: TestKit, tenant: Tenant) -> None:
    """A route that asks, and a person who may."""
    async with _work(kit, tenant, _CLERK) as work, work.begin() as uow:
        await postage.post_note(
            uow, postage.Posting(body="a", branch="ost", postage=Money("9.00", "EUR"))
        )
    assert 1 == await _notes(kit, tenant)


async def test_nobody_asked(kit: TestKit, tenant: Tenant) -> None:
    """A route that forgets to ask does nothing for whom a role narrows, and goes on for others."""
    with pytest.raises(Forbidden) as refused:
        async with _work(kit, tenant, _CLERK) as work, work.begin() as uow:
            await store.write_note(uow, "a")
    assert ("rule-not-asked", 0) == (refused.value.code, await _notes(kit, tenant))
    async with _work(kit, tenant, Actor("key", "k")) as work, work.begin() as uow:
        await store.write_note(uow, "a")
    assert 1 == await _notes(kit, tenant)


async def test_asked_too_late(kit: TestKit, tenant: Tenant) -> None:
    """Of several units of work the first one must ask: what is committed can't be refused."""
    with pytest.raises(Forbidden):
        async with _work(kit, tenant, _CLERK) as work:
            posting = postage.Posting(body="a", branch="ost", postage=_CHEAP)
            await postage.post_in_steps(work, posting)
    assert 0 == await _notes(kit, tenant)


async def test_asked_once(kit: TestKit, tenant: Tenant) -> None:
    """What was asked in the first unit of work holds for the others."""
    async with _work(kit, tenant, _CLERK) as work:
        async with work.begin() as uow:
            uow.require("notes:post", up_to=_CHEAP, branch="ost")
        async with work.begin() as uow:
            await store.write_note(uow, "a")
    assert 1 == await _notes(kit, tenant)
