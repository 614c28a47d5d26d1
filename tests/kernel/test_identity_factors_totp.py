"""Codes of authenticator apps: used once, guessed at a few times, sealed where they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest
import pytest_asyncio

from pss_kernel import Tenant
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit
from pss_signing_in.people import UNHURRIED, Person, identity_of, make_person

STEP = "/v1/sessions/second-factor"
# Guessing costs no waiting, so that a test sees what else refuses it.
PATIENT = {"identity": {"lockout_attempts": 100, "limits": UNHURRIED}}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(installation: Installation) -> Tenant:
    """A tenant where a hundred guesses are free."""
    return await TestKit(installation).make_tenant(settings=PATIENT)


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


async def _said(client: httpx.AsyncClient, token: str, **proof: Any) -> tuple[int, str]:
    answer = await client.post(STEP, json={"step_token": token, **proof})
    return answer.status_code, answer.json().get("code", "")


async def test_enrolment(kit: TestKit, tenant: Tenant, client: httpx.AsyncClient) -> None:
    """The secret is shown once, kept sealed, and counts when a code has confirmed it."""
    person = await make_person(kit, tenant, "agent")
    begun = await client.post("/v1/me/factors/totp", json={"name": "Old"}, headers=person.headers)
    uri = urlsplit(begun.json()["uri"])
    assert begun.json()["qr_code"].startswith("data:image/svg+xml")
    label = unquote(uri.path).lstrip("/")
    assert label == f"{tenant.name}:{person.account_id}@example.com"
    assert parse_qs(uri.query)["issuer"] == [tenant.name]
    assert parse_qs(uri.query)["secret"] == [begun.json()["secret"]]
    listed = await client.get("/v1/me/factors", headers=person.headers)
    assert listed.json() == {"data": [], "recovery_codes_left": 0, "next_cursor": None}

    added = await person.enrol(client)  # begins anew: the one before it is gone
    listed = await client.get("/v1/me/factors", headers=person.headers)
    assert [one["id"] for one in listed.json()["data"]] == [added["factor"]["id"]]
    assert person.secret not in listed.text
    async with identity_of(kit, tenant) as uow:
        rows = await uow.hot("SELECT secret FROM factor WHERE account_id = $1", person.account_id)
    assert len(rows) == 1
    assert person.secret.encode() not in rows[0]["secret"]
    me = (await client.get("/v1/me", headers=person.headers)).json()
    assert me["methods"] == ["mfa", "otp", "pwd"]


async def test_a_wrong_code_confirms_nothing(
    kit: TestKit, tenant: Tenant, client: httpx.AsyncClient
) -> None:
    """Until the app's own code comes, nobody is asked for it."""
    person = await make_person(kit, tenant, "agent")
    begun = await client.post("/v1/me/factors/totp", json={}, headers=person.headers)
    person.secret = begun.json()["secret"]
    path = f"/v1/me/factors/{begun.json()['id']}/confirm"
    wrong = f"{(int(person.code()) + 1) % 1_000_000:06}"
    refused = await client.post(path, json={"code": wrong}, headers=person.headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "wrong-code")
    other = await make_person(kit, tenant, "agent")
    code = person.code()
    refused = await client.post(path, json={"code": code}, headers=other.headers)
    assert refused.status_code == 404
    confirmed = await client.post(path, json={"code": code}, headers=person.headers)
    assert confirmed.status_code == 200
    again = await client.post(path, json={"code": code}, headers=person.headers)
    # It is the old token, and now there is a factor that it does not speak of.
    assert (again.status_code, again.json()["code"]) == (403, "step-up-required")


async def test_a_code_opens_a_session(client: httpx.AsyncClient, person: Person) -> None:
    """The second step answers like a sign-in without one, and its token says how it was done."""
    step = await person.first_step()
    assert step.kinds == ["totp"]
    answer = await client.post(
        STEP, json={"step_token": step.step_token, "code": await person.unused_code()}
    )
    assert answer.status_code == 201, answer.text
    person.use(answer.json()["access_token"])
    me = (await client.get("/v1/me", headers=person.headers)).json()
    assert (me["id"], me["methods"]) == (person.account_id, ["mfa", "otp", "pwd"])
    assert (401, "sign-in-ended") == await _said(client, step.step_token, code=person.code(ahead=1))


