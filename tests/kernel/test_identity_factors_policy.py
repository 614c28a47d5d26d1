"""Who needs a second factor, for what, and how fresh; decided without the database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_kernel import Tenant
from pss_kernel.auth import scopes_of
from pss_kernel.config import IDENTITY
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.factors.policy import second_factor
from pss_kernel.installation import Installation
from pss_kernel.registry import Registry
from pss_kernel.tenancy._settings import change_settings
from pss_kernel.testing import TestKit
from pss_signing_in.people import Person, identity_of, make_person

NEEDED = (403, "second-factor-required")
STALE = (403, "step-up-required")
LATE = "UPDATE session SET authenticated_at = now() - interval '1 hour' WHERE session_id = $1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def every_kit(installation: Installation) -> TestKit:
    """The installation of these tests with all plugins that are installed."""
    return TestKit(Installation(installation.config, Registry.discover(), installation.cells))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tenant(installation: Installation) -> Tenant:
    """A tenant that leaves the setting as it is."""
    return await TestKit(installation).make_tenant(plugins=["notes"])


@pytest_asyncio.fixture(loop_scope="session")
async def client(kit: TestKit, tenant: Tenant) -> AsyncIterator[httpx.AsyncClient]:
    """A guest there."""
    async with kit.http(tenant) as made:
        yield made


async def _said(
    client: httpx.AsyncClient, person: Person, path: str, method: str = "GET"
) -> tuple[int, str]:
    answer = await client.request(method, path, headers=person.headers)
    return answer.status_code, answer.json().get("code", "")


async def _set(kit: TestKit, tenant: Tenant, **settings: Any) -> None:
    await change_settings(kit.installation, tenant.code, IDENTITY, lambda now: now | settings)


@pytest.mark.parametrize("role", ["admin", "super_admin"])
async def test_a_role_that_needs_a_second_factor(
    kit: TestKit, tenant: Tenant, client: httpx.AsyncClient, role: str
) -> None:
    """Its people may enrol one and nothing else, what guests may included, until they have."""
    person = await make_person(kit, tenant, role)
    for path in ("/v1/notes", "/v1/notes/not_1"):
        said = await client.get(path, headers=person.headers)
        assert (said.status_code, said.json()["code"]) == NEEDED, path
        assert "/v1/me/factors/totp" in said.json()["mend"]
    assert (200, "") == await _said(client, person, "/v1/me")
    assert (200, "") == await _said(client, person, "/v1/me/factors")
    await person.enrol(client)
    assert (200, "") == await _said(client, person, "/v1/notes")


async def test_other_roles_need_none(
    kit: TestKit, tenant: Tenant, client: httpx.AsyncClient
) -> None:
    """By default nobody below an administrator."""
    person = await make_person(kit, tenant, "manager")
    assert (200, "") == await _said(client, person, "/v1/notes")


async def test_the_setting_holds_for_open_sessions(kit: TestKit) -> None:
    """Roles that are added or left out are so for whoever is signed in, with the same token."""
    tenant = await kit.make_tenant(plugins=["notes"])
    agent, admin = await make_person(kit, tenant, "agent"), await make_person(kit, tenant, "admin")
    async with kit.http(tenant) as client:
        assert (200, "") == await _said(client, agent, "/v1/notes")
        await _set(kit, tenant, second_factor_roles=["agent"])
        assert await _said(client, agent, "/v1/notes") == NEEDED
        assert (200, "") == await _said(client, admin, "/v1/notes")


@pytest.mark.parametrize(
    "wrong", [["Admin"], ["admin\n"], [""], ["x" * 64], ["a"] * 101, "admin", [7]]
)
async def test_the_setting_takes_names_only(kit: TestKit, tenant: Tenant, wrong: Any) -> None:
    """Up to a hundred names of roles."""
    from pss_kernel.errors import Invalid  # noqa: PLC0415

    with pytest.raises(Invalid):
        await _set(kit, tenant, second_factor_roles=wrong)


async def test_sign_ins_that_need_no_second_step(kit: TestKit, tenant: Tenant) -> None:
    """Two factors already, no factor at all, or one that was never confirmed."""
    person = await make_person(kit, tenant, "agent")
    async with kit.http(tenant) as client, identity_of(kit, tenant) as uow:
        account = await account_of(uow, person.account_id)
        assert await second_factor(uow, account, {"pwd"}) is None
        await client.post("/v1/me/factors/totp", json={}, headers=person.headers)
        assert await second_factor(uow, account, {"pwd"}) is None
        await person.enrol(client)
    async with identity_of(kit, tenant) as uow:
        assert await second_factor(uow, account, {"pwd"}) is not None
        assert await second_factor(uow, account, {"hwk", "user", "mfa"}) is None


async def test_the_challenge_of_a_step_up(kit: TestKit, tenant: Tenant) -> None:
    """As RFC 9470 has it, with the tenant's own bound."""
    tenant = await kit.make_tenant(settings={"identity": {"step_up_minutes": 3}})
    person = await make_person(kit, tenant, "admin")
    async with kit.http(tenant) as client:
        await person.enrol(client)
        async with identity_of(kit, tenant) as uow:
            await uow.hot(LATE, person.session_id)
        await person.sign_in({"pwd", "otp", "mfa"})
        fresh = await client.delete("/v1/accounts/acc_x/factors", headers=person.headers)
        assert fresh.status_code == 404
        await _age(person)
        said = await client.delete("/v1/accounts/acc_x/factors", headers=person.headers)
    assert (said.status_code, said.json()["code"]) == STALE
    challenge = said.headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert 'max_age="180"' in challenge


