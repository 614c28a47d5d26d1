"""Accounts over HTTP: invited, accepted, managed, reset; what mails carry and when they end."""

from __future__ import annotations

import email
import email.policy
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.message import EmailMessage
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher

from pss_kernel.auth import Actor
from pss_kernel.auth._rules import Limits
from pss_kernel.config import IDENTITY
from pss_kernel.errors import Forbidden, NotFound, Unauthorised
from pss_kernel.identity.accounts import changes, choosing, link_routes, passwords, rules
from pss_kernel.identity.accounts.hashing import Hashing
from pss_kernel.identity.accounts.passwords import check_password
from pss_kernel.identity.accounts.store import Account, account_by_email, account_of
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit

pytestmark = pytest.mark.asyncio(loop_scope="session")

GOOD = "violet harbour lantern 29"
BETTER = "copper meadow whistle 731"
Inbox = Callable[[str], list[EmailMessage]]


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashing with cheap parameters: what is tested here is something else."""
    quick = Hashing(PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    for module in (passwords, choosing, rules):
        monkeypatch.setattr(module, "hashing", quick)


@pytest.fixture
def inbox(kit: TestKit) -> Inbox:
    """The mails to an address, in the order in which they were written."""
    folder = kit.installation.config.data_dir / "mail"
    seen: dict[str, list[EmailMessage]] = {}

    def read(address: str) -> list[EmailMessage]:
        for path in sorted(folder.glob("*.eml"), key=lambda one: one.stat().st_mtime_ns):
            message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
            if message["To"] == address:
                seen.setdefault(address, []).append(message)
                path.unlink()
        return seen.get(address, [])

    return read


def token_in(message: EmailMessage) -> str:
    """What the link in a mail carries."""
    body = message.get_body(("plain",))
    assert body is not None
    (token,) = set(re.findall(r"#token=(\S+)", body.get_content()))
    return str(token)


async def account(kit: TestKit, tenant: Tenant, address: str) -> Account:
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        found = await account_by_email(uow, address)
    assert found is not None
    return found


async def signs_in(kit: TestKit, tenant: Tenant, address: str, password: str) -> bool:
    try:
        async with kit.installation.work(tenant, plugin=IDENTITY) as work:
            await check_password(work, address, password)
    except Unauthorised:
        return False
    return True


async def trail(kit: TestKit, tenant: Tenant) -> list[str]:
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        rows = await uow.hot(
            "SELECT action, entry FROM audit_entry WHERE subject LIKE 'acc!_%' ESCAPE '!' "
            "ORDER BY position"
        )
    assert not any("@" in row["entry"] for row in rows), "an address stands in the trail"
    return [row["action"] for row in rows]


@pytest.fixture
def member(kit: TestKit, http: Any, inbox: Inbox) -> Callable[..., Awaitable[Account]]:
    """Somebody who has accepted an invitation."""

    async def make(
        tenant: Tenant, address: str = "ada@example.com", roles: list[str] | None = None
    ) -> Account:
        # By a wildcard a key has no permission that opens special categories of personal data.
        every = kit.installation.registry.permissions.values()
        special = [one.name for one in every if one.special]
        staff, guest = await http(tenant, ["*", *special]), await http(tenant)
        body = {"email": address, "name": "Ada Byron", "roles": roles or []}
        answer = await staff.post("/v1/accounts", json=body)
        assert answer.status_code == 201, answer.text
        await kit.deliver(tenant)
        token = token_in(inbox(address)[-1])
        answer = await guest.post(
            "/v1/account-links/acceptances", json={"token": token, "password": GOOD}
        )
        assert answer.status_code == 200, answer.text
        return await account(kit, tenant, address)

    return make


async def test_invitation(kit: TestKit, http: Any, inbox: Inbox) -> None:
    """Invited, mailed, accepted with a password: then the account is in use."""
    tenant = await kit.make_tenant()
    staff, guest = await http(tenant, ["*"]), await http(tenant)
    body = {
        "email": "Ada@Example.com",
        "name": "Ada Byron",
        "roles": ["agent"],
        "attributes": {"station": ["VIE"]},
    }
    answer = await staff.post("/v1/accounts", json=body)
    made = answer.json()
    assert answer.status_code == 201
    assert (made["state"], made["roles"], made["email"]) == (
        "invited",
        ["agent"],
        "Ada@example.com",
    )
    assert not await signs_in(kit, tenant, "ada@example.com", GOOD)
    await kit.deliver(tenant)
    (message,) = inbox("Ada@example.com")
    assert message["Subject"] == f"Your account at {tenant.name}"
    assert str(message["From"]) == f'"{tenant.name}" <pss@localhost>' or tenant.name in str(
        message["From"]
    )
    token = token_in(message)
    answer = await guest.post(
        "/v1/account-links/acceptances", json={"token": token, "password": GOOD}
    )
    assert (answer.status_code, answer.json()["account_id"]) == (200, made["id"])
    found = await account(kit, tenant, "ada@example.com")
    assert (found.state, found.email_verified_at is not None) == ("active", True)
    assert await signs_in(kit, tenant, "ada@example.com", GOOD)
    assert await trail(kit, tenant) == ["account.invited", "account.accepted"]


async def test_token_stands_nowhere(
    kit: TestKit, http: Any, inbox: Inbox, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    """The token is in the mail alone: not in an event, the outbox, a row or the log."""
    tenant = await kit.make_tenant()
    staff = await http(tenant, ["*"])
    await staff.post("/v1/accounts", json={"email": "ada@example.com", "name": "Ada"})
    await kit.deliver(tenant)
    token = token_in(inbox("ada@example.com")[0])
    async with kit.installation.cell(tenant).owner() as owner:
        tables = await owner.fetch(
            "SELECT format('%I.%I', table_schema, table_name) AS name "
            "FROM information_schema.tables "
            "WHERE table_schema = ANY($1) AND table_type = 'BASE TABLE'",
            [tenant.schema, "pss"],
        )
        for table in tables:
            found = await owner.fetchval(
                f"SELECT count(*) FROM {table['name']} t WHERE position($1 in t::text) > 0", token
            )
            assert found == 0, table["name"]
    said = capfd.readouterr()
    assert token not in said.out + said.err + caplog.text


async def test_link_is_used_once(kit: TestKit, http: Any, inbox: Inbox, member: Any) -> None:
    """Neither a second time, nor for another purpose, nor made up."""
    tenant = await kit.make_tenant()
    await member(tenant)
    guest = await http(tenant)
    token = token_in(inbox("ada@example.com")[0])
    for path in ("/v1/account-links/acceptances", "/v1/password-resets/confirm"):
        for one in (token, "pss_link_made-up", "x"):
            answer = await guest.post(path, json={"token": one, "password": BETTER})
            assert (answer.status_code, answer.json()["code"]) == (410, "link-not-usable")
    assert await signs_in(kit, tenant, "ada@example.com", GOOD)


async def test_newer_link_ends_older(kit: TestKit, http: Any, inbox: Inbox) -> None:
    """Invited again: only the last mail is of use."""
    tenant = await kit.make_tenant()
    staff, guest = await http(tenant, ["*"]), await http(tenant)
    made = (await staff.post("/v1/accounts", json={"email": "a@example.com", "name": "A"})).json()
    await kit.deliver(tenant)
    answer = await staff.post(f"/v1/accounts/{made['id']}/invitations")
    assert answer.status_code == 201
    await kit.deliver(tenant)
    first, second = (token_in(one) for one in inbox("a@example.com"))
    statuses = [
        (
            await guest.post("/v1/account-links/acceptances", json={"token": one, "password": GOOD})
        ).status_code
        for one in (first, second)
    ]
    assert statuses == [410, 200]
    answer = await staff.post(f"/v1/accounts/{made['id']}/invitations")
    assert (answer.status_code, answer.json()["code"]) == (409, "not-invited")


async def test_expired_link(kit: TestKit, http: Any, inbox: Inbox) -> None:
    """After its time a link is of no use, and is forgotten a day later."""
    tenant = await kit.make_tenant()
    staff, guest = await http(tenant, ["*"]), await http(tenant)
    await staff.post("/v1/accounts", json={"email": "a@example.com", "name": "A"})
    await kit.deliver(tenant)
    await _later(kit, tenant, "8 days")
    token = token_in(inbox("a@example.com")[0])
    answer = await guest.post(
        "/v1/account-links/acceptances", json={"token": token, "password": GOOD}
    )
    assert answer.json()["code"] == "link-not-usable"
    await _later(kit, tenant, "1 day")
    await kit.run_job(tenant, IDENTITY, "forget_links")
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        assert await uow.hot("SELECT digest FROM account_link") == []


async def _later(kit: TestKit, tenant: Tenant, time: str) -> None:
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await uow.hot(
            "UPDATE account_link SET expires_at = expires_at - $1::text::interval, "
            "created_at = created_at - $1::text::interval, used_at = used_at - $1::text::interval",
            time,
        )


async def test_weak_password_leaves_the_link(kit: TestKit, http: Any, inbox: Inbox) -> None:
    """A refused password says why at its pointer; the link can be used again."""
    tenant = await kit.make_tenant()
    staff, guest = await http(tenant, ["*"]), await http(tenant)
    await staff.post("/v1/accounts", json={"email": "ada@example.com", "name": "Ada Byron"})
    await kit.deliver(tenant)
    token = token_in(inbox("ada@example.com")[0])
    for password, code in [
        ("Sh0rt!", "password-too-short"),
        ("x" * 129, "password-too-long"),
        ("Summer2026!!", "password-known"),
        ("passwordpassword", "password-too-weak"),
        ("AdaByron2026", "password-too-weak"),
    ]:
        answer = await guest.post(
            "/v1/account-links/acceptances", json={"token": token, "password": password}
        )
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["pointer"], error["code"]) == (422, "/password", code)
        assert password not in answer.text
    answer = await guest.post(
        "/v1/account-links/acceptances", json={"token": token, "password": GOOD}
    )
    assert answer.status_code == 200


async def test_reset(kit: TestKit, http: Any, inbox: Inbox, member: Any) -> None:
    """A new password by mail, even where the account is locked; the old one is of no use."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    guest = await http(tenant)
    for _ in range(6):
        await signs_in(kit, tenant, "ada@example.com", BETTER)
    assert (await account(kit, tenant, "ada@example.com")).locked_until is not None
    answer = await guest.post("/v1/password-resets", json={"email": "ADA@example.com"})
    assert (answer.status_code, answer.json()) == (202, {"status": "received"})
    await kit.deliver(tenant)
    token = token_in(inbox("ada@example.com")[-1])
    answer = await guest.post(
        "/v1/password-resets/confirm", json={"token": token, "password": BETTER}
    )
    assert (answer.status_code, answer.json()["account_id"]) == (200, made.account_id)
    assert await signs_in(kit, tenant, "ada@example.com", BETTER)
    assert not await signs_in(kit, tenant, "ada@example.com", GOOD)
    await kit.deliver(tenant)
    assert inbox("ada@example.com")[-1]["Subject"] == f"Your password at {tenant.name} was changed"
    assert (await trail(kit, tenant))[-3:] == [
        "account.password-reset-requested",
        "account.password-reset",
        "account.sign-in-refused",
    ]