async def test_no_code_twice(client: httpx.AsyncClient, person: Person) -> None:
    """A code of the app is good once, and an earlier one no more after it."""
    earlier, later = person.code(), person.code(ahead=1)
    tokens = [(await person.first_step()).step_token for _ in range(3)]
    assert (401, "wrong-second-factor") == await _said(client, tokens[0], code=earlier)
    assert (201, "") == await _said(client, tokens[0], code=later)
    assert (401, "wrong-second-factor") == await _said(client, tokens[1], code=later)
    assert (401, "wrong-second-factor") == await _said(client, tokens[1], code=earlier)


async def test_the_same_code_many_times_at_once(client: httpx.AsyncClient, person: Person) -> None:
    """Of twenty that come together one gets a session."""
    code = await person.unused_code()
    tokens = [(await person.first_step()).step_token for _ in range(20)]
    answers = await asyncio.gather(*(_said(client, token, code=code) for token in tokens))
    assert sorted(answers) == [(201, "")] + [(401, "wrong-second-factor")] * 19


async def test_one_step_many_times_at_once(client: httpx.AsyncClient, person: Person) -> None:
    """One step gives one session, whatever is sent for it."""
    token = (await person.first_step()).step_token
    codes = [await person.unused_code(), person.code(ahead=1)] * 2
    answers = await asyncio.gather(*(_said(client, token, code=code) for code in codes))
    assert [status for status, _ in answers].count(201) == 1


async def test_five_attempts_for_a_step(client: httpx.AsyncClient, person: Person) -> None:
    """After five wrong codes the right one comes too late for this step."""
    right = await person.unused_code()
    wrong = f"{(int(right) + 7) % 1_000_000:06}"
    token = (await person.first_step()).step_token
    for _ in range(5):
        assert (401, "wrong-second-factor") == await _said(client, token, code=wrong)
    assert (401, "sign-in-ended") == await _said(client, token, code=right)
    another = (await person.first_step()).step_token
    assert (201, "") == await _said(client, another, code=right)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sign_in_step SET expires_at = now() WHERE account_id = $1",
        "UPDATE account SET state = 'disabled' WHERE account_id = $1",
        "UPDATE account SET password_changed_at = clock_timestamp() WHERE account_id = $1",
    ],
)
async def test_what_ends_a_step(
    kit: TestKit, client: httpx.AsyncClient, person: Person, change: str
) -> None:
    """Ten minutes, the account's end, a new password."""
    token = (await person.first_step()).step_token
    code = await person.unused_code()
    async with identity_of(kit, person.tenant) as uow:
        await uow.hot(change, person.account_id)
    assert (401, "sign-in-ended") == await _said(client, token, code=code)


async def test_steps_and_codes_are_one_person_s(
    kit: TestKit, client: httpx.AsyncClient, person: Person
) -> None:
    """Neither another person's code nor another tenant's step gets anywhere."""
    other = await make_person(kit, person.tenant, "agent")
    await other.enrol(client)
    token = (await person.first_step()).step_token
    assert (401, "wrong-second-factor") == await _said(
        client, token, code=await other.unused_code()
    )
    elsewhere = await kit.make_tenant()
    async with kit.http(elsewhere) as there:
        assert (401, "sign-in-ended") == await _said(there, token, code=await person.unused_code())


async def test_exactly_one_proof(client: httpx.AsyncClient, person: Person) -> None:
    """None and two are both refused before anything is looked at."""
    token = (await person.first_step()).step_token
    assert (422, "invalid") == await _said(client, token)
    both = {"code": "123456", "recovery_code": "0123-4567-89ab-cdef"}
    assert (422, "invalid") == await _said(client, token, **both)


async def test_guessing_locks_the_account(kit: TestKit) -> None:
    """After a few wrong codes the right one is not looked at until the time is over."""
    tenant = await kit.make_tenant(
        settings={"identity": {"lockout_attempts": 3, "limits": UNHURRIED}}
    )
    person = await make_person(kit, tenant, "agent")
    async with kit.http(tenant) as client:
        await person.enrol(client)
        right = await person.unused_code()
        wrong = f"{(int(right) + 7) % 1_000_000:06}"
        tokens = [(await person.first_step()).step_token for _ in range(30)]
        await asyncio.gather(*(_said(client, token, code=wrong) for token in tokens))
        looked_at = [one for one, _ in await person.audited() if one == "factor.refused"]
        assert len(looked_at) == 3
        token = (await person.first_step()).step_token
        assert (403, "second-factor-locked") == await _said(client, token, code=right)
        locked = await client.post(
            "/v1/sessions/current/step-up", json={"code": right}, headers=person.headers
        )
        assert (locked.status_code, locked.json()["code"]) == (403, "second-factor-locked")
        async with identity_of(kit, tenant) as uow:
            (row,) = await uow.hot(
                "UPDATE factor_lock SET locked_until = now() - interval '1 second' "
                "WHERE account_id = $1 RETURNING failures",
                person.account_id,
            )
        assert row["failures"] == 3
        assert (201, "") == await _said(client, token, code=right)
        async with identity_of(kit, tenant) as uow:
            assert [] == await uow.hot("SELECT account_id FROM factor_lock")


