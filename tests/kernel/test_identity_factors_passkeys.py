"""Passkeys: as a second factor and alone, and what an authenticator's answer must not be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_kernel import Tenant
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit
from pss_signing_in.authenticator import Authenticator, decoded, encoded
from pss_signing_in.people import UNHURRIED, Person, identity_of, make_person

DOMAIN = "staff.example.com"
ORIGIN = f"https://{DOMAIN}"
Change = Callable[[dict[str, Any]], None]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(installation: Installation) -> Tenant:
    """A tenant whose staff sign in at a page of its own."""
    settings = {"identity": {"passkey_domain": DOMAIN, "limits": UNHURRIED}}
    return await TestKit(installation).make_tenant(settings=settings)


@pytest_asyncio.fixture(loop_scope="session")
async def client(kit: TestKit, tenant: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    """A guest there."""
    async with kit.http(tenant) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def person(kit: TestKit, tenant: Tenant) -> Person:
    """Somebody who has signed in with a password."""
    return await make_person(kit, tenant, "agent")


async def _options(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    headers = body.pop("headers", {})
    answer = await client.post(path, json=body or None, headers=headers)
    assert answer.is_success, answer.text
    found: dict[str, Any] = answer.json()["public_key"]
    return found


async def _register(
    client: httpx.AsyncClient, person: Person, device: Authenticator
) -> httpx.Response:
    path = "/v1/me/factors/passkeys"
    options = await _options(client, f"{path}/options", headers=person.headers)
    return await client.post(
        path,
        json={"credential": device.create(options), "name": "Laptop"},
        headers=person.headers,
    )


async def _enrolled(client: httpx.AsyncClient, person: Person, **traits: Any) -> Authenticator:
    device = Authenticator(ORIGIN, **traits)
    added = await _register(client, person, device)
    assert added.status_code == 201, added.text
    person.use(added.json()["token"]["access_token"])
    return device


async def _alone(client: httpx.AsyncClient, answer: dict[str, Any]) -> httpx.Response:
    return await client.post("/v1/sessions/passkey", json={"passkey": answer})


async def test_registration_options(client: httpx.AsyncClient, person: Person) -> None:
    """The tenant's domain, the account as user handle, no attestation."""
    options = await _options(client, "/v1/me/factors/passkeys/options", headers=person.headers)
    assert options["rp"] == {"id": DOMAIN, "name": person.tenant.name}
    assert decoded(options["user"]["id"]).decode() == person.account_id
    assert options["attestation"] == "none"
    assert len(decoded(options["challenge"])) == 32
    assert {-8, -7, -257} == {one["alg"] for one in options["pubKeyCredParams"]}


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
@pytest.mark.parametrize("synced", [False, True])
async def test_a_passkey_alone(
    client: httpx.AsyncClient, person: Person, algorithm: Any, synced: bool
) -> None:
    """With its PIN or finger it is two factors, and the token says of which kind."""
    device = await _enrolled(client, person, algorithm=algorithm, synced=synced)
    options = await _options(client, "/v1/sessions/passkey/options")
    assert (options["userVerification"], options["rpId"]) == ("required", DOMAIN)
    assert options.get("allowCredentials", []) == []
    signed_in = await _alone(client, device.get(options))
    assert signed_in.status_code == 201, signed_in.text
    person.use(signed_in.json()["access_token"])
    me = (await client.get("/v1/me", headers=person.headers)).json()
    kind = "swk" if synced else "hwk"
    assert (me["id"], me["methods"]) == (person.account_id, sorted([kind, "mfa", "user"]))


async def test_a_passkey_after_the_password(client: httpx.AsyncClient, person: Person) -> None:
    """Then it needs no PIN; its own passkeys are named to the browser."""
    device = await _enrolled(client, person, verifies=False)
    step = await person.first_step()
    assert step.kinds == ["passkey"]
    path = "/v1/sessions/second-factor"
    options = await _options(client, f"{path}/passkey-options", step_token=step.step_token)
    assert [one["id"] for one in options["allowCredentials"]] == [encoded(device.credential_id)]
    answer = device.get(options)
    body = {"step_token": step.step_token, "passkey": answer}
    signed_in = await client.post(path, json=body)
    assert signed_in.status_code == 201, signed_in.text
    person.use(signed_in.json()["access_token"])
    me = (await client.get("/v1/me", headers=person.headers)).json()
    assert me["methods"] == ["hwk", "mfa", "pwd", "user"]
    again = await client.post(path, json=body)
    assert (again.status_code, again.json()["code"]) == (401, "sign-in-ended")