async def test_reset_ends_sessions(kit: TestKit, http: Any, inbox: Inbox, member: Any) -> None:
    """Whoever was signed in with the old password is signed out."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    signed = await _session(kit, tenant, made)
    guest = await http(tenant)
    await guest.post("/v1/password-resets", json={"email": "ada@example.com"})
    await kit.deliver(tenant)
    token = token_in(inbox("ada@example.com")[-1])
    await guest.post("/v1/password-resets/confirm", json={"token": token, "password": BETTER})
    assert await _ended(kit, tenant, signed.session_id) == "password-reset"
    await kit.installation.directory.refresh()
    assert signed.session_id in kit.installation.directory.by_code(tenant.code).cutoffs


async def _session(kit: TestKit, tenant: Tenant, made: Account) -> Any:
    from pss_kernel.identity.sessions.opening import open_session  # noqa: PLC0415

    async with kit.installation.unit_of_work(tenant, Actor("guest"), plugin=IDENTITY) as uow:
        return await open_session(uow, made, frozenset({"pwd"}))


async def _ended(kit: TestKit, tenant: Tenant, session_id: str) -> str | None:
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        rows = await uow.hot("SELECT end_reason FROM session WHERE session_id = $1", session_id)
    reason: str | None = rows[0]["end_reason"]
    return reason


@pytest.mark.parametrize("who", ["nobody", "invited", "disabled", "sso"])
async def test_no_reset(kit: TestKit, http: Any, inbox: Inbox, member: Any, who: str) -> None:
    """The same answer, and no mail, for who can't use one."""
    tenant = await kit.make_tenant()
    guest, staff = await http(tenant), await http(tenant, ["*"])
    address = f"{who}@example.com"
    if who == "invited":
        await staff.post("/v1/accounts", json={"email": address, "name": "A"})
    elif who != "nobody":
        made = await member(tenant, address)
        column = "state = 'disabled'" if who == "disabled" else "password_hash = NULL"
        async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
            await uow.hot(f"UPDATE account SET {column} WHERE account_id = $1", made.account_id)
    await kit.deliver(tenant)
    before = len(inbox(address))
    answer = await guest.post("/v1/password-resets", json={"email": address})
    assert (answer.status_code, answer.json()) == (202, {"status": "received"})
    await kit.deliver(tenant)
    assert len(inbox(address)) == before


