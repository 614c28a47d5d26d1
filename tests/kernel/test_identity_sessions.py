"""Signing in, staying signed in, and signing out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_kernel import Tenant, new_id
from pss_kernel.config import IDENTITY
from pss_kernel.identity.accounts.hashing import hashing
from pss_kernel.identity.accounts.store import Account, account_of
from pss_kernel.identity.sessions.ending import end_sessions, renew_tokens
from pss_kernel.identity.sessions.opening import SignedIn, open_session
from pss_kernel.installation import Installation
from pss_kernel.persistence import UnitOfWork
from pss_kernel.testing import TestKit

_PASSWORD = "wobbly teapot of the north"
_ACCOUNT = """
INSERT INTO account (account_id, email, email_key, name, state, roles, created_by, password_hash)
VALUES ($1, $2, $2, 'Somebody', 'active', $3, 'test', $4)
"""


@dataclass(frozen=True)
class Scene:
    """A tenant whose people sign in, and a client of its interface."""

    kit: TestKit
    tenant: Tenant
    client: httpx.AsyncClient
    password_hash: str

    async def person(self, *roles: str) -> Account:
        """Somebody with an account and the password of these tests."""
        account_id = new_id("acc")
        async with self.unit() as uow:
            email = f"{account_id}@example.com"
            await uow.hot(_ACCOUNT, account_id, email, list(roles), self.password_hash)
            return await account_of(uow, account_id)

    async def signed_in(self, person: Account, *further: str) -> SignedIn:
        """A session of theirs, after the password and what is named beside it."""
        async with self.unit() as uow:
            return await open_session(uow, person, {"pwd", *further})

    async def said(
        self, method: str, path: str, access_token: str = "", **request: Any
    ) -> tuple[int, Any]:
        """Status, and the code of the problem or else the body."""
        headers = request.pop("headers", {})
        if access_token:
            headers = headers | {"Authorization": f"Bearer {access_token}"}
        await self.kit.installation.directory.refresh()
        answer = await self.client.request(method, f"/v1{path}", headers=headers, **request)
        body = answer.json()
        return answer.status_code, body if answer.is_success else body["code"]

    async def refresh(self, refresh_token: str, key: str = "") -> tuple[int, Any]:
        """Fetch the next tokens."""
        headers = {"Idempotency-Key": key} if key else {}
        body = {"refresh_token": refresh_token}
        return await self.said("POST", "/sessions/refresh", json=body, headers=headers)

    async def rows(self, sql: str, *arguments: Any) -> list[Any]:
        """What the tenant's tables say."""
        async with self.unit() as uow:
            return await uow.hot(sql, *arguments)

    def unit(self) -> Any:
        """A unit of work of the built-in plugin."""
        return self.kit.installation.unit_of_work(self.tenant, plugin=IDENTITY)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(installation: Installation) -> AsyncIterator[Scene]:
    """One for all these tests: each has people of its own."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.http(tenant) as client:
        yield Scene(kit, tenant, client, await hashing.hash(_PASSWORD))


async def test_a_token_says_who_one_is(scene: Scene) -> None:
    """The account, its session, its roles and how it signed in stand in the token."""
    person = await scene.person("manager")
    signed = await scene.signed_in(person)
    _, me = await scene.said("GET", "/me", signed.access_token)
    seen = (me["kind"], me["id"], me["tenant"], me["roles"], me["session"], me["methods"])
    assert seen == (
        *("user", person.account_id, scene.tenant.code, ["manager"]),
        *(signed.session_id, ["pwd"]),
    )


async def test_signing_in_with_a_password(scene: Scene) -> None:
    """The right password opens a session, whose tokens work; a wrong one opens none."""
    person = await scene.person("user")
    body = {"email": person.email, "password": _PASSWORD}
    status, signed = await scene.said(
        "POST", "/sessions", json=body, headers={"User-Agent": "a\ttest \x7f1.0"}
    )
    assert (201, "Bearer", 600) == (status, signed["token_type"], signed["expires_in"])
    assert (401, "wrong-credentials") == await scene.said(
        "POST", "/sessions", json=body | {"password": "wrong"}
    )
    status, listed = await scene.said("GET", "/sessions", signed["access_token"])
    (session,) = listed["data"]
    assert (200, signed["session_id"], True) == (status, session["session_id"], session["current"])
    assert "atest 1.0" == session["user_agent"]


async def test_signing_in_again_with_the_same_key(scene: Scene) -> None:
    """A repeated request opens one session; a refused one keeps no key."""
    person = await scene.person("user")
    body = {"email": person.email, "password": _PASSWORD}
    headers = {"Idempotency-Key": new_id("key")}
    for _ in range(2):
        refused = await scene.said(
            "POST", "/sessions", json=body | {"password": "wrong"}, headers=headers
        )
        assert (401, "wrong-credentials") == refused
    answers = [await scene.said("POST", "/sessions", json=body, headers=headers) for _ in range(2)]
    assert 201 == answers[0][0]
    assert answers[0] == answers[1]
    (row,) = await scene.rows(
        "SELECT count(*) AS n FROM session WHERE account_id = $1", person.account_id
    )
    assert 1 == row["n"]


async def test_staying_signed_in(scene: Scene) -> None:
    """Each refresh token gives the next pair; the session and its moment of proof stay."""
    person = await scene.person("user")
    signed = await scene.signed_in(person)
    status, following = await scene.refresh(signed.refresh_token)
    assert (200, signed.session_id) == (status, following["session_id"])
    before = (await scene.said("GET", "/me", signed.access_token))[1]
    after = (await scene.said("GET", "/me", following["access_token"]))[1]
    assert before == after
    assert 200 == (await scene.refresh(following["refresh_token"]))[0]


async def test_what_changed_is_in_the_next_token(scene: Scene) -> None:
    """Roles are read again at each refresh."""
    person = await scene.person("user")
    signed = await scene.signed_in(person)
    await scene.rows(
        "UPDATE account SET roles = '{manager}' WHERE account_id = $1", person.account_id
    )
    _, following = await scene.refresh(signed.refresh_token)
    _, me = await scene.said("GET", "/me", following["access_token"])
    assert ["manager"] == me["roles"]


async def test_a_refresh_token_that_comes_again(scene: Scene) -> None:
    """The session ends, for the thief and for the owner; audit trail and event tell of it."""
    person = await scene.person("user")
    signed = await scene.signed_in(person)
    _, following = await scene.refresh(signed.refresh_token)
    assert (401, "refresh-token-reused") == await scene.refresh(signed.refresh_token)
    assert (401, "session-ended") == await scene.said("GET", "/me", signed.access_token)
    assert (401, "session-ended") == await scene.said("GET", "/me", following["access_token"])
    assert (401, "session-ended") == await scene.refresh(following["refresh_token"])
    assert (401, "refresh-token-reused") == await scene.refresh(signed.refresh_token)
    (session,) = await scene.rows(
        "SELECT ended_at, end_reason FROM session WHERE session_id = $1", signed.session_id
    )
    assert session["ended_at"]
    assert "refresh-reuse" == session["end_reason"]
    entries = await scene.rows(
        "SELECT action, entry::jsonb ->> 'reason' AS reason FROM audit_entry "
        "WHERE subject = $1 ORDER BY position",
        signed.session_id,
    )
    assert [("session.opened", None), ("session.ended", "refresh-reuse")] == [
        tuple(row) for row in entries
    ]
    async with scene.kit.unit_of_work(scene.tenant) as uow:
        events = await uow.hot(
            "SELECT event_type, data FROM event WHERE stream = $1", signed.session_id
        )
    assert ["identity.refresh-token-reused"] == [row["event_type"] for row in events]
    assert person.account_id == events[0]["data"]["account_id"]


async def test_an_answer_that_was_lost(scene: Scene) -> None:
    """With the same Idempotency-Key the same tokens come again, and the session lives."""
    signed = await scene.signed_in(await scene.person("user"))
    key = new_id("key")
    answers = [await scene.refresh(signed.refresh_token, key) for _ in range(3)]
    assert 200 == answers[0][0]
    assert [answers[0]] * 3 == answers
    assert 200 == (await scene.refresh(answers[0][1]["refresh_token"], new_id("key")))[0]


async def test_twenty_at_once(scene: Scene) -> None:
    """Of twenty that use a refresh token at once one gets the next; that it was shared is noticed.

    So the session ends, with the token of the one that won.
    """
    signed = await scene.signed_in(await scene.person("user"))
    answers = await asyncio.gather(*(scene.refresh(signed.refresh_token) for _ in range(20)))
    won = [body for status, body in answers if status == 200]
    lost = [answer for answer in answers if answer[0] != 200]
    assert 1 == len(won)
    assert [(401, "refresh-token-reused")] * 19 == lost
    assert (401, "session-ended") == await scene.said("GET", "/me", won[0]["access_token"])
    assert (401, "session-ended") == await scene.refresh(won[0]["refresh_token"])


async def test_twenty_at_once_with_one_key(scene: Scene) -> None:
    """Twenty times the same request is one use: all get the one answer, or are told to wait."""
    signed = await scene.signed_in(await scene.person("user"))
    key = new_id("key")
    answers = await asyncio.gather(*(scene.refresh(signed.refresh_token, key) for _ in range(20)))
    given = {body["refresh_token"] for status, body in answers if status == 200}
    assert 1 == len(given)
    assert {200, 409} >= {status for status, _ in answers}
    assert 200 == (await scene.refresh(given.pop()))[0]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("UPDATE refresh_token SET expires_at = now() WHERE session_id = $1", "session-ended"),
        ("UPDATE session SET expires_at = now() WHERE session_id = $1", "session-ended"),
        (
            "UPDATE account SET state = 'disabled' "  # noqa: ISC004 - one statement
            "WHERE account_id = (SELECT account_id FROM session WHERE session_id = $1)",
            "session-ended",
        ),
        ("DELETE FROM session WHERE session_id = $1", "unknown-credentials"),
    ],
)
async def test_when_there_are_no_more_tokens(scene: Scene, change: str, code: str) -> None:
    """Not heard of for too long, signed in for too long, disabled, forgotten."""
    signed = await scene.signed_in(await scene.person("user"))
    await scene.rows(change, signed.session_id)
    assert (401, code) == await scene.refresh(signed.refresh_token)


async def test_refresh_tokens_that_are_none(scene: Scene) -> None:
    """Whatever else is sent is refused, and tells nothing."""
    for text in ("x", "pss_rt_" + "a" * 43, "☃", "a\0b"):
        assert (401, "unknown-credentials") == await scene.refresh(text)
    assert (422, "invalid") == await scene.refresh("x" * 201)


async def test_only_digests_are_kept(scene: Scene) -> None:
    """No table has a refresh token or an access token in it, sealed answers aside."""
    person = await scene.person("user")
    body = {"email": person.email, "password": _PASSWORD}
    headers = {"Idempotency-Key": new_id("key")}
    _, signed = await scene.said("POST", "/sessions", json=body, headers=headers)
    _, following = await scene.refresh(signed["refresh_token"], new_id("key"))
    secrets = [one[name] for one in (signed, following) for name in ("access_token",)]
    secrets += [signed["refresh_token"], following["refresh_token"], _PASSWORD]
    schema = scene.tenant.schema
    async with scene.kit.installation.cell(scene.tenant).owner() as owner:
        names = await owner.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", schema)
        for (name,) in names:
            rows = await owner.fetch(f'SELECT r::text FROM "{schema}"."{name}" r')
            told = "\n".join(row[0] for row in rows)
            assert [] == [one for one in secrets if one in told or one.encode().hex() in told], name


async def test_signing_out(scene: Scene) -> None:
    """Neither token of the session works afterwards; other sessions go on."""
    person = await scene.person("user")
    signed, other = await scene.signed_in(person), await scene.signed_in(person)
    ended = await scene.said("DELETE", "/sessions/current", signed.access_token)
    assert (200, {"ended": [signed.session_id]}) == ended
    assert (401, "session-ended") == await scene.said("GET", "/me", signed.access_token)
    assert (401, "session-ended") == await scene.refresh(signed.refresh_token)
    assert 200 == (await scene.said("GET", "/me", other.access_token))[0]


async def test_signing_out_elsewhere(scene: Scene) -> None:
    """One session, or all but this one; never somebody else's."""
    person, stranger = await scene.person("user"), await scene.person("user")
    here, there, third = [await scene.signed_in(person) for _ in range(3)]
    foreign = await scene.signed_in(stranger)
    _, listed = await scene.said("GET", "/sessions", here.access_token)
    assert {one.session_id for one in (here, there, third)} == {
        one["session_id"] for one in listed["data"]
    }
    assert (404, "not-found") == await scene.said(
        "DELETE", f"/sessions/{foreign.session_id}", here.access_token
    )
    assert (200, {"ended": [there.session_id]}) == await scene.said(
        "DELETE", f"/sessions/{there.session_id}", here.access_token
    )
    assert (404, "not-found") == await scene.said(
        "DELETE", f"/sessions/{there.session_id}", here.access_token
    )
    assert (200, {"ended": [third.session_id]}) == await scene.said(
        "DELETE", "/sessions", here.access_token
    )
    for one, expected in ((here, 200), (there, 401), (third, 401), (foreign, 200)):
        assert expected == (await scene.said("GET", "/me", one.access_token))[0]


