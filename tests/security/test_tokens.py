"""Access tokens under attack: what is forged, borrowed, old, or bent out of shape is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pss_kernel import Tenant, new_id
from pss_kernel.auth._signing_rotation import retire_key, rotate_keys
from pss_kernel.errors import Conflict
from pss_kernel.installation import Installation
from pss_kernel.testing import TestKit

REFUSED = (401, "unknown-credentials")


@dataclass(frozen=True)
class Attack:
    """A tenant, a token of one of its people, and the key that signed it."""

    kit: TestKit
    tenant: Tenant
    client: httpx.AsyncClient
    key_id: str
    private: Ed25519PrivateKey

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What a good token says; None takes a claim away."""
        now = time.time()
        said = {
            "iss": f"https://{self.tenant.code.replace('_', '-')}.localhost",
            "aud": f"urn:pss:{self.tenant.code}",
            "sub": new_id("acc"),
            "client_id": "pss",
            "tenant": self.tenant.code,
            "iat": now,
            "exp": int(now) + 600,
            "jti": new_id("tok"),
            "sid": new_id("ses"),
            "roles": ["user"],
            "auth_time": int(now),
            "amr": ["pwd"],
        } | changed
        return {name: value for name, value in said.items() if value is not None}

    def header(self, **changed: Any) -> dict[str, Any]:
        """The header of a good token; None takes a member away."""
        said = {"alg": "EdDSA", "typ": "at+jwt", "kid": self.key_id} | changed
        return {name: value for name, value in said.items() if value is not None}

    def signed(self, header: bytes, payload: bytes) -> str:
        """Signed with the real key, whatever it is."""
        told = f"{_base64url(header)}.{_base64url(payload)}"
        return f"{told}.{_base64url(self.private.sign(told.encode()))}"

    def token(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """A token that is good but for what is changed."""
        head = self.header(**(header or {}))
        return self.signed(json.dumps(head).encode(), json.dumps(self.claims(**claims)).encode())

    async def said(self, token: str, tenant: Tenant | None = None) -> tuple[int, str]:
        """How it is answered."""
        headers = {"Authorization": f"Bearer {token}"}
        headers["PSS-Tenant"] = (tenant or self.tenant).code
        answer = await self.client.get("/v1/me", headers=headers)
        return answer.status_code, "" if answer.is_success else answer.json()["code"]


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def attack(installation: Installation) -> AsyncIterator[Attack]:
    """What all these tests attack."""
    kit = TestKit(installation)
    tenant = await kit.make_tenant()
    key_id, private = await installation.tokens.keys.current()
    async with kit.http(tenant) as client:
        yield Attack(kit, tenant, client, key_id, private)


async def test_a_good_one(attack: Attack) -> None:
    """So that the others are refused for what is wrong with them alone."""
    assert (200, "") == await attack.said(attack.token())
    assert (200, "") == await attack.said(attack.token({"typ": "application/at+jwt"}))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"alg": "RS256"},
        {"alg": "eddsa"},
        {"alg": None},
        {"typ": None},
        {"typ": "JWT"},
        {"typ": 1},
        {"kid": None},
        {"kid": "another"},
        {"kid": 1},
        {"kid": "../../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"crit": ["exp"]},
        {"crit": []},
        {"jku": "https://attacker.example/jwks.json"},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}},
        {"x5u": "https://attacker.example"},
        {"b64": False},
        {"zip": "DEF"},
    ],
)
async def test_headers(attack: Attack, header: dict[str, Any]) -> None:
    """A header that says anything else is refused, though the signature is right."""
    assert REFUSED == await attack.said(attack.token(header))


async def test_no_signature(attack: Attack) -> None:
    """With the algorithm "none", or none at all."""
    payload = _base64url(json.dumps(attack.claims()).encode())
    for algorithm in ("none", "None", "EdDSA"):
        head = _base64url(json.dumps(attack.header(alg=algorithm)).encode())
        assert REFUSED == await attack.said(f"{head}.{payload}.")
        assert REFUSED == await attack.said(f"{head}.{payload}")


async def test_the_public_key_as_a_secret(attack: Attack) -> None:
    """HMAC with what everybody can read at /.well-known/jwks.json."""
    (public,) = [
        one
        for one in (await attack.client.get("/.well-known/jwks.json")).json()["keys"]
        if one["kid"] == attack.key_id
    ]
    raw = attack.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    pem = attack.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (raw, pem, public["x"].encode(), json.dumps(public).encode()):
        for algorithm in ("HS256", "EdDSA"):
            head = _base64url(json.dumps(attack.header(alg=algorithm)).encode())
            told = f"{head}.{_base64url(json.dumps(attack.claims()).encode())}"
            for digest in (hashlib.sha256, hashlib.sha512):
                mac = hmac.digest(secret, told.encode(), digest)
                assert REFUSED == await attack.said(f"{told}.{_base64url(mac)}")


