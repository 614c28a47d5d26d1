"""Personal data: sealed with a key for each person, unreadable once that is erased."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from pss_guarded import store
from pss_guarded.models import metadata
from pss_kernel import ERASED, Erased
from pss_kernel.errors import Problem
from pss_kernel.keys._personal import personal_columns
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._rotation import erase_tenant_keys
from pss_kernel.testing import TestKit

ADA = {"email": "ada@visitor.example", "phone": "+43 1 234567", "numbers": [1, 2]}
BEN = {"email": "ben@visitor.example", "phone": None}


async def visit(kit: TestKit, **contacts: Any) -> tuple[Tenant, dict[str, str]]:
    """A tenant with these visitors; their ids by name."""
    tenant = await kit.make_tenant(plugins=["guarded"])
    async with kit.unit_of_work(tenant) as uow:
        return tenant, await store.write_visitors(uow, contacts)


async def read(kit: TestKit, tenant: Tenant, *ids: str) -> list[Any]:
    """Their contacts, in the order of the ids."""
    now = kit.installation.directory.by_code(tenant.code)
    async with kit.unit_of_work(now) as uow:
        found = await store.read_visitors(uow, list(ids))
    return [found[one] for one in ids]


async def on_schema(kit: TestKit, tenant: Tenant, sql: str) -> None:
    """Run SQL on the tenant's tables as the owner, past everything that checks them."""
    async with kit.installation.cell(tenant).owner() as owner:
        await owner.execute(f'SET search_path = "{tenant.schema}"')
        await owner.execute(sql)


def test_the_model_says_so() -> None:
    """A personal column is known from the plugin's tables."""
    expected = [("visitor.contact", "e-mail address and telephone number")]
    assert expected == list(personal_columns(metadata))


async def test_sealed_and_erased(both: TestKit, everything: Callable[..., Any]) -> None:
    """The tables hold nothing in clear; a person whose key is erased can't be read any more."""
    tenant, ids = await visit(both, ada=ADA, ben=BEN, cleo=None)
    assert [ADA, BEN, None] == await read(both, tenant, *(ids[n] for n in ("ada", "ben", "cleo")))
    before = await everything(both, tenant.code)
    assert "ada" in before  # her name, which is looked up
    assert [] == [text for text in ("visitor.example", "234567") if text in before]
    async with both.unit_of_work(tenant) as uow:
        assert [ids["ada"]] == await uow.erase_persons(ids["ada"])
    async with both.unit_of_work(tenant) as uow:
        assert [] == await uow.erase_persons(ids["ada"])
    erased, ben = await read(both, tenant, ids["ada"], ids["ben"])
    assert erased is ERASED
    assert isinstance(erased, Erased)
    assert not erased
    assert BEN == ben
    # What is left has her ciphertext, and no key that opens it.
    keys = [
        line for line in (await everything(both, tenant.code)).splitlines() if "person_key" in line
    ]
    assert 2 == len(keys)
    (hers,) = [line for line in keys if ids["ada"] in line]
    assert "\\\\x" not in hers


async def test_erased_for_good(both: TestKit) -> None:
    """Nothing can be written again for a person who was erased, known before or not."""
    tenant, ids = await visit(both, ada=ADA)
    async with both.unit_of_work(tenant) as uow:
        assert sorted([ids["ada"], "vis_new"]) == await uow.erase_persons("vis_new", ids["ada"])
    for subject in (ids["ada"], "vis_new"):
        with pytest.raises(Problem) as refused:
            async with both.unit_of_work(tenant) as uow:
                await uow.seal({subject: {"visitor.contact": "again"}})
        assert "person-erased" == refused.value.code


async def test_an_erasure_that_is_undone(one: TestKit) -> None:
    """An erasure happens with its transaction, or not at all."""
    tenant, ids = await visit(one, ada=ADA)
    with suppress(ZeroDivisionError):
        async with one.unit_of_work(tenant) as uow:
            assert [ids["ada"]] == await uow.erase_persons(ids["ada"])
            raise ZeroDivisionError
    assert [ADA] == await read(one, tenant, ids["ada"])


async def test_a_tenant_is_erased(both: TestKit, clear: str) -> None:
    """Without its data keys a tenant's people and secrets can't be read; it can begin anew."""
    from pss_guarded import Settings  # noqa: PLC0415 - beside what it is for

    tenant, ids = await visit(both, ada=ADA)
    assert 1 == await erase_tenant_keys(both.installation, tenant.code)
    assert [ERASED] == await read(both, tenant, ids["ada"])
    now = both.installation.directory.by_code(tenant.code)
    async with both.unit_of_work(now) as uow:
        again = await store.write_visitors(uow, {"ben": BEN})
    assert [BEN] == await read(both, tenant, again["ben"])
    assert both.installation.settings_of(now, Settings).token is None