async def test_looking_after_others(scene: Scene) -> None:
    """Who may manage sessions sees and ends anybody's; nobody else does."""
    person, admin, agent = [await scene.person(role) for role in ("user", "admin", "agent")]
    first, second, third = [await scene.signed_in(person) for _ in range(3)]
    path = f"/accounts/{person.account_id}/sessions"
    below = await scene.signed_in(agent)
    for method in ("GET", "DELETE"):
        assert (403, "missing-permission") == await scene.said(method, path, below.access_token)
        assert (401, "unauthorised") == await scene.said(method, path)
    above = (await scene.signed_in(admin, "otp", "mfa")).access_token
    _, listed = await scene.said("GET", path, above)
    assert [False] * 3 == [one["current"] for one in listed["data"]]
    assert (200, {"ended": [first.session_id]}) == await scene.said(
        "DELETE", f"/sessions/{first.session_id}", above
    )
    _, ended = await scene.said("DELETE", path, above)
    assert sorted([second.session_id, third.session_id]) == sorted(ended["ended"])
    entries = await scene.rows(
        "SELECT DISTINCT actor FROM audit_entry WHERE action = 'session.ended' "
        "AND subject = ANY($1)",
        [first.session_id, second.session_id, third.session_id],
    )
    assert [f"user:{admin.account_id}"] == [row["actor"] for row in entries]
    unknown = f"/accounts/{new_id('acc')}/sessions"
    assert (404, "not-found") == await scene.said("GET", unknown, above)