async def test_stepping_up(client: httpx.AsyncClient, person: Person) -> None:
    """A passkey serves as well as a code; another person's does not."""
    device = await _enrolled(client, person)
    await person.sign_in()
    path = "/v1/sessions/current/step-up"
    options = await _options(client, f"{path}/passkey-options", headers=person.headers)
    other = await make_person(person.kit, person.tenant, "agent")
    theirs = await _enrolled(client, other)
    refused = await client.post(path, json={"passkey": theirs.get(options)}, headers=person.headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "wrong-code")
    options = await _options(client, f"{path}/passkey-options", headers=person.headers)
    raised = await client.post(path, json={"passkey": device.get(options)}, headers=person.headers)
    assert raised.status_code == 200, raised.text
    assert raised.json()["methods"] == ["hwk", "mfa", "pwd", "user"]


async def test_an_answer_is_good_once(client: httpx.AsyncClient, person: Person) -> None:
    """Its challenge is used with it."""
    device = await _enrolled(client, person, counts=False)
    answer = device.get(await _options(client, "/v1/sessions/passkey/options"))
    assert (await _alone(client, answer)).status_code == 201
    replayed = await _alone(client, answer)
    assert (replayed.status_code, replayed.json()["code"]) == (401, "wrong-second-factor")


async def test_a_challenge_ends(kit: TestKit, client: httpx.AsyncClient, person: Person) -> None:
    """After five minutes it is as if it had not been given."""
    device = await _enrolled(client, person)
    options = await _options(client, "/v1/sessions/passkey/options")
    async with identity_of(kit, person.tenant) as uow:
        await uow.hot("UPDATE sign_in_step SET expires_at = now() WHERE account_id IS NULL")
    assert (await _alone(client, device.get(options))).status_code == 401


async def test_a_challenge_for_something_else(client: httpx.AsyncClient, person: Person) -> None:
    """One that was given for a step-up signs nobody in, nor one that we never gave."""
    device = await _enrolled(client, person)
    path = "/v1/sessions/current/step-up/passkey-options"
    options = await _options(client, path, headers=person.headers)
    assert (await _alone(client, device.get(options))).status_code == 401
    options = await _options(client, "/v1/sessions/passkey/options")
    assert (
        await _alone(client, device.get(options, challenge=encoded(bytes(32))))
    ).status_code == 401


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://staff.example.com",
        "https://staff.example.com:8443",
        "https://staff.example.com.evil.example",
        "https://www.staff.example.com",
    ],
)
async def test_wrong_origins(client: httpx.AsyncClient, person: Person, origin: str) -> None:
    """The page must be the one, to the letter: for a new passkey and for one that signs in."""
    refused = await _register(client, person, Authenticator(origin))
    assert (refused.status_code, refused.json()["code"]) == (400, "passkey-refused")
    device = await _enrolled(client, person)
    device.origin = origin
    options = await _options(client, "/v1/sessions/passkey/options")
    assert (await _alone(client, device.get(options))).status_code == 401


async def test_wrong_relying_party(client: httpx.AsyncClient, person: Person) -> None:
    """A passkey signs for one domain."""
    device = await _enrolled(client, person)
    options = await _options(client, "/v1/sessions/passkey/options")
    assert (await _alone(client, device.get(options, rp_id="example.com"))).status_code == 401


def _change(name: str, at: int) -> Change:
    def change(answer: dict[str, Any]) -> None:
        text = bytearray(decoded(answer["response"][name]))
        text[at] ^= 1
        answer["response"][name] = encoded(bytes(text))

    return change


def _put(name: str, value: Any) -> Change:
    return lambda answer: answer["response"].__setitem__(name, value)


@pytest.mark.parametrize(
    "change",
    [
        _change("signature", 10),
        _change("authenticatorData", 36),
        _change("clientDataJSON", 3),
        _put("signature", ""),
        _put("signature", 7),
        _put("authenticatorData", "AA"),
        _put("clientDataJSON", encoded(b"[]")),
        _put("clientDataJSON", None),
        _put("userHandle", encoded(b"acc_somebody_else")),
        _put("userHandle", None),
        _put("userHandle", 5),
        lambda answer: answer.update(id="AAAA"),
        lambda answer: answer.update(type="password"),
        lambda answer: answer.update(response={}),
    ],
)
async def test_altered_answers(client: httpx.AsyncClient, person: Person, change: Change) -> None:
    """Whatever is changed in an answer, it is refused and nothing else happens."""
    device = await _enrolled(client, person)
    answer = device.get(await _options(client, "/v1/sessions/passkey/options"))
    change(answer)
    refused = await _alone(client, answer)
    assert (refused.status_code, refused.json()["code"]) == (401, "wrong-second-factor")


