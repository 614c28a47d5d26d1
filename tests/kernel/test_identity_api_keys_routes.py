"""Keys over HTTP: made, listed, changed, rotated and ended, by whoever may do so and no further."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_api.traffic import TrafficCounter
from pss_kernel.api_versions import NEWEST, OLDEST
from pss_kernel.auth import Actor, Own
from pss_kernel.errors import Forbidden
from pss_kernel.identity.api_keys import uses
from pss_kernel.identity.api_keys.rules import refuse_more_than_own
from pss_kernel.tenancy._test_mode import enable_test_mode
from pss_kernel.testing import TestKit

pytestmark = [pytest.mark.xdist_group("api-keys")]


class _Side:
    """A tenant, the application, and a client whose key may do everything that a key can."""

    boss: httpx.AsyncClient

    def __init__(self, kit: TestKit, tenant: Any) -> None:
        self.kit, self.tenant = kit, tenant
        self.traffic = TrafficCounter(kit.installation)
        self.app: Any = create_app(kit.installation, self.traffic)

    def client(self, key: str | None = None, address: str = "127.0.0.1") -> httpx.AsyncClient:
        headers = {"PSS-Tenant": self.tenant.code}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(self.app, client=(address, 1))
        return httpx.AsyncClient(
            transport=transport, base_url="http://test.invalid", headers=headers
        )

    async def made(self, **more: Any) -> dict[str, Any]:
        body = {"name": "desk", "scopes": ["notes:read"], **more}
        answer = await self.boss.post("/v1/api-keys", json=body)
        assert 201 == answer.status_code, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def entries(self, tenant: Any = None) -> list[dict[str, Any]]:
        async with self.kit.installation.database.owner() as owner:
            rows = await owner.fetch(
                f'SELECT entry FROM "{(tenant or self.tenant).schema}".audit_entry '
                "ORDER BY position"
            )
        return [json.loads(row["entry"]) for row in rows]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def side(installation: Any) -> AsyncIterator[_Side]:
    """One for all tests here; each looks at the keys that it has made."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(plugins=["notes"])
    found = _Side(kit, tenant)
    async with found.client(await kit.api_key(tenant, ["*"])) as boss:
        found.boss = boss
        yield found


def _said(answer: httpx.Response) -> tuple[int, str | None]:
    return (answer.status_code, answer.json().get("code"))


async def _works(side: _Side, key: str, address: str = "127.0.0.1") -> tuple[int, str | None]:
    async with side.client(key, address) as client:
        return _said(await client.get("/v1/notes/note_1"))


async def test_made_shown_and_listed(side: _Side) -> None:
    """The answer has the key, this once; lists and the trail never have it."""
    made = await side.made(name="gate 12", networks=["203.0.113.7", "2001:db8::/32"])
    assert made["key"].startswith(made["prefix"])
    assert made["prefix"] == f"pss_live_{made['id'].removeprefix('key_')}_"
    assert ["203.0.113.7/32", "2001:db8::/32"] == made["networks"]
    assert ("live", "active", NEWEST) == (made["mode"], made["state"], made["api_version"])
    shown = await side.boss.get(f"/v1/api-keys/{made['id']}")
    assert {name: made[name] for name in shown.json()} == shown.json()
    secret = made["key"].removeprefix(made["prefix"])
    listed = await side.boss.get("/v1/api-keys?limit=100")
    assert made["id"] in {one["id"] for one in listed.json()["data"]}
    assert secret not in listed.text + shown.text + json.dumps(await side.entries())
    (entry,) = [
        one
        for one in await side.entries()
        if one["subject"] == f"key:{made['id'].removeprefix('key_')}"
    ]
    assert ("api-key.created", "gate 12") == (entry["action"], entry["after"]["name"])