async def test_guests_and_keys_have_no_sessions(scene: Scene) -> None:
    """They are told so."""
    key = await scene.kit.api_key(scene.tenant, ["identity:self"])
    signed = await scene.signed_in(await scene.person("user"))
    for method, path in (
        ("GET", "/sessions"),
        ("DELETE", "/sessions"),
        ("DELETE", "/sessions/current"),
        ("DELETE", f"/sessions/{signed.session_id}"),
    ):
        assert (401, "unauthorised") == await scene.said(method, path)
        assert (403, "people-only") == await scene.said(method, path, key)


async def test_sessions_ended_from_inside(scene: Scene) -> None:
    """For whoever changes a password: all sessions of an account, all but one, or new tokens."""
    person = await scene.person("user")
    first, second = await scene.signed_in(person), await scene.signed_in(person)
    async with scene.unit() as uow:
        ended = await end_sessions(uow, person.account_id, "tested", second.session_id)
    assert [first.session_id] == ended
    assert 200 == (await scene.said("GET", "/me", second.access_token))[0]
    async with scene.unit() as uow:
        await renew_tokens(uow, person.account_id)
    assert (401, "token-expired") == await scene.said("GET", "/me", second.access_token)
    status, following = await scene.refresh(second.refresh_token)
    assert 200 == status
    assert 200 == (await scene.said("GET", "/me", following["access_token"]))[0]
    third = await scene.signed_in(person)
    assert 200 == (await scene.said("GET", "/me", third.access_token))[0]


