"""What people are told of their second factors, and who may take them away."""

from __future__ import annotations

import email
import email.policy
import json
from asyncio import to_thread
from collections.abc import Callable

import httpx
import pytest
import pytest_asyncio

from pss_kernel import Actor, Forbidden, Tenant
from pss_kernel.config import IDENTITY
from pss_kernel.identity.factors.reset import reset_factors
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit
from pss_signing_in.people import Person, make_person

Pss = Callable[..., tuple[int, str, str]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(installation: Installation) -> Tenant:
    """A tenant whose people use second factors."""
    return await TestKit(installation).make_tenant()


def _subjects(kit: TestKit, person: Person) -> list[str]:
    """Of the mails to a person, in the order in which they were written."""
    folder = kit.installation.config.data_dir / "mail"
    messages = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        for path in sorted(folder.glob("*.eml"))
    ]
    return [
        str(one["Subject"]) for one in messages if one["To"] == f"{person.account_id}@example.com"
    ]


async def _reset(client: httpx.AsyncClient, who: Person, by: Person) -> tuple[int, str]:
    answer = await client.delete(f"/v1/accounts/{who.account_id}/factors", headers=by.headers)
    return answer.status_code, answer.json().get("code", "")


async def test_each_change_is_mailed(kit: TestKit, tenant: Tenant) -> None:
    """To the person, who notices what somebody else did."""
    person, admin = await make_person(kit, tenant, "agent"), await make_person(kit, tenant, "admin")
    at = f"at {tenant.name}"
    async with kit.http(tenant) as client:
        await person.enrol(client)
        path = "/v1/me/factors/recovery-codes"
        codes = (await client.post(path, headers=person.headers)).json()["codes"]
        step = (await person.first_step()).step_token
        body = {"step_token": step, "recovery_code": codes[0]}
        assert (await client.post("/v1/sessions/second-factor", json=body)).status_code == 201
        await kit.deliver(tenant)
        assert sorted(_subjects(kit, person)) == [
            f"A recovery code was used {at}",
            f"A second factor was added {at}",
            f"New recovery codes {at}",
        ]
        await admin.enrol(client)
        assert (200, "") == await _reset(client, person, admin)
        await kit.deliver(tenant)
    assert f"Your second factors were reset {at}" in _subjects(kit, person)


async def test_nobody_resets_above_themselves(kit: TestKit, tenant: Tenant) -> None:
    """Neither somebody who may more, nor the own factors: the password is not enough for that."""
    chief = await make_person(kit, tenant, "super_admin")
    admin = await make_person(kit, tenant, "admin")
    async with kit.http(tenant) as client:
        for person in (chief, admin):
            await person.enrol(client)
        assert (403, "own-account") == await _reset(client, admin, admin)
        assert (200, "") == await _reset(client, admin, chief)
    helpdesk = Actor("user", "acc_1", frozenset({"identity:factors-reset"}))
    with pytest.raises(Forbidden) as refused:
        async with kit.installation.unit_of_work(tenant, helpdesk, plugin=IDENTITY) as uow:
            await reset_factors(uow, chief.account_id)
    assert refused.value.code == "role-above-own"


async def test_the_command(kit: TestKit, tenant: Tenant, pss: Pss) -> None:
    """For when there is no other administrator; the reason stands in the trail."""
    person = await make_person(kit, tenant, "super_admin")
    async with kit.http(tenant) as client:
        await person.enrol(client)
    command = ("account", "reset-factors", person.account_id, "--tenant", tenant.code)
    status, out, said = await to_thread(pss, *command, "--reason", "lost", "--json")
    assert status == 0, said
    assert {"account_id": person.account_id, "totp": 1, "passkeys": 0}.items() <= json.loads(
        out
    ).items()
    assert "factors.reset" in [action for action, _ in await person.audited()]
    status, out, _ = await to_thread(pss, *command)
    assert status == 0
    assert out.startswith(f"Taken away from {person.account_id}: authenticator apps (0)")
