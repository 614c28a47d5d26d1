"""Who is calling, for which tenant, and what they may do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_kernel import Actor, Tenant
from pss_kernel.auth import create_api_key, parse_api_key
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit

_NOTE = "/v1/notes/note_1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shared(installation: Any) -> tuple[TestKit, Tenant, Tenant, httpx.AsyncClient]:
    """Two tenants with notes and a client without any header."""
    kit = TestKit(installation)
    tenants = [await kit.make_tenant(plugins=["notes"]) for _ in range(2)]
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(installation)), base_url="http://test.invalid"
    )
    return kit, *tenants, client


def _said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def test_a_guest_needs_credentials(shared: Any) -> None:
    """401 with a challenge where a guest may not; 200 where guests may."""
    _, tenant, _, client = shared
    headers = {"PSS-Tenant": tenant.code}
    answer = await client.get(_NOTE, headers=headers)
    assert (401, "unauthorised") == _said(answer)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert 200 == (await client.get("/v1/notes", headers=headers)).status_code


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        (["notes:read"], (404, "not-found")),
        (["notes:*"], (404, "not-found")),
        (["*"], (404, "not-found")),
        (["notes:write"], (403, "missing-permission")),
        (["note:*", "notes"], (403, "missing-permission")),
        ([], (403, "missing-permission")),
    ],
)
async def test_scopes(shared: Any, scopes: list[str], expected: tuple[int, str]) -> None:
    """A permission's name, ``plugin:*`` or ``*`` admit; then the note is not there."""
    kit, tenant, _, client = shared
    key = await kit.api_key(tenant, scopes)
    answer = await client.get(
        _NOTE, headers={"PSS-Tenant": tenant.code, "Authorization": f"Bearer {key}"}
    )
    assert expected == _said(answer)


async def test_another_tenants_key(shared: Any) -> None:
    """A key is refused for another tenant whatever the header says, also where guests may."""
    kit, tenant, other, client = shared
    key = await kit.api_key(other, ["*"])
    headers = {"PSS-Tenant": tenant.code, "Authorization": f"Bearer {key}"}
    for path in (_NOTE, "/v1/notes"):
        assert (403, "wrong-tenant") == _said(await client.get(path, headers=headers))


async def test_expired_and_revoked_keys(shared: Any, eventually: Any) -> None:
    """An expired key is refused at once, a revoked one within a second, without a restart."""
    kit, tenant, _, client = shared
    directory = kit.installation.directory
    now = datetime.now(UTC)
    keys = {}
    async with kit.installation.database.owner() as owner:
        for name, expires in (("past", now - timedelta(seconds=1)), ("good", None)):
            keys[name] = await create_api_key(
                owner, tenant=tenant.code, name=name, scopes=["*"], expires_at=expires
            )
    key_id, _ = parse_api_key(keys["good"])
    await eventually(lambda: directory.key(key_id))  # nobody refreshed it by hand

    async def status(name: str) -> int:
        headers = {"PSS-Tenant": tenant.code, "Authorization": f"Bearer {keys[name]}"}
        return (await client.get(_NOTE, headers=headers)).status_code

    assert (401, 404) == (await status("past"), await status("good"))
    async with kit.installation.database.owner() as owner:
        await owner.execute("UPDATE pss.api_key SET revoked_at = now() WHERE key_id = $1", key_id)
    await eventually(lambda: directory.key(key_id) is None)
    assert 401 == await status("good")


async def test_credentials_that_are_none(shared: Any) -> None:
    """Anything but a known key is 401, whatever bytes it has, also where guests may."""
    kit, tenant, _, client = shared
    good = await kit.api_key(tenant, ["*"])
    wrong_secret = good[:-3] + ("aaa" if not good.endswith("aaa") else "bbb")
    for credential in (
        "",
        "Bearer",
        "Bearer ",
        f"Basic {good}",
        f"Bearer {wrong_secret}",
        f"Bearer {good}x",
        "Bearer pss_0123456789abcdef_" + "a" * 43,
        b"Bearer \xff\xfe",
        "Bearer " + "x" * 8000,
    ):
        headers = {"PSS-Tenant": tenant.code, "Authorization": credential}
        answer = await client.get("/v1/notes", headers=headers)
        assert (401, "unknown-credentials") == _said(answer), credential


async def test_the_tenant_of_host_and_header(shared: Any) -> None:
    """Its own domain, ``<code>.<base domain>``, or the header; they may not disagree."""
    kit, tenant, other, client = shared
    await create_tenant(
        kit.installation,
        tenant.code,
        name=tenant.name,
        currency="EUR",
        time_zone="UTC",
        domains=["Notes.Example"],
    )
    dashed = tenant.code.replace("_", "-")

    async def seen(host: str, named: str | None = None) -> object:
        headers = {"Host": host} | ({"PSS-Tenant": named} if named is not None else {})
        answer = await client.get("/v1/tenant", headers=headers)
        body = answer.json()
        return body["code"] if answer.is_success else (answer.status_code, body["code"])

    assert tenant.code == await seen("notes.example")
    assert tenant.code == await seen("NOTES.example:8443")
    assert tenant.code == await seen(f"{tenant.code}.localhost:8000")
    assert tenant.code == await seen(f"{dashed}.localhost")
    assert tenant.code == await seen("notes.example", tenant.code)
    assert other.code == await seen("unknown.example", other.code)
    assert (400, "tenant-mismatch") == await seen("notes.example", other.code)
    assert (404, "tenant-unknown") == await seen("unknown.example")
    assert (404, "tenant-unknown") == await seen("notes.example.localhost")
    assert (404, "tenant-unknown") == await seen("unknown.example", "")
    assert (404, "tenant-unknown") == await seen("unknown.example", "nobody'; --")


async def test_a_plugin_that_is_not_enabled(shared: Any) -> None:
    """404 with its own code, before the permission is looked at."""
    _, tenant, _, client = shared
    answer = await client.get("/v1/echoes/note_1", headers={"PSS-Tenant": tenant.code})
    assert (404, "plugin-not-enabled") == _said(answer)


def test_actors_and_permissions() -> None:
    """The system may all, guests nothing of their own, keys what their scopes say."""
    assert Actor("system").may("notes:read")
    assert not Actor("guest").may("notes:read")
    assert Actor("key", "k", frozenset({"notes:read"})).may("notes:read")
    assert not Actor("key", "k", frozenset({"notes:read"})).may("notes:write")
    assert ("system", "key:k") == (Actor("system").label, Actor("key", "k").label)