async def test_a_refresh_while_the_session_is_being_ended(scene: Scene) -> None:
    """Whichever comes first: no token that was signed meanwhile outlives the end."""
    person = await scene.person("user")
    for _ in range(5):
        signed = await scene.signed_in(person)

        async def end() -> None:
            async with scene.unit() as uow:
                await end_sessions(uow, person.account_id, "tested")

        (status, body), _ = await asyncio.gather(scene.refresh(signed.refresh_token), end())
        if status == 200:
            said = await scene.said("GET", "/me", body["access_token"])
            assert (401, "session-ended") == said
            assert (401, "session-ended") == await scene.refresh(body["refresh_token"])
        else:
            assert (401, "session-ended") == (status, body)


async def test_every_process_knows_within_a_second(scene: Scene, eventually: Any) -> None:
    """Another process, which nobody tells, refuses what was ended here; rotation or not."""
    given = scene.kit.installation
    other = Installation(given.config, given.registry, given.cells)
    await other.directory.refresh()
    other.directory.start()
    signed = await scene.signed_in(await scene.person("user"))
    headers = {"PSS-Tenant": scene.tenant.code, "Authorization": f"Bearer {signed.access_token}"}
    transport = httpx.ASGITransport(create_app(other))
    async with httpx.AsyncClient(transport=transport, base_url="http://test.invalid") as client:

        async def status() -> int:
            return (await client.get("/v1/me", headers=headers)).status_code

        try:
            assert 200 == await status()
            async with scene.unit() as uow:
                await end_sessions(uow, signed.account_id, "tested")
            loop = asyncio.get_running_loop()
            ended = loop.time()
            await eventually(lambda: _is(status, 401))
            assert loop.time() - ended < 1
        finally:
            await other.directory.stop()