async def test_asking_takes_the_same_time(kit: TestKit, http: Any, member: Any) -> None:
    """Neither answer comes before the time that the longer way may take."""
    tenant = await kit.make_tenant()
    await member(tenant)
    guest = await http(tenant)
    for address in ("ada@example.com", "nobody@example.com"):
        began = time.monotonic()
        await guest.post("/v1/password-resets", json={"email": address})
        assert time.monotonic() - began >= link_routes._SAME_SECONDS


async def test_resets_do_not_fill_a_mailbox(
    kit: TestKit, http: Any, inbox: Inbox, member: Any
) -> None:
    """One mail a minute, however often somebody asks."""
    tenant = await kit.make_tenant()
    await member(tenant)
    guest = await http(tenant)
    for _ in range(3):
        await guest.post("/v1/password-resets", json={"email": "ada@example.com"})
        await kit.deliver(tenant)
    assert len(inbox("ada@example.com")) == 2  # the invitation, and one link


async def test_link_is_bound_to_its_address(
    kit: TestKit, http: Any, inbox: Inbox, member: Any
) -> None:
    """Who has another address by now does not get in with a link to the former one."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    guest = await http(tenant)
    await guest.post("/v1/password-resets", json={"email": "ada@example.com"})
    await kit.deliver(tenant)
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await uow.hot(
            "UPDATE account SET email = 'new@example.com', email_key = 'new@example.com' "
            "WHERE account_id = $1",
            made.account_id,
        )
    token = token_in(inbox("ada@example.com")[-1])
    answer = await guest.post(
        "/v1/password-resets/confirm", json={"token": token, "password": BETTER}
    )
    assert answer.json()["code"] == "link-not-usable"


async def test_disable_and_enable(kit: TestKit, http: Any, member: Any) -> None:
    """Disabled: no sign-in, sessions end; enabled again as it was before."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    signed = await _session(kit, tenant, made)
    staff = await http(tenant, ["*"])
    path = f"/v1/accounts/{made.account_id}"
    answer = await staff.patch(path, json={"state": "disabled"})
    assert (answer.status_code, answer.json()["state"]) == (200, "disabled")
    assert await _ended(kit, tenant, signed.session_id) == "account-disabled"
    assert not await signs_in(kit, tenant, "ada@example.com", GOOD)
    answer = await staff.patch(path, json={"state": "active", "name": "Augusta Ada"})
    assert (answer.json()["state"], answer.json()["name"]) == ("active", "Augusta Ada")
    assert await signs_in(kit, tenant, "ada@example.com", GOOD)


