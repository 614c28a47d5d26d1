"""Recovery codes: each signs in once, and new ones end the old ones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio

from pss_kernel import Tenant
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit
from pss_signing_in.people import UNHURRIED, Person, identity_of, make_person

STEP = "/v1/sessions/second-factor"
CODES = "/v1/me/factors/recovery-codes"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(installation: Installation) -> Tenant:
    """A tenant where a hundred guesses are free."""
    settings = {"identity": {"lockout_attempts": 100, "limits": UNHURRIED}}
    return await TestKit(installation).make_tenant(settings=settings)


@pytest_asyncio.fixture(loop_scope="session")
async def client(kit: TestKit, tenant: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    """A guest there."""
    async with kit.http(tenant) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def person(kit: TestKit, tenant: Tenant, client: httpx.AsyncClient) -> Person:
    """Somebody with an authenticator app."""
    made = await make_person(kit, tenant, "agent")
    await made.enrol(client)
    return made


async def _codes(client: httpx.AsyncClient, person: Person) -> list[str]:
    made = await client.post(CODES, headers=person.headers)
    assert made.status_code == 201, made.text
    codes: list[str] = made.json()["codes"]
    return codes


async def _said(client: httpx.AsyncClient, token: str, **proof: Any) -> tuple[int, str]:
    answer = await client.post(STEP, json={"step_token": token, **proof})
    return answer.status_code, answer.json().get("code", "")


async def test_codes_are_shown_once(
    kit: TestKit, client: httpx.AsyncClient, person: Person
) -> None:
    """Ten of 80 bits, in letters that can't be mistaken; digests are kept, and nothing else."""
    codes = await _codes(client, person)
    assert len(set(codes)) == 10
    form = re.compile(r"([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}")
    assert all(form.fullmatch(code) for code in codes), codes
    async with identity_of(kit, person.tenant) as uow:
        rows = await uow.hot(
            "SELECT recovery_code::text AS text FROM recovery_code WHERE account_id = $1",
            person.account_id,
        )
    kept = "".join(row["text"] for row in rows)
    assert len(rows) == 10
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)
    listed = await client.get("/v1/me/factors", headers=person.headers)
    assert listed.json()["recovery_codes_left"] == 10
    assert not any(code in listed.text for code in codes)


async def test_a_code_signs_in_once(client: httpx.AsyncClient, person: Person) -> None:
    """However it is typed; the trail tells of it, and how many are left."""
    code = (await _codes(client, person))[3]
    typed = code.upper().replace("-", " ").replace("0", "O").replace("1", "l")
    steps = [await person.first_step() for _ in range(2)]
    assert steps[0].kinds == ["recovery_code", "totp"]
    assert (201, "") == await _said(client, steps[0].step_token, recovery_code=typed)
    assert (401, "wrong-second-factor") == await _said(
        client, steps[1].step_token, recovery_code=code
    )
    used = [after for action, after in await person.audited() if action == "recovery-code.used"]
    assert used == ['{"left": 9}']


async def test_a_code_many_times_at_once(client: httpx.AsyncClient, person: Person) -> None:
    """Of twenty that come together one gets a session."""
    code = (await _codes(client, person))[0]
    tokens = [(await person.first_step()).step_token for _ in range(20)]
    answers = await asyncio.gather(*(_said(client, one, recovery_code=code) for one in tokens))
    assert sorted(answers) == [(201, "")] + [(401, "wrong-second-factor")] * 19


async def test_new_codes_end_the_old(client: httpx.AsyncClient, person: Person) -> None:
    """Ten are good at any time, those that were made last."""
    old, new = await _codes(client, person), await _codes(client, person)
    assert not set(old) & set(new)
    token = (await person.first_step()).step_token
    assert (401, "wrong-second-factor") == await _said(client, token, recovery_code=old[0])
    assert (201, "") == await _said(client, token, recovery_code=new[0])


async def test_another_person_s_code(
    kit: TestKit, client: httpx.AsyncClient, person: Person
) -> None:
    """A code belongs to its account."""
    other = await make_person(kit, person.tenant, "agent")
    await other.enrol(client)
    code = (await _codes(client, other))[0]
    await _codes(client, person)
    token = (await person.first_step()).step_token
    assert (401, "wrong-second-factor") == await _said(client, token, recovery_code=code)


async def test_codes_stand_in_for_a_factor(
    kit: TestKit, tenant: Tenant, client: httpx.AsyncClient
) -> None:
    """Without a factor there are none, and with the last factor they go."""
    person = await make_person(kit, tenant, "agent")
    refused = await client.post(CODES, headers=person.headers)
    assert (refused.status_code, refused.json()["code"]) == (409, "no-second-factor")
    await person.enrol(client)
    await _codes(client, person)
    gone = await client.delete(f"/v1/me/factors/{person.factor_id}", headers=person.headers)
    assert gone.status_code == 200, gone.text
    async with identity_of(kit, tenant) as uow:
        rows = await uow.hot(
            "SELECT digest FROM recovery_code WHERE account_id = $1", person.account_id
        )
    assert rows == []


async def test_no_step_up_with_a_recovery_code(client: httpx.AsyncClient, person: Person) -> None:
    """They are for signing in after a loss; a step-up takes what the person has at hand."""
    code = (await _codes(client, person))[0]
    refused = await client.post(
        "/v1/sessions/current/step-up", json={"recovery_code": code}, headers=person.headers
    )
    assert refused.status_code == 422
