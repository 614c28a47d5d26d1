"""Roles over HTTP: made, changed, given and taken away, by those who may; and explained."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_kernel import Forbidden, Invalid, Tenant, new_id
from pss_kernel.auth import LEVELS, Actor, Limits
from pss_kernel.config import IDENTITY
from pss_kernel.identity.accounts.changes import set_roles
from pss_kernel.identity.accounts.store import Account, account_of
from pss_kernel.identity.roles.changes import remove, replace
from pss_kernel.identity.roles.escalation import check_roles, refuse_above
from pss_kernel.identity.roles.grants import RoleBody
from pss_kernel.identity.sessions.opening import open_session
from pss_kernel.money import Money
from pss_kernel.testing import TestKit

_ACCOUNT = """
INSERT INTO account (account_id, email, email_key, name, state, roles, attributes, created_by)
VALUES ($1, $2, $2, 'Somebody', $3, $4, $5::jsonb, 'test')
"""
_TRAIL = (
    "SELECT entry::jsonb AS entry FROM audit_entry WHERE action LIKE 'role.%' ORDER BY position"
)
_CLERK = {
    "name": "clerk",
    "summary": "Works at the counter",
    "extends": "user",
    "permissions": ["notes:read", "notes:post"],
    "rules": {"notes:post": {"up_to": "5.00 EUR", "own": "branch"}},
}
SignedIn = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest_asyncio.fixture(loop_scope="session")
async def tenant(kit: TestKit) -> Tenant:
    """A fresh tenant with notes; echo is installed and not enabled."""
    return await kit.make_tenant(plugins=["notes"])


@pytest_asyncio.fixture(loop_scope="session")
async def boss(kit: TestKit, tenant: Tenant, http: Any) -> httpx.AsyncClient:
    """A key that may do everything."""
    client: httpx.AsyncClient = await http(tenant, ["*"])
    return client


async def _account(
    kit: TestKit,
    tenant: Tenant,
    *roles: str,
    attributes: Mapping[str, Any] | None = None,
    state: str = "active",
) -> Account:
    account_id = new_id("acc")
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        email = f"{account_id}@example.com"
        await uow.hot(_ACCOUNT, account_id, email, state, list(roles), json.dumps(attributes or {}))
        return await account_of(uow, account_id)


@pytest_asyncio.fixture(loop_scope="session")
async def signed_in(kit: TestKit, tenant: Tenant) -> AsyncIterator[SignedIn]:
    """A client of somebody with those roles, who has given a second factor just now."""
    async with AsyncExitStack() as stack:

        async def client(*roles: str, **facts: Any) -> httpx.AsyncClient:
            await kit.installation.directory.refresh()
            account = await _account(kit, tenant, *roles, **facts)
            async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
                session = await open_session(uow, account, {"pwd", "otp", "mfa"})
            made: httpx.AsyncClient = await stack.enter_async_context(kit.http(tenant))
            made.headers["Authorization"] = f"Bearer {session.access_token}"
            return made

        yield client


def _said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def test_life_of_a_role(kit: TestKit, tenant: Tenant, boss: httpx.AsyncClient) -> None:
    """Made, listed, changed, deleted; each change audited with what was and what is."""
    made = await boss.post("/v1/roles", json=_CLERK)
    assert 201 == made.status_code
    assert {"notes:read", "notes:post", "echo:hear"} <= set(made.json()["gives"])
    assert (409, "role-exists") == _said(await boss.post("/v1/roles", json=_CLERK))
    listed = (await boss.get("/v1/roles")).json()["data"]
    assert [*LEVELS, "clerk"] == [one["name"] for one in listed]
    changed = {"summary": "Works", "permissions": ["notes:read"]}
    assert 200 == (await boss.put("/v1/roles/clerk", json=changed)).status_code
    assert 200 == (await boss.put("/v1/roles/clerk", json=changed)).status_code
    assert 200 == (await boss.delete("/v1/roles/clerk")).status_code
    assert (404, "not-found") == _said(await boss.delete("/v1/roles/clerk"))
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        entries = [row["entry"] for row in await uow.hot(_TRAIL)]
    assert ["role.created", "role.changed", "role.deleted"] == [one["action"] for one in entries]
    assert ("role:clerk", "user", None) == (
        entries[1]["subject"],
        entries[1]["before"]["extends"],
        entries[1]["after"]["extends"],
    )


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"name": "admin"}, "/name", "reserved-name"),
        ({"permissions": ["notes:raed"], "rules": {}}, "/permissions/0", "unknown-permission"),
        ({"permissions": ["gone:*"], "rules": {}}, "/permissions/0", "unknown-permission"),
        ({"rules": {"notes:post": {"own": "town"}}}, "/rules/notes:post", "unknown-rule"),
        ({"rules": {"notes:read": {"own": "branch"}}}, "/rules/notes:read", "unknown-rule"),
        ({"rules": {"notes:post": {"up_to": "5"}}}, "/rules/notes:post", "unknown-currency"),
        ({"rules": {"notes:gone": {"own": "x"}}}, "/rules/notes:gone", "unknown-permission"),
        (
            {"permissions": ["notes:read"], "rules": {"notes:post": {"own": "branch"}}},
            "/rules/notes:post",
            "rule-without-permission",
        ),
    ],
)
async def test_a_role_that_says_nothing(
    boss: httpx.AsyncClient, change: dict[str, Any], pointer: str, code: str
) -> None:
    """What would give nothing, or would not be checked, is refused when it is written down."""
    answer = await boss.post("/v1/roles", json=_CLERK | change)
    assert (422, "invalid-role") == _said(answer)
    assert [(pointer, code)] == [(one["pointer"], one["code"]) for one in answer.json()["errors"]]


async def test_built_in_roles_stay(boss: httpx.AsyncClient) -> None:
    """Nobody changes or deletes what is built in."""
    assert (409, "built-in-role") == _said(await boss.put("/v1/roles/agent", json={}))
    assert (409, "built-in-role") == _said(await boss.delete("/v1/roles/agent"))


async def test_no_escalation_by_a_role(tenant: Tenant, http: Any) -> None:
    """Nobody makes a role, or changes one, into more than they have."""
    little = await http(tenant, ["notes:read", "identity:roles-manage"])
    only = {"name": "clerk", "permissions": ["notes:read"]}
    assert 201 == (await little.post("/v1/roles", json=only)).status_code
    for more in ({"permissions": ["notes:write"]}, {"extends": "agent"}, {"permissions": ["*"]}):
        refused = await little.post("/v1/roles", json={"name": "more", **more})
        assert (403, "escalation") == _said(refused)
        assert (403, "escalation") == _said(await little.put("/v1/roles/clerk", json=more))


async def test_a_role_in_use(kit: TestKit, tenant: Tenant, boss: httpx.AsyncClient) -> None:
    """It can't be deleted while anybody has it; the refusal says how many."""
    await boss.post("/v1/roles", json=_CLERK)
    for _ in range(2):
        await _account(kit, tenant, "clerk")
    refused = await boss.delete("/v1/roles/clerk")
    assert (409, "role-in-use") == _said(refused)
    assert "2 accounts have it" in refused.json()["detail"]