async def test_enable_an_invited_one(kit: TestKit, http: Any) -> None:
    """Whoever never came in is invited, not active."""
    tenant = await kit.make_tenant()
    staff = await http(tenant, ["*"])
    made = (await staff.post("/v1/accounts", json={"email": "a@example.com", "name": "A"})).json()
    path = f"/v1/accounts/{made['id']}"
    await staff.patch(path, json={"state": "disabled"})
    assert (await staff.patch(path, json={"state": "active"})).json()["state"] == "invited"


async def test_unlock(kit: TestKit, http: Any, member: Any) -> None:
    """Somebody who had too many wrong ones is let try again."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    for _ in range(6):
        await signs_in(kit, tenant, "ada@example.com", BETTER)
    assert not await signs_in(kit, tenant, "ada@example.com", GOOD)
    staff = await http(tenant, ["*"])
    answer = await staff.post(f"/v1/accounts/{made.account_id}/unlock")
    assert (answer.status_code, answer.json()["locked_until"]) == (200, None)
    assert await signs_in(kit, tenant, "ada@example.com", GOOD)


async def test_list(kit: TestKit, http: Any) -> None:
    """Page by page, and by state and kind."""
    tenant = await kit.make_tenant()
    staff = await http(tenant, ["*"])
    for name in "abc":
        await staff.post("/v1/accounts", json={"email": f"{name}@example.com", "name": name})
    first = (await staff.get("/v1/accounts", params={"limit": 2})).json()
    rest = (await staff.get("/v1/accounts", params={"cursor": first["next_cursor"]})).json()
    assert [one["name"] for one in first["data"] + rest["data"]] == ["a", "b", "c"]
    assert rest["next_cursor"] is None
    none = (await staff.get("/v1/accounts", params={"state": "active"})).json()
    assert none == {"data": [], "next_cursor": None}
    wrong = await staff.get("/v1/accounts", params={"cursor": "x"})
    assert wrong.status_code == 404


async def test_taken_address(kit: TestKit, http: Any, member: Any) -> None:
    """Two accounts never have one address, however it is written."""
    tenant = await kit.make_tenant()
    await member(tenant)
    staff = await http(tenant, ["*"])
    answer = await staff.post("/v1/accounts", json={"email": "ADA@EXAMPLE.COM", "name": "X"})
    assert (answer.status_code, answer.json()["code"]) == (409, "email-taken")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "no address", "name": "A"}, "/email"),
        ({"email": "a@example.com\r\nBcc: b@example.com", "name": "A"}, "/email"),
        ({"email": "a@example.com", "name": "A\r\nBcc: b@example.com"}, "/name"),
        ({"email": "a@example.com", "name": "A", "roles": ["queen"]}, "/roles/0"),
        ({"email": "a@example.com", "name": "A", "attributes": {"X": []}}, "/attributes/X"),
    ],
)
async def test_wrong_invitation(
    kit: TestKit, http: Any, body: dict[str, Any], pointer: str
) -> None:
    """Each failing field is named."""
    tenant = await kit.make_tenant()
    answer = await (await http(tenant, ["*"])).post("/v1/accounts", json=body)
    assert answer.status_code == 422
    assert [one["pointer"] for one in answer.json()["errors"]] == [pointer]


async def test_roles_need_their_permission(kit: TestKit, http: Any) -> None:
    """Who manages accounts doesn't thereby give roles."""
    tenant = await kit.make_tenant()
    clerk = await http(tenant, ["identity:accounts-manage"])
    body = {"email": "a@example.com", "name": "A"}
    answer = await clerk.post("/v1/accounts", json=body | {"roles": ["user"]})
    assert (answer.status_code, answer.json()["code"]) == (403, "missing-permission")
    made = await clerk.post("/v1/accounts", json=body)
    assert made.status_code == 201
    answer = await clerk.put(f"/v1/accounts/{made.json()['id']}/roles", json={"roles": ["user"]})
    assert answer.status_code == 403