async def test_another_key(attack: Attack) -> None:
    """Signed by somebody else, under the id of ours or of theirs."""
    theirs = Ed25519PrivateKey.generate()
    for key_id in (attack.key_id, "theirs"):
        token = jwt.encode(
            attack.claims(), theirs, "EdDSA", headers={"typ": "at+jwt", "kid": key_id}
        )
        assert REFUSED == await attack.said(token)


async def test_altered(attack: Attack) -> None:
    """One changed character anywhere; claims of one token under the signature of another."""
    token = attack.token()
    head, payload, signature = token.split(".")
    for place in (0, len(head) + 5, len(token) - 40):
        changed = "A" if token[place] != "A" else "B"
        assert REFUSED == await attack.said(f"{token[:place]}{changed}{token[place + 1 :]}")
    other = attack.token(roles=["super_admin"]).split(".")[1]
    assert REFUSED == await attack.said(f"{head}.{other}.{signature}")
    assert REFUSED == await attack.said(f"{head}.{payload}.{signature}.{signature}")
    assert REFUSED == await attack.said(f"{head}.{payload}={'='}.{signature}")


@pytest.mark.parametrize("name", ["sub", "jti", "tenant", "exp", "iat", "aud", "iss", "client_id"])
async def test_claims_that_are_missing(attack: Attack, name: str) -> None:
    """Each of them is needed."""
    assert REFUSED == await attack.said(attack.token(**{name: None}))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "urn:pss:somebody_else"},
        {"aud": "https://api.example.com"},
        {"aud": ["urn:pss:somebody_else", "x"]},
        {"iss": "https://attacker.example"},
        {"exp": "9999999999"},
        {"exp": 9e99},
        {"exp": True},
        {"iat": "0"},
        {"iat": -1},
        {"roles": "super_admin"},
        {"roles": [["super_admin"]]},
        {"tenant": 1},
        {"sid": 1},
    ],
)
async def test_claims_that_are_wrong(attack: Attack, claims: dict[str, Any]) -> None:
    """For somebody else, from somebody else, or of another type."""
    assert REFUSED == await attack.said(attack.token(**claims))


async def test_claims_twice(attack: Attack) -> None:
    """A name that stands twice in header or claims could be read two ways."""
    header = json.dumps(attack.header()).encode()
    payload = json.dumps(attack.claims()).encode()
    twice = b'{"roles": ["super_admin"], ' + payload[1:]
    assert REFUSED == await attack.said(attack.signed(header, twice))
    assert REFUSED == await attack.said(attack.signed(b'{"alg": "none", ' + header[1:], payload))
    for text in (b"[]", b"null", b"1", b"NaN", b"\xff", b"", b"{" * 1000):
        assert REFUSED == await attack.said(attack.signed(header, text))
        assert REFUSED == await attack.said(attack.signed(text, payload))


async def test_time(attack: Attack) -> None:
    """Expired, from the future, or meant to live too long; clocks may be 30 seconds apart."""
    now = time.time()

    async def said(issued: float, seconds: int) -> tuple[int, str]:
        return await attack.said(attack.token(iat=now + issued, exp=int(now + issued) + seconds))

    assert (200, "") == await said(-620, 600)
    assert (401, "token-expired") == await said(-640, 600)
    assert (200, "") == await said(20, 600)
    assert REFUSED == await said(60, 600)
    assert REFUSED == await said(0, 3700)
    assert REFUSED == await said(-86_400, 90_000)


async def test_another_tenant(attack: Attack) -> None:
    """A token opens its own tenant alone, whatever the request names; also where guests may."""
    other = await attack.kit.make_tenant()
    assert (403, "wrong-tenant") == await attack.said(attack.token(), other)
    bent = {"tenant": other.code, "aud": f"urn:pss:{other.code}"}
    assert REFUSED == await attack.said(attack.token(**bent), other)


async def test_too_large(attack: Attack) -> None:
    """More than 4096 characters are not looked at, though the signature is right."""
    token = attack.token(attributes={"station": ["x" * 4000]})
    assert len(token) > 4096
    assert REFUSED == await attack.said(token)
    assert REFUSED == await attack.said("." * 20_000)