async def _is(status: Any, expected: int) -> bool:
    return await status() == expected


async def test_what_has_ended_is_forgotten(kit: TestKit) -> None:
    """A day after its end a session goes, with its tokens; so do cutoffs that nobody needs."""
    tenant = await kit.make_tenant()
    account_id = new_id("acc")
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await uow.hot(_ACCOUNT, account_id, "a@example.com", ["user"], None)
        account = await account_of(uow, account_id)
        made = [await open_session(uow, account, {"pwd"}) for _ in range(4)]
        ids = [one.session_id for one in made]
        await end_sessions(uow, account_id, "tested", ids[3])
        await uow.hot(
            "UPDATE session SET ended_at = now() - interval '25 hours' WHERE session_id = $1",
            ids[0],
        )
        await uow.hot(
            "UPDATE session SET expires_at = now() - interval '25 hours' WHERE session_id = $1",
            ids[1],
        )
        await uow.hot(
            "UPDATE pss.token_cutoff SET until = now() - interval '1 second' WHERE subject = $1",
            ids[0],
        )
    await kit.run_job(tenant, IDENTITY, "forget_ended_sessions")
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        left = await _texts(uow, "SELECT session_id FROM session ORDER BY 1")
        tokens = await _texts(uow, "SELECT DISTINCT session_id FROM refresh_token ORDER BY 1")
        cutoffs = await _texts(uow, "SELECT subject FROM pss.token_cutoff ORDER BY 1")
    assert sorted(ids[2:]) == left == tokens
    assert sorted(ids[1:3]) == cutoffs


async def _texts(uow: UnitOfWork, sql: str) -> list[str]:
    return [row[0] for row in await uow.hot(sql)]