def _person(kit: TestKit, tenant: Tenant, role: str, account_id: str = "acc_x") -> Actor:
    from pss_kernel.auth._rights import rights_of  # noqa: PLC0415

    rights = rights_of(kit.installation.registry, tenant, [role])
    return Actor("user", account_id, rights.scopes, roles=(role,), rules=rights.rules)


async def test_nobody_gives_more_than_they_have(kit: TestKit, member: Any) -> None:
    """An admin makes no super admin, and changes nothing about one."""
    tenant = await kit.make_tenant(plugins=["notes"])
    chief = await member(tenant, "chief@example.com", ["super_admin"])
    clerk = await member(tenant, "clerk@example.com", ["manager"])
    admin = _person(kit, tenant, "admin")
    manager = _person(kit, tenant, "manager")
    refused: list[Callable[[Any], Awaitable[Any]]] = [
        lambda uow: changes.set_roles(uow, clerk.account_id, ["admin"]),
        lambda uow: changes.invite(uow, email="n@example.com", name="N", roles=["admin"]),
        lambda uow: changes.disable(uow, chief.account_id),
        lambda uow: changes.unlock(uow, chief.account_id),
        lambda uow: changes.set_facts(uow, chief.account_id, name="Mine"),
    ]
    for change in refused:
        with pytest.raises(Forbidden) as error:
            async with kit.installation.unit_of_work(tenant, manager, plugin=IDENTITY) as uow:
                await change(uow)
        assert error.value.code == "role-above-own"
    async with kit.installation.unit_of_work(tenant, admin, plugin=IDENTITY) as uow:
        changed = await changes.set_roles(uow, clerk.account_id, ["admin"])
    assert changed.roles == ("admin",)


