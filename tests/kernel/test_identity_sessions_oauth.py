"""API keys exchanged for access tokens: OAuth 2.0 client credentials (RFC 6749, 4.4)."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio

from pss_kernel import Tenant, new_id
from pss_kernel.auth import create_api_key
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit

_GRANT = {"grant_type": "client_credentials"}


@dataclass(frozen=True)
class Shop:
    """A tenant, and a client of its interface that sends no credentials by itself."""

    kit: TestKit
    tenant: Tenant
    client: httpx.AsyncClient

    async def key(self, *scopes: str, **more: Any) -> tuple[str, str]:
        """Client and secret of a new key."""
        async with self.kit.installation.cell(self.tenant).owner() as owner:
            text = await create_api_key(
                owner, tenant=self.tenant.code, name="test", scopes=list(scopes), **more
            )
        await self.kit.installation.directory.refresh()
        return text[:-44], text[-43:]

    async def ask(
        self, form: dict[str, str], basic: tuple[str, str] | None = None, **headers: str
    ) -> httpx.Response:
        """Ask for a token."""
        if basic:
            told = base64.b64encode(":".join(basic).encode()).decode()
            headers["Authorization"] = f"Basic {told}"
        return await self.client.post("/v1/oauth/token", data=form, headers=headers)

    async def said(self, path: str, token: str) -> tuple[int, Any]:
        """What the holder of a token is answered."""
        headers = {"Authorization": f"Bearer {token}"}
        answer = await self.client.get(path, headers=headers)
        return answer.status_code, answer.json()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(installation: Installation) -> AsyncIterator[Shop]:
    """One for all these tests."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant(plugins=["notes"])
    async with kit.http(tenant) as client:
        yield Shop(kit, tenant, client)


async def test_both_ways_to_authenticate(shop: Shop) -> None:
    """By HTTP Basic or in the form; the answer is the one of RFC 6749, and not to be kept."""
    client, secret = await shop.key("notes:*")
    for answer in (
        await shop.ask(_GRANT, (client, secret)),
        await shop.ask(_GRANT | {"client_id": client}, (client, secret)),
        await shop.ask(_GRANT | {"client_id": client, "client_secret": secret}),
    ):
        given = answer.json()
        assert (200, "no-store") == (answer.status_code, answer.headers["Cache-Control"])
        assert ("Bearer", 3600, "notes:*") == (
            given["token_type"],
            given["expires_in"],
            given["scope"],
        )
        status, me = await shop.said("/v1/me", given["access_token"])
        key_id = client.rpartition("_")[2]
        assert (200, "key", key_id) == (status, me["kind"], me["id"])
        assert 404 == (await shop.said("/v1/notes/note_1", given["access_token"]))[0]


async def test_a_scope_takes_away(shop: Shop) -> None:
    """The token may what was asked for, and no more; more than the key has can't be had."""
    client = await shop.key("notes:read", "notes:write")
    narrow = (await shop.ask(_GRANT | {"scope": "notes:write"}, client)).json()
    assert "notes:write" == narrow["scope"]
    status, problem = await shop.said("/v1/notes/note_1", narrow["access_token"])
    assert (403, "missing-permission") == (status, problem["code"])
    whole = (await shop.ask(_GRANT, client)).json()["access_token"]
    assert 404 == (await shop.said("/v1/notes/note_1", whole))[0]
    empty = (await shop.ask(_GRANT | {"scope": ""}, client)).json()  # as if it were left out
    assert "notes:read notes:write" == empty["scope"]
    for scope in ("identity:keys-manage", "notes:read identity:keys-read", " ", "x" * 1001):
        refused = await shop.ask(_GRANT | {"scope": scope}, client)
        assert (400, "invalid_scope") == (refused.status_code, refused.json()["error"])


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        (_GRANT | {"client_secret": "x"}, "invalid_request"),
        (_GRANT | {"client_id": "somebody-else"}, "invalid_request"),
        (_GRANT | {str(n): "1" for n in range(30)}, "invalid_request"),
    ],
)
async def test_requests_that_are_wrong(shop: Shop, form: dict[str, str], error: str) -> None:
    """Each with the error of RFC 6749, section 5.2."""
    answer = await shop.ask(form or {"x": "y"}, await shop.key("notes:*"))
    assert (400, error) == (answer.status_code, answer.json()["error"])
    assert {"error", "error_description"} == answer.json().keys()
    assert "no-store" == answer.headers["Cache-Control"]