async def test_what_the_refusal_says(attack: Attack) -> None:
    """RFC 6750: what was wrong with the credentials, and nothing where there were none."""
    tenant = {"PSS-Tenant": attack.tenant.code}
    expired = attack.token(iat=time.time() - 700, exp=int(time.time()) - 100)
    bad = await attack.client.get("/v1/me", headers=tenant | {"Authorization": f"Bearer {expired}"})
    assert 'error="invalid_token"' in bad.headers["WWW-Authenticate"]
    none = await attack.client.get("/v1/sessions", headers=tenant)
    assert 'Bearer realm="pss"' == none.headers["WWW-Authenticate"]


async def test_not_in_the_url(attack: Attack) -> None:
    """A token in the query is nobody's credentials."""
    answer = await attack.client.get(
        "/v1/me",
        params={"access_token": attack.token()},
        headers={"PSS-Tenant": attack.tenant.code},
    )
    assert "guest" == answer.json()["kind"]


async def test_roles_come_from_the_installation(attack: Attack) -> None:
    """A role that is not known gives nothing, and a scope can only take away."""
    headers = {"PSS-Tenant": attack.tenant.code}

    async def permissions(**claims: Any) -> list[str]:
        token = attack.token(**claims)
        answer = await attack.client.get(
            "/v1/me", headers=headers | {"Authorization": f"Bearer {token}"}
        )
        found: list[str] = answer.json()["permissions"]
        return found

    mine = {"amr": ["pwd", "otp", "mfa"]}
    guest = await permissions(roles=["emperor"], **mine)
    admin = await permissions(roles=["admin"], **mine)
    assert set(guest) < set(admin)
    narrow = await permissions(roles=["admin"], scope="identity:sessions-manage", **mine)
    assert {*guest, "identity:sessions-manage"} == set(narrow)
    assert guest == await permissions(roles=["emperor"], scope="*", **mine)


async def test_rotation_signs_nobody_out(attack: Attack) -> None:
    """Tokens of before go on, in another process too; new ones are signed with the new key.

    A key that somebody else may know is removed at once, and with it what it has signed.
    """
    given = attack.kit.installation
    other = Installation(given.config, given.registry, given.cells)
    await other.directory.refresh()
    before = attack.token()
    masters = given.keyring.masters
    async with given.database.owner() as owner:
        with pytest.raises(Conflict):  # the next one was made a moment ago
            await rotate_keys(owner, masters)
        await owner.execute("UPDATE pss.signing_key SET created_at = now() - interval '11 minutes'")
        keys = {one.state: one.key_id for one in await rotate_keys(owner, masters)}
    assert attack.key_id == keys["retired"]
    await given.directory.refresh()
    signed = await given.tokens.sign(
        attack.tenant, new_id("acc"), datetime.now(UTC), 600, client_id="pss", sid=new_id("ses")
    )
    assert keys["current"] == jwt.get_unverified_header(signed)["kid"]
    # The other process has not heard of it: it knew the key before it signed.
    assert await other.tokens.read(signed)
    assert await other.tokens.read(before)
    assert (200, "") == await attack.said(before)
    published = (await attack.client.get("/.well-known/jwks.json")).json()["keys"]
    assert set(keys.values()) <= {one["kid"] for one in published}
    async with given.database.owner() as owner:
        with pytest.raises(Conflict):
            await retire_key(owner, masters, attack.key_id)
        await retire_key(owner, masters, attack.key_id, now=True)
        left = await retire_key(owner, masters, keys["current"], now=True)
    assert keys["next"] in [one.key_id for one in left if one.state == "current"]
    await given.directory.refresh()
    assert REFUSED == await attack.said(before)
    assert REFUSED == await attack.said(signed)


async def test_a_retired_key_ends(attack: Attack) -> None:
    """An hour after the rotation nothing that it has signed can be good."""
    given = attack.kit.installation
    async with given.database.owner() as owner:
        keys = await rotate_keys(owner, given.keyring.masters, now=True)
        (retired,) = [one for one in keys if one.state == "retired"][-1:]
        await owner.execute(
            "UPDATE pss.signing_key SET changed_at = $2 WHERE key_id = $1",
            retired.key_id,
            datetime.now(UTC) - timedelta(minutes=62),
        )
    await given.directory.refresh()
    assert given.tokens.keys.known(retired.key_id) is None
    published = (await attack.client.get("/.well-known/jwks.json")).json()["keys"]
    assert retired.key_id not in [one["kid"] for one in published]
    async with given.database.owner() as owner:
        await retire_key(owner, given.keyring.masters, retired.key_id)
    await given.directory.refresh()