async def test_nobody_gives_wider_attributes_than_the_own(kit: TestKit, member: Any) -> None:
    """Whose own permission is narrowed to a place gives nobody another place."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    person = _person(kit, tenant, "admin")
    limited = replace(
        person,
        rules={"identity:audit-read": (Limits(own=("station",)),)},
        attributes={"station": ["VIE"]},
    )
    async with kit.installation.unit_of_work(tenant, limited, plugin=IDENTITY) as uow:
        await changes.set_facts(
            uow, made.account_id, attributes={"station": ["VIE"], "desk": ["1"]}
        )
    for attempt in (
        lambda uow: changes.set_facts(uow, made.account_id, attributes={"station": ["LHR"]}),
        lambda uow: changes.invite(
            uow, email="n@example.com", name="N", attributes={"station": ["VIE", "LHR"]}
        ),
    ):
        with pytest.raises(Forbidden) as error:
            async with kit.installation.unit_of_work(tenant, limited, plugin=IDENTITY) as uow:
                await attempt(uow)  # type: ignore[no-untyped-call]
        assert error.value.code == "attribute-above-own"


async def test_nobody_changes_the_own_roles(kit: TestKit, member: Any) -> None:
    """Neither up nor down, and nobody disables themselves."""
    tenant = await kit.make_tenant()
    made = await member(tenant, roles=["admin"])
    own = _person(kit, tenant, "admin", made.account_id)
    refused: list[Callable[[Any], Awaitable[Any]]] = [
        lambda uow: changes.set_roles(uow, made.account_id, ["user"]),
        lambda uow: changes.disable(uow, made.account_id),
        lambda uow: changes.set_facts(uow, made.account_id, attributes={"station": ["LHR"]}),
    ]
    for change in refused:
        with pytest.raises(Forbidden) as error:
            async with kit.installation.unit_of_work(tenant, own, plugin=IDENTITY) as uow:
                await change(uow)
        assert error.value.code == "own-account"


async def test_changed_roles_renew_tokens(kit: TestKit, http: Any, member: Any) -> None:
    """Tokens that say the former roles are refused within a second; the session goes on."""
    tenant = await kit.make_tenant()
    made = await member(tenant, roles=["agent"])
    signed = await _session(kit, tenant, made)
    staff = await http(tenant, ["*", "identity:roles-assign"])
    answer = await staff.put(f"/v1/accounts/{made.account_id}/roles", json={"roles": ["user"]})
    assert (answer.status_code, answer.json()["roles"]) == (200, ["user"])
    await kit.installation.directory.refresh()
    assert made.account_id in kit.installation.directory.by_code(tenant.code).cutoffs
    assert await _ended(kit, tenant, signed.session_id) is None
    assert "account.roles-changed" in await trail(kit, tenant)


@pytest.fixture
def as_person(kit: TestKit, http: Any) -> Callable[..., Awaitable[httpx.AsyncClient]]:
    """A client that is signed in."""

    async def make(tenant: Tenant, made: Account) -> httpx.AsyncClient:
        client: httpx.AsyncClient = await http(tenant)
        signed = await _session(kit, tenant, made)
        client.headers["Authorization"] = f"Bearer {signed.access_token}"
        return client

    return make


async def test_own_password(kit: TestKit, member: Any, as_person: Any) -> None:
    """The old one is needed; other sessions end, the own one goes on."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    other = await _session(kit, tenant, made)
    client = await as_person(tenant, made)
    answer = await client.put(
        "/v1/me/password", json={"current_password": BETTER, "new_password": BETTER}
    )
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/current_password")
    answer = await client.put(
        "/v1/me/password", json={"current_password": GOOD, "new_password": BETTER}
    )
    assert answer.status_code == 200, answer.text
    assert await _ended(kit, tenant, other.session_id) == "password-changed"
    me = (await client.get("/v1/me")).json()
    assert (made.account_id, "ada@example.com") == (me["id"], me["email"])
    assert await signs_in(kit, tenant, "ada@example.com", BETTER)