async def _age(person: Person) -> None:
    """Let the session's proof be an hour old, and its token say so."""
    async with identity_of(person.kit, person.tenant) as uow:
        (row,) = await uow.hot(
            LATE + " RETURNING used_at, expires_at, authenticated_at, methods", person.session_id
        )
        from pss_kernel.identity.sessions.opening import sign_access_token  # noqa: PLC0415

        account = await account_of(uow, person.account_id)
        token, _ = await sign_access_token(uow, account, person.session_id, row, row["methods"])
    person.use(token)


async def test_who_has_no_factor_enrols_one(kit: TestKit) -> None:
    """A step-up without a factor says what to do; enrolling is as good as stepping up."""
    tenant = await kit.make_tenant(settings={"identity": {"second_factor_roles": []}})
    person = await make_person(kit, tenant, "admin")
    path = "/v1/accounts/acc_x/factors"
    async with kit.http(tenant) as client:
        assert await _said(client, person, path, "DELETE") == STALE
        said = await client.post(
            "/v1/sessions/current/step-up", json={"code": "123456"}, headers=person.headers
        )
        assert (said.status_code, said.json()["code"]) == (409, "no-second-factor")
        await person.enrol(client)
        assert (404, "not-found") == await _said(client, person, path, "DELETE")


async def test_stepping_up_with_a_code(kit: TestKit, tenant: Tenant) -> None:
    """The session goes on, and its new token allows what the old one did not."""
    person = await make_person(kit, tenant, "admin")
    async with kit.http(tenant) as client:
        await person.enrol(client)
        await _age(person)
        assert await _said(client, person, "/v1/accounts/acc_x/factors", "DELETE") == STALE
        body = {"code": await person.unused_code()}
        raised = await client.post(
            "/v1/sessions/current/step-up", json=body, headers=person.headers
        )
        assert raised.status_code == 200, raised.text
        person.use(raised.json()["access_token"])
        assert (404, "not-found") == await _said(
            client, person, "/v1/accounts/acc_x/factors", "DELETE"
        )


async def test_an_administrator_resets_factors(kit: TestKit, tenant: Tenant) -> None:
    """All that a person had is gone, its sessions end, and the trail says who did it."""
    person, admin = await make_person(kit, tenant, "agent"), await make_person(kit, tenant, "admin")
    async with kit.http(tenant) as client:
        await person.enrol(client)
        await admin.enrol(client)
        path = "/v1/me/factors/recovery-codes"
        codes = (await client.post(path, headers=person.headers)).json()["codes"]
        step = (await person.first_step()).step_token
        done = await client.delete(
            f"/v1/accounts/{person.account_id}/factors", headers=admin.headers
        )
        assert done.status_code == 200, done.text
        assert {"totp": 1, "passkeys": 0}.items() <= done.json().items()
        await kit.installation.directory.refresh()
        assert (401, "session-ended") == await _said(client, person, "/v1/me")
        body = {"step_token": step, "recovery_code": codes[0]}
        said = await client.post("/v1/sessions/second-factor", json=body)
        assert said.json()["code"] == "sign-in-ended"
    async with identity_of(kit, tenant) as uow:
        account = await account_of(uow, person.account_id)
        assert await second_factor(uow, account, {"pwd"}) is None
        (entry,) = await uow.hot(
            "SELECT actor FROM audit_entry WHERE action = 'factors.reset' AND subject = $1",
            person.account_id,
        )
    assert entry["actor"] == f"user:{admin.account_id}"


def _path_of(path: str) -> str:
    return "/v1" + re.sub(r"\{\w+:\w+\}", "x_0123456789abcdefghjkmnpqrs", path)


@asynccontextmanager
async def _fresh_and_stale(
    kit: TestKit,
) -> AsyncIterator[tuple[httpx.AsyncClient, Person, Person, Person]]:
    """One with a password only, one whose second factor was long ago, one who gave it just now."""
    registry = kit.installation.registry
    tenant = await kit.make_tenant(
        plugins=[one for one in registry.plugins if one != IDENTITY],
        settings={IDENTITY: {"second_factor_roles": []}},
    )
    people = [await make_person(kit, tenant, "super_admin") for _ in range(3)]
    async with kit.http(tenant) as client:
        for person in people[1:]:
            await person.enrol(client)
        await _age(people[1])
        yield client, *people


async def test_every_route_that_needs_a_step_up(every_kit: TestKit) -> None:
    """Of all plugins: one factor is refused, an old proof too, a fresh one is let through."""
    registry = every_kit.installation.registry
    needing = {name for name, one in registry.permissions.items() if one.step_up}
    assert {"payment:refund", "identity:factors-reset"} <= needing
    routes = [
        route
        for plugin in registry.plugins.values()
        for route in plugin.routes
        if route.permission in needing
    ]
    assert needing == {route.permission for route in routes}
    async with _fresh_and_stale(every_kit) as (client, one_factor, stale, fresh):
        for route in routes:
            path = _path_of(route.path)
            assert await _said(client, one_factor, path, route.method) == STALE, path
            assert await _said(client, stale, path, route.method) == STALE, path
            status, _ = await _said(client, fresh, path, route.method)
            assert status not in {401, 403}, path


async def test_keys_and_step_up(every_kit: TestKit) -> None:
    """A key has such a permission by name, or with everything; not with the rest of a plugin."""
    tenant = await every_kit.make_tenant(plugins=["payment"])
    path = "/v1/refunds/rfd_0123456789abcdefghjkmnpqrs/retry"
    found = {}
    for scope in ("payment:*", "payment:refund", "*"):
        async with every_kit.http(tenant, [scope]) as key:
            found[scope] = (await key.post(path)).status_code
    assert found == {"payment:*": 403, "payment:refund": 404, "*": 404}
    scopes = scopes_of(every_kit.installation.registry, tenant, frozenset({"payment:*"}))
    assert "payment:read" in scopes