async def test_assigning(kit: TestKit, tenant: Tenant, boss: httpx.AsyncClient) -> None:
    """A role is assigned by who has all that it gives, within no narrower limits."""
    await boss.post("/v1/roles", json=_CLERK)
    ost = {"branch": ["ost"]}
    narrow = {"notes:post": (Limits(up_to=(Money("5.00", "EUR"),)),)}
    every = frozenset(kit.installation.registry.permissions)
    cases: list[tuple[Actor, type[Exception] | None]] = [
        (Actor("system"), None),
        (Actor("user", "acc_1", every), None),
        (Actor("user", "acc_1", every, rules=narrow), None),
        (Actor("user", "acc_1", every - {"notes:post"}), Forbidden),
        (
            Actor("user", "acc_1", every, rules={"notes:post": (Limits(own=("branch",)),)}),
            Forbidden,
        ),
        (
            Actor("user", "acc_1", every, rules={"notes:post": (Limits((Money("4", "EUR"),)),)}),
            Forbidden,
        ),
    ]
    for actor, refusal in cases:
        async with kit.unit_of_work(tenant, actor) as uow:
            if refusal is None:
                assert ["clerk"] == await check_roles(uow, ["clerk", "clerk"], ost)
                continue
            with pytest.raises(refusal):
                await check_roles(uow, ["clerk"], ost)
            with pytest.raises(refusal):
                await refuse_above(uow, ["clerk"], ost)
    async with kit.unit_of_work(tenant) as uow:
        with pytest.raises(Invalid) as unknown:
            await check_roles(uow, ["clerk", "gone"], ost)
    assert ["/roles/1"] == [one.pointer for one in unknown.value.errors]


