"""Signing in, staying signed in, and signing out."""

from __future__ import annotations

from typing import Any

import pytest_asyncio

from pss_kernel import Tenant, new_id
from pss_kernel.config import IDENTITY
from pss_kernel.identity.accounts.store import Account, account_of
from pss_kernel.identity.sessions.ending import end_sessions, renew_tokens
from pss_kernel.identity.sessions.opening import SignedIn, open_session
from pss_kernel.testing import TestKit

_ACCOUNT = """
INSERT INTO account (account_id, email, email_key, name, state, roles, created_by)
VALUES ($1, $2, $2, 'Somebody', 'active', $3, 'test')
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(installation: Any) -> tuple[TestKit, Tenant]:
    """A tenant whose people sign in."""
    kit = TestKit(installation)
    return kit, await kit.make_tenant(plugins=["notes"])


async def _somebody(kit: TestKit, tenant: Tenant, *roles: str) -> tuple[Account, SignedIn]:
    account_id = new_id("acc")
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await uow.hot(_ACCOUNT, account_id, f"{account_id}@example.com", list(roles))
        person = await account_of(uow, account_id)
        return person, await open_session(uow, person, {"pwd"})


async def test_a_token_says_who_one_is(shared: Any) -> None:
    """The account, its session, its roles and how it signed in stand in the token."""
    kit, tenant = shared
    person, signed = await _somebody(kit, tenant, "manager")
    async with kit.http(tenant) as client:
        client.headers["Authorization"] = f"Bearer {signed.access_token}"
        me = (await client.get("/v1/me")).json()
    seen = (me["kind"], me["id"], me["tenant"], me["roles"], me["session"], me["methods"])
    expected = ("user", person.account_id, tenant.code, ["manager"], signed.session_id, ["pwd"])
    assert expected == seen


async def test_ended_sessions_and_tokens_to_be_fetched_anew(shared: Any) -> None:
    """What was signed before is refused as soon as the directory has seen the cutoff."""
    kit, tenant = shared
    person, signed = await _somebody(kit, tenant, "user")
    headers = {"Authorization": f"Bearer {signed.access_token}"}

    async def said() -> tuple[int, str]:
        await kit.installation.directory.refresh()
        answer = await client.get("/v1/me", headers=headers)
        return answer.status_code, answer.json().get("code", "")

    async with kit.http(tenant) as client:
        async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            await renew_tokens(uow, person.account_id)
        assert (401, "token-expired") == await said()
        async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            signed = await open_session(uow, person, {"pwd"})
        headers["Authorization"] = f"Bearer {signed.access_token}"
        assert (200, "") == await said()
        async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            ended = await end_sessions(uow, person.account_id, "tested")
        assert signed.session_id in ended
        assert (401, "session-ended") == await said()