async def test_pages(side: _Side) -> None:
    """Page after page, each key once, in the order in which they were made."""
    for _ in range(3):
        await side.made()
    seen, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await side.boss.get("/v1/api-keys", params=query)).json()
        seen += [one["created_at"] + one["id"] for one in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(set(seen))
    assert len(seen) >= 4


@pytest.mark.parametrize(
    ("more", "pointer", "code"),
    [
        ({"scopes": []}, "/scopes", "too-few"),
        ({"scopes": ["notes:read", "fly"]}, "/scopes/1", "unknown-scope"),
        ({"networks": ["203.0.113.7/24"]}, "/networks/0", "invalid"),
        ({"networks": ["10.0.0.0/8", "here"]}, "/networks/1", "invalid"),
        ({"networks": ["::ffff:10.0.0.0/104"]}, "/networks/0", "invalid"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "invalid"),
        ({"expires_at": "2090-01-01T00:00:00"}, "/expires_at", "invalid"),
        ({"api_version": "1999-01-01"}, "/api_version", "unknown-version"),
        ({"name": ""}, "/name", "invalid"),
        ({"mode": "demo"}, "/mode", "invalid"),
        ({"secret": "mine"}, "/secret", "unknown-field"),
    ],
)
async def test_wrong_wishes(side: _Side, more: Any, pointer: str, code: str) -> None:
    """Each wrong field is named, for a new key and for a change alike."""
    body = {"name": "desk", "scopes": ["notes:read"], **more}
    answer = await side.boss.post("/v1/api-keys", json=body)
    assert 422 == answer.status_code, answer.text
    assert (pointer, code) in [(one["pointer"], one["code"]) for one in answer.json()["errors"]]
    if "mode" in more:
        return
    made = await side.made()
    changed = await side.boss.patch(f"/v1/api-keys/{made['id']}", json=more)
    assert 422 == changed.status_code, changed.text
    assert pointer in [one["pointer"] for one in changed.json()["errors"]]


async def test_no_more_than_ones_own(side: _Side) -> None:
    """A key can't give, take on or rotate into rights that its holder does not have."""
    less = await side.made(scopes=["identity:keys-manage", "notes:read"])
    strong = await side.made(scopes=["notes:write"])
    async with side.client(less["key"]) as client:
        for scopes in (["*"], ["notes:*"], ["notes:read", "notes:write"], ["identity:*"]):
            body = {"name": "more", "scopes": scopes}
            answer = await client.post("/v1/api-keys", json=body)
            assert (403, "scopes-beyond-own") == _said(answer)
        own = await client.post("/v1/api-keys", json={"name": "x", "scopes": ["notes:read"]})
        assert 201 == own.status_code
        grown = await client.patch(f"/v1/api-keys/{less['id']}", json={"scopes": ["notes:write"]})
        assert (403, "scopes-beyond-own") == _said(grown)
        taken = await client.post(f"/v1/api-keys/{strong['id']}/rotate", json={})
        assert (403, "scopes-beyond-own") == _said(taken)
        ended = await client.delete(f"/v1/api-keys/{strong['id']}")
        assert (200, "revoked") == (ended.status_code, ended.json()["state"])
        assert (403, "missing-permission") == _said(await client.get("/v1/api-keys"))


async def test_limits_of_a_person_do_not_vanish_in_a_key(side: _Side) -> None:
    """Whoever has a permission within limits can't make a key that has it without."""
    registry = side.kit.installation.registry
    own = frozenset({"notes:read", "notes:write"})
    limits = {"notes:write": (Own("station", "station"),)}
    person = Actor("user", "acc_1", own, rules=limits)  # type: ignore[arg-type]
    refuse_more_than_own(registry, side.tenant, person, ["notes:read"])
    with pytest.raises(Forbidden, match="within limits"):
        refuse_more_than_own(registry, side.tenant, person, ["notes:write"])


async def test_changes(side: _Side) -> None:
    """What is named changes, at once and in the trail; the rest stays."""
    made = await side.made(networks=["10.0.0.0/8"])
    change = {"name": "new", "networks": [], "api_version": OLDEST}
    changed = (await side.boss.patch(f"/v1/api-keys/{made['id']}", json=change)).json()
    assert made | {"key": None} | change == changed | {"key": None}
    entry = (await side.entries())[-1]
    assert "api-key.changed" == entry["action"]
    before = {"name": "desk", "networks": ["10.0.0.0/8"], "api_version": NEWEST}
    assert (before, change) == (entry["before"], entry["after"])


async def test_rotation(side: _Side) -> None:
    """Both work during the overlap, and are shown as a pair; then only the new one does."""
    ends = (datetime.now(UTC) + timedelta(days=90)).isoformat()
    old = await side.made(expires_at=ends, networks=["127.0.0.0/8"])
    answer = await side.boss.post(f"/v1/api-keys/{old['id']}/rotate", json={"overlap_hours": 2})
    new = answer.json()
    assert 201 == answer.status_code
    same = ("name", "mode", "scopes", "networks", "api_version")
    assert [old[one] for one in same] == [new[one] for one in same]
    assert old["id"] == new["replaces"]
    before = (await side.boss.get(f"/v1/api-keys/{old['id']}")).json()
    assert (new["id"], "active") == (before["replaced_by"], before["state"])
    left = datetime.fromisoformat(before["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=1) < left <= timedelta(hours=2)
    lasts = datetime.fromisoformat(new["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < lasts <= timedelta(days=90)
    for one in (old, new):
        assert (404, "not-found") == await _works(side, one["key"])
    again = await side.boss.post(f"/v1/api-keys/{old['id']}/rotate", json={})
    assert (409, "key-rotated") == _said(again)
    at_once = await side.boss.post(f"/v1/api-keys/{new['id']}/rotate", json={"overlap_hours": 0})
    assert 201 == at_once.status_code
    assert (401, "unknown-credentials") == await _works(side, new["key"])
    ended = await side.boss.post(f"/v1/api-keys/{new['id']}/rotate", json={})
    assert (409, "key-ended") == _said(ended)
    entry = (await side.entries())[-1]
    assert ("api-key.rotated", 0) == (entry["action"], entry["after"]["overlap_hours"])


async def test_overlap_has_an_end(side: _Side) -> None:
    """Thirty days at the most."""
    made = await side.made()
    for hours in (721, -1):
        body = {"overlap_hours": hours}
        answer = await side.boss.post(f"/v1/api-keys/{made['id']}/rotate", json=body)
        assert (422, "invalid") == _said(answer)


async def test_revoked(side: _Side) -> None:
    """Refused at once; ending it again changes nothing, and nothing else can be done with it."""
    made = await side.made()
    assert (404, "not-found") == await _works(side, made["key"])
    first = await side.boss.delete(f"/v1/api-keys/{made['id']}")
    count = len(await side.entries())
    again = await side.boss.delete(f"/v1/api-keys/{made['id']}")
    assert first.json() == again.json()
    assert count == len(await side.entries())
    assert (401, "unknown-credentials") == await _works(side, made["key"])
    changed = await side.boss.patch(f"/v1/api-keys/{made['id']}", json={"name": "x"})
    assert (409, "key-ended") == _said(changed)


@pytest.mark.parametrize("key_id", ["key_0123456789abcdef", "key_x", "0123456789abcdef", "'"])
async def test_keys_that_are_none(side: _Side, key_id: str) -> None:
    """404, whatever is wanted of them."""
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", ""), ("POST", "/rotate")):
        body = {} if method in {"PATCH", "POST"} else None
        answer = await side.boss.request(method, f"/v1/api-keys/{key_id}{path}", json=body)
        assert (404, "not-found") == _said(answer)


async def test_another_tenants_keys(side: _Side) -> None:
    """Neither shown nor ended."""
    other = await side.kit.make_tenant(plugins=["notes"])
    made = await side.made()
    async with side.kit.http(other, ["*"]) as stranger:
        assert 404 == (await stranger.get(f"/v1/api-keys/{made['id']}")).status_code
        assert 404 == (await stranger.delete(f"/v1/api-keys/{made['id']}")).status_code
        listed = (await stranger.get("/v1/api-keys")).json()["data"]
        assert made["id"] not in {one["id"] for one in listed}
    assert (404, "not-found") == await _works(side, made["key"])


async def test_test_keys(side: _Side) -> None:
    """Made and looked after from the live side; from the test side, no live key can be made."""
    tenant = await side.kit.make_tenant(plugins=["notes"])
    body = {"name": "try", "scopes": ["*"], "mode": "test"}
    async with side.kit.http(tenant, ["*"]) as boss:
        assert (409, "test-mode-not-enabled") == _said(await boss.post("/v1/api-keys", json=body))
        twin = await enable_test_mode(side.kit.installation, tenant.code)
        made = (await boss.post("/v1/api-keys", json=body)).json()
        assert made["key"].startswith("pss_test_")
        own = (await boss.get("/v1/api-keys")).json()["data"]
        tests = (await boss.get("/v1/api-keys?mode=test")).json()["data"]
        assert (["live"], [made["id"]]) == (
            [one["mode"] for one in own],
            [one["id"] for one in tests],
        )
        assert "test" == (await boss.get(f"/v1/api-keys/{made['id']}")).json()["mode"]
        new = (await boss.post(f"/v1/api-keys/{made['id']}/rotate", json={})).json()
        assert (made["id"], "test") == (new["replaces"], new["mode"])
        for schema_of in (tenant, twin):  # whoever looks after either sees it
            actions = [one["action"] for one in await side.entries(schema_of)]
            assert {"api-key.created", "api-key.rotated"} <= set(actions)
        async with side.client(made["key"]) as tester:
            tester.headers["PSS-Tenant"] = tenant.code
            refused = await tester.post("/v1/api-keys", json=body | {"mode": "live"})
            assert (422, "test-data") == _said(refused)
            seen = (await tester.get("/v1/api-keys")).json()["data"]
            assert {"test"} == {one["mode"] for one in seen}
        ended = (await boss.delete(f"/v1/api-keys/{made['id']}")).json()
        assert "revoked" == ended["state"]
        assert "revoked" == (await boss.get(f"/v1/api-keys/{made['id']}")).json()["state"]


async def test_networks(side: _Side) -> None:
    """Elsewhere it is refused, also where guests may; what was forwarded by nobody is no help."""
    made = await side.made(networks=["203.0.113.0/24", "2001:db8::/32"])
    assert (404, "not-found") == await _works(side, made["key"], "203.0.113.9")
    assert (404, "not-found") == await _works(side, made["key"], "2001:db8::5")
    assert (403, "network-not-allowed") == await _works(side, made["key"], "203.0.114.9")
    async with side.client(made["key"], "198.51.100.1") as client:
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        for path in ("/v1/notes", "/v1/tenant"):
            answer = await client.get(path, headers=forwarded)
            assert (403, "network-not-allowed") == _said(answer)


async def test_last_use(side: _Side) -> None:
    """Remembered by requests and written with the next flush; a refusal is no use."""
    made = await side.made(networks=["203.0.113.0/24"])
    await _works(side, made["key"], "198.51.100.1")
    await side.traffic.flush()
    shown = (await side.boss.get(f"/v1/api-keys/{made['id']}")).json()
    assert (None, None) == (shown["last_used_at"], shown["last_used_from"])
    for address in ("203.0.113.1", "203.0.113.2"):
        await _works(side, made["key"], address)
    await side.traffic.flush()
    shown = (await side.boss.get(f"/v1/api-keys/{made['id']}")).json()
    assert "203.0.113.2" == shown["last_used_from"]
    ago = datetime.now(UTC) - datetime.fromisoformat(shown["last_used_at"])
    assert ago < timedelta(minutes=1)


async def test_uses_wait_for_the_database(side: _Side, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is written the next time."""
    made = await side.made()
    await _works(side, made["key"], "203.0.113.5")
    with monkeypatch.context() as broken:
        broken.setattr(uses, "_RECORD", uses._RECORD.replace("api_key_use", "nowhere"))
        with pytest.raises(asyncpg.PostgresError):
            await side.traffic.flush()
    await side.traffic.flush()
    shown = (await side.boss.get(f"/v1/api-keys/{made['id']}")).json()
    assert "203.0.113.5" == shown["last_used_from"]


async def test_a_key_in_the_url(side: _Side) -> None:
    """Refused with an explanation, also beside good credentials, and whoever it belongs to."""
    made = await side.made()
    for key in (made["key"], "pss_0123456789abcdef_" + "a" * 43):
        answer = await side.boss.get("/v1/notes", params={"api_key": key})
        assert (400, "key-in-url") == _said(answer)
        assert key not in answer.text