_ASSIGNING = """
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid::bigint << 32 | objid::bigint) = hashtextextended('roles ' || $1, 0)
"""


async def _until_waiting(kit: TestKit, tenant: Tenant) -> None:
    async with kit.installation.database.owner() as owner:
        while not await owner.fetchval(_ASSIGNING, tenant.schema):  # noqa: ASYNC110 - the database's
            await asyncio.sleep(0)


async def test_deleted_while_it_is_assigned(
    kit: TestKit, tenant: Tenant, boss: httpx.AsyncClient
) -> None:
    """Who deletes a role waits for who assigns it, and then hears that somebody has it."""
    await boss.post("/v1/roles", json=_CLERK)
    account = await _account(kit, tenant)
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await set_roles(uow, account.account_id, ["clerk"])
        deletion = asyncio.create_task(boss.delete("/v1/roles/clerk"))
        async with asyncio.timeout(10):
            await _until_waiting(kit, tenant)
    assert (409, "role-in-use") == _said(await deletion)


async def test_assigned_while_it_is_changed(
    kit: TestKit, tenant: Tenant, boss: httpx.AsyncClient
) -> None:
    """Who assigns a role waits for who widens or deletes it, and is judged by what it is then."""
    only = {"name": "reader", "permissions": ["notes:read"]}
    for name in ("reader", "ended"):
        await boss.post("/v1/roles", json=only | {"name": name})
    account = await _account(kit, tenant)
    little = Actor("user", "acc_1", frozenset({"notes:read"}))

    async def assign() -> None:
        async with kit.installation.unit_of_work(tenant, little, plugin=IDENTITY) as uow:
            await set_roles(uow, account.account_id, [name])

    for name, refusal in (("reader", Forbidden), ("ended", Invalid)):
        async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            if name == "ended":
                await remove(uow, name)
            else:
                await replace(uow, name, RoleBody(permissions=["notes:write"]))
            assignment = asyncio.create_task(assign())
            async with asyncio.timeout(10):
                await _until_waiting(kit, tenant)
        with pytest.raises(refusal):
            await assignment
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        assert () == (await account_of(uow, account.account_id)).roles


async def test_the_own_station_is_given_to_the_own_people(
    kit: TestKit, tenant: Tenant, boss: httpx.AsyncClient
) -> None:
    """Who is narrowed to the own branch gives that to nobody of another branch."""
    own = {"name": "branch", "permissions": ["notes:post"]}
    assert (
        201
        == (
            await boss.post("/v1/roles", json=own | {"rules": {"notes:post": {"own": "branch"}}})
        ).status_code
    )
    lead = Actor(
        *("user", "acc_1", frozenset({"notes:post"})),
        attributes={"branch": ["ost"]},
        rules={"notes:post": (Limits(own=("branch",)),)},
    )
    for branch, allowed in ((["ost"], True), (["ost", "west"], False)):
        account = await _account(kit, tenant, attributes={"branch": branch})
        async with kit.installation.unit_of_work(tenant, lead, plugin=IDENTITY) as uow:
            if allowed:
                changed = await set_roles(uow, account.account_id, ["branch"])
                assert ("branch",) == changed.roles
                continue
            with pytest.raises(Forbidden) as refused:
                await set_roles(uow, account.account_id, ["branch"])
            assert "role-above-own" == refused.value.code


async def test_limits_over_http(boss: httpx.AsyncClient, signed_in: SignedIn) -> None:
    """Somebody with a narrowed role does what is within it, and nothing where nobody asks."""
    await boss.post("/v1/roles", json=_CLERK)
    clerk = await signed_in("clerk", attributes={"branch": ["ost"]})

    async def post(path: str, branch: str, amount: str) -> tuple[int, str]:
        postage = {"amount": amount, "currency": "EUR"}
        body = {"body": "a", "branch": branch, "postage": postage}
        return _said(await clerk.post(path, json=body))

    assert (201, "") == await post("/v1/postings", "ost", "5.00")
    assert (403, "outside-your-limits") == await post("/v1/postings", "ost", "5.01")
    assert (403, "outside-your-limits") == await post("/v1/postings", "west", "1.00")
    assert (403, "rule-not-asked") == await post("/v1/postings/forgetful", "ost", "1.00")
    assert (403, "rule-not-asked") == await post("/v1/postings/in-steps", "ost", "1.00")
    assert (403, "rule-not-asked") == _said(await clerk.get("/v1/postings/ost"))
    assert 1 == len((await clerk.get("/v1/notes")).json()["data"])