async def test_guests_and_keys_have_no_account(kit: TestKit, http: Any) -> None:
    """What is about the own account needs a person."""
    tenant = await kit.make_tenant()
    body = {"current_password": GOOD, "new_password": BETTER}
    answer = await (await http(tenant)).put("/v1/me/password", json=body)
    assert answer.status_code == 401
    answer = await (await http(tenant, ["*"])).put("/v1/me/password", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "not-a-person")


async def test_new_address(
    kit: TestKit, http: Any, inbox: Inbox, member: Any, as_person: Any
) -> None:
    """It counts once it was confirmed; the former one is told."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    client = await as_person(tenant, made)
    answer = await client.patch("/v1/me", json={"email": "countess@example.org"})
    assert [one["pointer"] for one in answer.json()["errors"]] == ["/password"]
    answer = await client.patch(
        "/v1/me", json={"email": "countess@example.org", "password": GOOD, "name": "Ada L."}
    )
    assert (answer.json()["email"], answer.json()["new_email"], answer.json()["name"]) == (
        "ada@example.com",
        "countess@example.org",
        "Ada L.",
    )
    await kit.deliver(tenant)
    assert "about to change" in inbox("ada@example.com")[-1]["Subject"]
    assert await signs_in(kit, tenant, "ada@example.com", GOOD)
    token = token_in(inbox("countess@example.org")[0])
    guest = await http(tenant)
    answer = await guest.post("/v1/account-links/verifications", json={"token": token})
    assert answer.status_code == 200
    assert await signs_in(kit, tenant, "countess@example.org", GOOD)
    assert not await signs_in(kit, tenant, "ada@example.com", GOOD)


async def test_new_address_taken_meanwhile(
    kit: TestKit, http: Any, inbox: Inbox, member: Any, as_person: Any
) -> None:
    """Whoever confirms first has it; asking tells nobody that it is taken."""
    tenant = await kit.make_tenant()
    made = await member(tenant)
    await member(tenant, "taken@example.com")
    client = await as_person(tenant, made)
    answer = await client.patch("/v1/me", json={"email": "taken@example.com", "password": GOOD})
    assert answer.status_code == 200
    await kit.deliver(tenant)
    token = token_in(inbox("taken@example.com")[-1])
    answer = await client.post("/v1/account-links/verifications", json={"token": token})
    assert (answer.status_code, answer.json()["code"]) == (409, "email-taken")


async def test_registration(kit: TestKit, http: Any, inbox: Inbox) -> None:
    """Where the tenant offers it: the same answer for all, a mail with a link or a word."""
    tenant = await kit.make_tenant(settings={IDENTITY: {"passenger_accounts": True}})
    guest = await http(tenant)
    body = {"email": "pax@example.com", "name": "http://evil.example/ win now"}
    answer = await guest.post("/v1/registrations", json=body)
    assert (answer.status_code, answer.json()) == (202, {"status": "received"})
    await kit.deliver(tenant)
    (message,) = inbox("pax@example.com")
    assert "evil.example" not in message.as_string()
    answer = await guest.post(
        "/v1/account-links/acceptances", json={"token": token_in(message), "password": GOOD}
    )
    assert answer.status_code == 200
    made = await account(kit, tenant, "pax@example.com")
    assert (made.kind, made.state, made.roles) == ("passenger", "active", ())
    assert await signs_in(kit, tenant, "pax@example.com", GOOD)
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await uow.hot("UPDATE account_link SET created_at = created_at - interval '1 hour'")
    answer = await guest.post("/v1/registrations", json=body)
    assert (answer.status_code, answer.json()) == (202, {"status": "received"})
    await kit.deliver(tenant)
    assert "already have" in inbox("pax@example.com")[-1]["Subject"]


async def test_registration_not_offered(kit: TestKit, http: Any) -> None:
    """By itself no tenant lets people make accounts."""
    tenant = await kit.make_tenant()
    answer = await (await http(tenant)).post(
        "/v1/registrations", json={"email": "pax@example.com", "name": "P"}
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "registration-not-offered")


async def test_unconfirmed_registration_is_forgotten(kit: TestKit, http: Any, inbox: Inbox) -> None:
    """What nobody has confirmed is not kept."""
    tenant = await kit.make_tenant(settings={IDENTITY: {"passenger_accounts": True}})
    await (await http(tenant)).post(
        "/v1/registrations", json={"email": "pax@example.com", "name": "P"}
    )
    await kit.deliver(tenant)
    await kit.run_job(tenant, IDENTITY, "forget_links")
    made = await account(kit, tenant, "pax@example.com")
    await _later(kit, tenant, "8 days")
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await uow.hot("UPDATE account SET created_at = created_at - interval '8 days'")
    await kit.run_job(tenant, IDENTITY, "forget_links")
    async with kit.installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        assert await account_by_email(uow, "pax@example.com") is None
        with pytest.raises(NotFound, match=made.account_id):
            await account_of(uow, made.account_id)