async def test_forms_that_are_none(shop: Shop) -> None:
    """JSON, bytes, and a field that stands twice."""
    client, secret = await shop.key("notes:*")
    told = base64.b64encode(f"{client}:{secret}".encode()).decode()
    form = "application/x-www-form-urlencoded"
    for media_type, body in (
        ("application/json", b'{"grant_type": "client_credentials"}'),
        (form, b"\xff\xfe"),
        (form, b"grant_type"),
        (form, b"grant_type=client_credentials&grant_type=client_credentials"),
    ):
        headers = {"Content-Type": media_type, "Authorization": f"Basic {told}"}
        answer = await shop.client.post("/v1/oauth/token", content=body, headers=headers)
        assert (400, "invalid_request") == (answer.status_code, answer.json()["error"]), body


async def test_clients_that_are_not_known(shop: Shop) -> None:
    """Wrong, expired, of another tenant, used from elsewhere: 401 with a challenge."""
    client, secret = await shop.key("notes:*")
    past = datetime.now(UTC) - timedelta(seconds=1)
    other = await shop.kit.make_tenant()
    key = await shop.kit.api_key(other, ["*"])
    for one in (
        (client, "a" * 43),
        (client, ""),
        ("", ""),
        ("pss_live_0123456789abcdef", secret),
        await shop.key("notes:*", expires_at=past),
        await shop.key("notes:*", networks=["203.0.113.0/24"]),
        (key[:-44], key[-43:]),
        (f"{client}_{secret}", ""),
    ):
        answer = await shop.ask(_GRANT, one)
        assert (401, "invalid_client") == (answer.status_code, answer.json()["error"]), one
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    for header in ("Bearer x", "Basic", "Basic ☃".encode(), "Basic !!!!"):
        answer = await shop.client.post(
            "/v1/oauth/token", data=_GRANT, headers={"Authorization": header}
        )
        assert (401, "invalid_client") == (answer.status_code, answer.json()["error"])


async def test_a_token_dies_with_its_key(shop: Shop) -> None:
    """Revoked, the key takes its tokens along; and none outlives it."""
    client = await shop.key("notes:*", expires_at=datetime.now(UTC) + timedelta(minutes=5))
    given = (await shop.ask(_GRANT, client)).json()
    assert 290 <= given["expires_in"] <= 300
    assert 200 == (await shop.said("/v1/me", given["access_token"]))[0]
    async with shop.kit.installation.cell(shop.tenant).owner() as owner:
        await owner.execute(
            "UPDATE pss.api_key SET revoked_at = now() WHERE key_id = $1",
            client[0].rpartition("_")[2],
        )
    await shop.kit.installation.directory.refresh()
    status, problem = await shop.said("/v1/me", given["access_token"])
    assert (401, "unknown-credentials") == (status, problem["code"])


async def test_the_same_request_again(shop: Shop) -> None:
    """With an Idempotency-Key the same token comes again, to the same client alone."""
    one, other = await shop.key("notes:*"), await shop.key("notes:*")
    key = {"Idempotency-Key": new_id("key")}
    answers = [await shop.ask(_GRANT, one, **key) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert "true" == answers[1].headers["Idempotent-Replayed"]
    theirs = await shop.ask(_GRANT, other, **key)
    assert 200 == theirs.status_code
    assert theirs.content != answers[0].content
    again = await shop.ask(_GRANT | {"scope": "notes:read"}, one, **key)
    assert (422, "idempotency-key-reused") == (again.status_code, again.json()["code"])


async def test_what_is_published(shop: Shop) -> None:
    """Any JWT library verifies a token with the published keys; the list can be kept a while."""
    given = (await shop.ask(_GRANT, await shop.key("notes:*"))).json()["access_token"]
    answer = await shop.client.get("/.well-known/jwks.json")
    keys = jwt.PyJWKSet.from_dict(answer.json())
    claims = jwt.decode(
        given,
        keys[jwt.get_unverified_header(given)["kid"]],
        algorithms=["EdDSA"],
        audience=f"urn:pss:{shop.tenant.code}",
    )
    assert shop.tenant.code == claims["tenant"]
    assert all("d" not in one for one in answer.json()["keys"])
    assert "public, max-age=300" == answer.headers["Cache-Control"]
    same = await shop.client.get(
        "/.well-known/jwks.json", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (304, b"") == (same.status_code, same.content)
    host = f"{shop.tenant.code.replace('_', '-')}.localhost"
    told = await shop.client.get(
        "/.well-known/oauth-authorization-server", headers={"Host": f"{host}:8000"}
    )
    assert (claims["iss"], f"http://{host}:8000/v1/oauth/token") == (
        told.json()["issuer"],
        told.json()["token_endpoint"],
    )
    elsewhere = await shop.client.get(
        "/.well-known/oauth-authorization-server", headers={"Host": "attacker.example"}
    )
    assert "attacker" not in elsewhere.text