@pytest.mark.parametrize("role", [*LEVELS, "clerk", "gone"])
async def test_explained_as_it_is(
    kit: TestKit, boss: httpx.AsyncClient, signed_in: SignedIn, role: str
) -> None:
    """For each role and permission the explanation says what /v1/me and the routes say."""
    await boss.post("/v1/roles", json=_CLERK)
    client = await signed_in(role, attributes={"branch": "ost"})
    me = (await client.get("/v1/me")).json()
    told = {}
    for name in kit.installation.registry.permissions:
        path = f"/v1/accounts/{me['id']}/permissions/{name}"
        found = (await boss.get(path)).json()
        assert found["because"]
        told[name] = found["allowed"]
    assert sorted(me["permissions"]) == sorted(name for name, allowed in told.items() if allowed)
    read = await client.get("/v1/notes/note_gone")
    assert told["notes:read"] == (read.status_code != 403)
    roles = await client.get("/v1/roles")
    assert told["identity:roles-read"] == (roles.status_code == 200)


async def test_why(kit: TestKit, tenant: Tenant, boss: httpx.AsyncClient) -> None:
    """Which role gives it, narrowed to what, and what the person's attributes are."""
    await boss.post("/v1/roles", json=_CLERK)
    await kit.installation.directory.refresh()
    account = await _account(kit, tenant, "clerk", "user", attributes={"branch": ["ost"]})
    found = (await boss.get(f"/v1/accounts/{account.account_id}/permissions/notes:post")).json()
    assert (True, ["up to 5.00 EUR, own branch only"], {"branch": ["ost"]}) == (
        found["allowed"],
        found["rules"],
        found["attributes"],
    )
    assert [("role clerk", True, "notes:post"), ("role user", False, "")] == [
        (one["source"], one["gives"], one["by"]) for one in found["grants"]
    ]


@pytest.mark.parametrize(
    ("roles", "state", "permission", "sentence"),
    [
        (["admin"], "disabled", "notes:read", "The account is disabled."),
        (["admin"], "invited", "notes:read", "The invitation has not been accepted yet."),
        (["admin"], "active", "echo:hear", "The plugin 'echo' is not enabled here."),
        (["user"], "active", "notes:write", "No role of the account gives it (roles: user)."),
        (["gone"], "active", "notes:write", "(roles: gone)"),
    ],
)
async def test_why_not(
    kit: TestKit,
    tenant: Tenant,
    boss: httpx.AsyncClient,
    roles: list[str],
    state: str,
    permission: str,
    sentence: str,
) -> None:
    """What stands in the way is said."""
    account = await _account(kit, tenant, *roles, state=state)
    found = (await boss.get(f"/v1/accounts/{account.account_id}/permissions/{permission}")).json()
    assert not found["allowed"]
    assert sentence in " ".join(found["because"])


async def test_unknown_permission(kit: TestKit, tenant: Tenant, boss: httpx.AsyncClient) -> None:
    """What no plugin declares can't be explained."""
    account = await _account(kit, tenant)
    answer = await boss.get(f"/v1/accounts/{account.account_id}/permissions/notes:fly")
    assert (404, "not-found") == _said(answer)


async def test_permissions(kit: TestKit, boss: httpx.AsyncClient) -> None:
    """Every permission is listed, with the rules that it knows and whether it is enabled here."""
    found = {one["name"]: one for one in (await boss.get("/v1/permissions")).json()["data"]}
    assert set(kit.installation.registry.permissions) == set(found)
    assert (True, False) == (found["notes:post"]["enabled"], found["echo:hear"]["enabled"])
    assert [("up_to", None), ("own", "branch")] == [
        (one["kind"], one["attribute"]) for one in found["notes:post"]["rules"]
    ]


async def test_other_tenants_roles(kit: TestKit, boss: httpx.AsyncClient, http: Any) -> None:
    """A role is its tenant's own: another one neither sees nor changes it."""
    await boss.post("/v1/roles", json=_CLERK)
    other = await kit.make_tenant(plugins=["notes"])
    client = await http(other, ["*"])
    assert "clerk" not in [one["name"] for one in (await client.get("/v1/roles")).json()["data"]]
    assert (404, "not-found") == _said(await client.delete("/v1/roles/clerk"))
    assert (
        201
        == (
            await client.post("/v1/roles", json={"name": "clerk", "permissions": ["notes:read"]})
        ).status_code
    )