async def test_a_hundred_wrong_codes_end_it(
    kit: TestKit, client: httpx.AsyncClient, person: Person
) -> None:
    """Then only an administrator helps, however long somebody waits."""
    async with identity_of(kit, person.tenant) as uow:
        await uow.hot("INSERT INTO factor_lock VALUES ($1, 100, NULL)", person.account_id)
    token = (await person.first_step()).step_token
    code = await person.unused_code()
    assert (403, "second-factor-locked") == await _said(client, token, code=code)


async def test_what_was_never_confirmed_is_forgotten(
    kit: TestKit, tenant: Tenant, client: httpx.AsyncClient
) -> None:
    """After 15 minutes no code confirms it, and after an hour its secret is gone."""
    person = await make_person(kit, tenant, "agent")
    begun = await client.post("/v1/me/factors/totp", json={}, headers=person.headers)
    person.secret = begun.json()["secret"]
    age = "UPDATE factor SET created_at = now() - $2::interval WHERE account_id = $1 RETURNING 1"
    async with identity_of(kit, tenant) as uow:
        await uow.hot(age, person.account_id, timedelta(minutes=16))
    late = await client.post(
        f"/v1/me/factors/{begun.json()['id']}/confirm",
        json={"code": person.code()},
        headers=person.headers,
    )
    assert late.status_code == 404
    await kit.run_job(tenant, "identity", "forget_unconfirmed_factors")
    async with identity_of(kit, tenant) as uow:
        assert len(await uow.hot(age, person.account_id, timedelta(minutes=61))) == 1
    await kit.run_job(tenant, "identity", "forget_unconfirmed_factors")
    async with identity_of(kit, tenant) as uow:
        assert [] == await uow.hot(age, person.account_id, timedelta())


async def test_enrolling_ends_other_sessions(
    kit: TestKit, tenant: Tenant, client: httpx.AsyncClient
) -> None:
    """Whoever else is signed in as this person does so again, with the factor."""
    person = await make_person(kit, tenant, "agent")
    elsewhere = dict(person.headers)
    await person.sign_in()
    await person.enrol(client)
    await kit.installation.directory.refresh()
    refused = await client.get("/v1/me", headers=elsewhere)
    assert (refused.status_code, refused.json()["code"]) == (401, "session-ended")
    assert (await client.get("/v1/me", headers=person.headers)).status_code == 200


async def test_changing_factors_needs_the_one_that_is_there(
    kit: TestKit, tenant: Tenant, client: httpx.AsyncClient
) -> None:
    """Who has the password only can't add, remove or replace anything."""
    person = await make_person(kit, tenant, "agent")
    await person.enrol(client)
    factor_id = person.factor_id
    await person.sign_in({"pwd"})  # as a session would be that slipped by
    for method, path in (
        ("POST", "/v1/me/factors/totp"),
        ("POST", "/v1/me/factors/passkeys/options"),
        ("POST", "/v1/me/factors/recovery-codes"),
        ("DELETE", f"/v1/me/factors/{factor_id}"),
    ):
        body = {} if path.endswith("totp") else None
        refused = await client.request(method, path, json=body, headers=person.headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "step-up-required"), path
    stepped_up = await client.post(
        "/v1/sessions/current/step-up",
        json={"code": await person.unused_code()},
        headers=person.headers,
    )
    person.use(stepped_up.json()["access_token"])
    removed = await client.delete(f"/v1/me/factors/{factor_id}", headers=person.headers)
    assert (removed.status_code, removed.json()["id"]) == (200, factor_id)
    actions = [action for action, _ in await person.audited()]
    assert {"factor.added", "factor.removed", "session.stepped-up"} <= set(actions)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_factors_are_of_people(kit: TestKit, tenant: Tenant, method: str) -> None:
    """A guest is asked who it is; a key has no factors, and can't get any."""
    path = "/v1/me/factors" if method == "GET" else "/v1/me/factors/totp"
    body = {} if method == "POST" else None
    async with kit.http(tenant) as guest:
        assert (await guest.request(method, path, json=body)).status_code == 401
    async with kit.http(tenant, ["*"]) as key:
        refused = await key.request(method, path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "not-a-person")