@pytest.mark.parametrize("place", [1, 7, 20, -1])
async def test_a_flipped_bit(both: TestKit, place: int) -> None:
    """An altered value is refused, and not taken for an erased one."""
    tenant, ids = await visit(both, ada=ADA)
    at = f"length(contact) {place}" if place < 0 else str(place)
    await on_schema(
        both,
        tenant,
        f"UPDATE visitor SET contact = set_byte(contact, {at}, get_byte(contact, {at}) # 4)",
    )
    with pytest.raises(Problem) as refused:
        await read(both, tenant, ids["ada"])
    assert "sealed-value-altered" == refused.value.code
    assert "ada@" not in refused.value.sentence


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE visitor SET contact = (SELECT contact FROM visitor WHERE name = 'ben')",
        "UPDATE person_key SET wrapped = (SELECT wrapped FROM person_key WHERE subject = '{ben}')",
        "UPDATE visitor SET contact = '\\x00'",
        "UPDATE person_key SET wrapped = '\\x01'",
    ],
)
async def test_copied_from_another_person(both: TestKit, sql: str) -> None:
    """One person's data or key, put in the place of another's, opens nothing."""
    tenant, ids = await visit(both, ada=ADA, ben=BEN)
    await on_schema(both, tenant, sql.format(**ids))
    with pytest.raises(Problem) as refused:
        await read(both, tenant, ids["ada"])
    assert "sealed-value-altered" == refused.value.code


async def test_copied_from_another_field_or_tenant(both: TestKit) -> None:
    """A value opens in the field and the tenant that it was sealed for."""
    tenant, ids = await visit(both, ada=ADA)
    other, _ = await visit(both, ada=ADA)
    async with both.unit_of_work(tenant) as uow:
        sealed = await uow.seal({"vis_x": {"visitor.contact": "x", "visitor.diet": None}})
        assert sealed["vis_x"]["visitor.diet"] is None
        contact = sealed["vis_x"]["visitor.contact"]
        assert {"vis_x": {"visitor.contact": "x"}} == await uow.unseal(
            {"vis_x": {"visitor.contact": contact}}
        )
        with pytest.raises(Problem):
            await uow.unseal({"vis_x": {"visitor.diet": contact}})
    async with both.unit_of_work(other) as uow:
        await uow.seal({"vis_x": {"visitor.contact": "y"}})
        with pytest.raises(Problem):
            await uow.unseal({"vis_x": {"visitor.contact": contact}})
    assert ids


async def test_round_trips(one: TestKit) -> None:
    """Any number of people cost one statement, and nothing costs none."""
    tenant, _ = await visit(one, ada=ADA)
    now = one.installation.directory.by_code(tenant.code)
    people: dict[str, dict[str, Any]] = {f"vis_{n}": {"a": n, "b": None} for n in range(50)}
    async with one.unit_of_work(now) as uow:
        sent: list[str] = []
        uow._binding.open("guarded").add_query_logger(lambda query: sent.append(query.query))
        sealed = await uow.seal(people)
        await asyncio.sleep(0)  # the driver reports what it sent in the loop's next turn
        assert 1 == len(sent)
        assert people == await uow.unseal(sealed)
        await asyncio.sleep(0)
        assert 2 == len(sent)
        assert {"vis_x": {"a": None}} == await uow.seal({"vis_x": {"a": None}})
        assert {"vis_x": {"a": None}} == await uow.unseal({"vis_x": {"a": None}})
        await asyncio.sleep(0)
        assert 2 == len(sent)


async def test_the_first_person_at_once(both: TestKit) -> None:
    """Requests that are the first of a tenant agree on one data key, and on one key a person."""
    tenant = await both.make_tenant(plugins=["guarded"])

    async def seal(number: int) -> dict[str, Any]:
        async with both.unit_of_work(tenant) as uow:
            return await uow.seal({"vis_same": {"n": number}, f"vis_{number}": {"n": number}})

    sealed = await asyncio.gather(*(seal(number) for number in range(6)))
    await both.installation.directory.refresh()
    now = both.installation.directory.by_code(tenant.code)
    assert [1] == [key.number for key in now.keys]
    async with both.unit_of_work(now) as uow:
        for number, one in enumerate(sealed):
            assert {"n": number} == (await uow.unseal(one))["vis_same"]


async def test_for_its_own_tenant_only(both: TestKit) -> None:
    """A tenant's role can't read the keys of tenants, and not those of another's people."""
    tenant, _ = await visit(both, ada=ADA)
    other, _ = await visit(both, ada=ADA)
    for sql in (
        "SELECT * FROM pss.tenant_key",
        "SELECT * FROM pss.setting_change",
        f'SELECT * FROM "{other.schema}".person_key',
    ):
        with pytest.raises(Exception, match="permission denied"):
            async with both.unit_of_work(tenant) as uow:
                await uow.hot(sql)


async def test_plugins_with_roles_of_their_own(both: TestKit) -> None:
    """A strict tenant's plugin seals and reads, and can't reach people's keys with SQL."""
    tenant = await both.make_tenant(plugins=["guarded"], strict_plugins=True)
    async with both.installation.unit_of_work(tenant, plugin="guarded") as uow:
        ids = await store.write_visitors(uow, {"Ada": "+43 1 234567"})
    async with both.installation.unit_of_work(tenant, plugin="guarded") as uow:
        assert {ids["Ada"]: "+43 1 234567"} == await store.read_visitors(uow, [ids["Ada"]])
        assert [ids["Ada"]] == await uow.erase_persons(ids["Ada"])
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with uow.savepoint():
                await uow.hot("SELECT * FROM person_key")