@pytest.mark.parametrize(
    "change",
    [
        _put("attestationObject", encoded(b"\xff")),
        _put("attestationObject", encoded(b"\xa0")),
        _put("attestationObject", encoded(b"\x01")),
        _put("attestationObject", ""),
        _put("clientDataJSON", encoded(b"nothing")),
        _change("attestationObject", -1),
        _change("clientDataJSON", 30),
    ],
)
async def test_altered_registrations(
    client: httpx.AsyncClient, person: Person, change: Change
) -> None:
    """The same for a new passkey; an altered key makes a passkey that signs nobody in."""
    options = await _options(client, "/v1/me/factors/passkeys/options", headers=person.headers)
    device = Authenticator(ORIGIN)
    credential = device.create(options)
    change(credential)
    answer = await client.post(
        "/v1/me/factors/passkeys", json={"credential": credential}, headers=person.headers
    )
    if answer.status_code == 201:
        options = await _options(client, "/v1/sessions/passkey/options")
        assert (await _alone(client, device.get(options))).status_code == 401
    else:
        assert (answer.status_code, answer.json()["code"]) == (400, "passkey-refused")


async def test_without_pin_or_finger(client: httpx.AsyncClient, person: Person) -> None:
    """A touch alone is one factor, and not enough without a password."""
    device = await _enrolled(client, person, verifies=False)
    options = await _options(client, "/v1/sessions/passkey/options")
    assert (await _alone(client, device.get(options))).status_code == 401


async def test_a_copied_authenticator(client: httpx.AsyncClient, person: Person) -> None:
    """One that counts backwards has a twin somewhere: refused, and in the trail."""
    device = await _enrolled(client, person)
    options = await _options(client, "/v1/sessions/passkey/options")
    device.count = 5
    assert (await _alone(client, device.get(options))).status_code == 201
    device.count = 2
    options = await _options(client, "/v1/sessions/passkey/options")
    assert (await _alone(client, device.get(options))).status_code == 401
    assert "factor.cloned" in [action for action, _ in await person.audited()]


async def test_another_tenant_s_passkey(
    kit: TestKit, client: httpx.AsyncClient, person: Person, tenant: Tenant
) -> None:
    """A passkey is known to the tenant where it was made, be it of the same domain."""
    device = await _enrolled(client, person)
    assert (
        await _alone(client, device.get(await _options(client, "/v1/sessions/passkey/options")))
    ).status_code == 201
    elsewhere = await kit.make_tenant(settings={"identity": {"passkey_domain": DOMAIN}})
    async with kit.http(elsewhere) as there:
        options = await _options(there, "/v1/sessions/passkey/options")
        assert (await _alone(there, device.get(options))).status_code == 401
        options = await _options(client, "/v1/sessions/passkey/options")
        assert (await _alone(there, device.get(options))).status_code == 401


async def test_a_disabled_account_s_passkey(
    kit: TestKit, client: httpx.AsyncClient, person: Person
) -> None:
    """Whose account is closed stays out."""
    device = await _enrolled(client, person)
    async with identity_of(kit, person.tenant) as uow:
        await uow.hot(
            "UPDATE account SET state = 'disabled' WHERE account_id = $1", person.account_id
        )
    options = await _options(client, "/v1/sessions/passkey/options")
    assert (await _alone(client, device.get(options))).status_code == 401


async def test_a_passkey_is_one_person_s(
    kit: TestKit, client: httpx.AsyncClient, person: Person
) -> None:
    """Nobody else can register it, nor answer with somebody else's challenge."""
    device = await _enrolled(client, person)
    other = await make_person(kit, person.tenant, "agent")
    refused = await _register(client, other, device)
    assert (refused.status_code, refused.json()["code"]) == (400, "passkey-refused")
    path = "/v1/me/factors/passkeys"
    third = await make_person(kit, person.tenant, "agent")
    options = await _options(client, f"{path}/options", headers=third.headers)
    credential = Authenticator(ORIGIN).create(options)
    refused = await client.post(path, json={"credential": credential}, headers=other.headers)
    assert (refused.status_code, refused.json()["code"]) == (400, "passkey-refused")


async def test_pages_of_their_own(kit: TestKit) -> None:
    """Several pages below one domain may ask, if they are named; then only those."""
    settings = {"identity": {"passkey_domain": "example.com", "passkey_origins": [ORIGIN]}}
    tenant = await kit.make_tenant(settings=settings)
    person = await make_person(kit, tenant, "agent")
    async with kit.http(tenant) as client:
        device = await _enrolled(client, person)
        device.origin = "https://example.com"
        options = await _options(client, "/v1/sessions/passkey/options")
        assert options["rpId"] == "example.com"
        assert (await _alone(client, device.get(options))).status_code == 401


async def test_without_a_setting(kit: TestKit) -> None:
    """The tenant's own host name is what passkeys are bound to."""
    tenant = await kit.make_tenant()
    async with kit.http(tenant) as client:
        options = await _options(client, "/v1/sessions/passkey/options")
    base = kit.installation.config.base_domain
    assert options["rpId"] == f"{tenant.code.replace('_', '-')}.{base}"
