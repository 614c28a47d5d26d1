"""What the gateway refuses, and what every request and answer carries."""

from __future__ import annotations

import gzip
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio

from pss_api import create_app
from pss_kernel import Permission, Plugin, Tenant, UnitOfWork
from pss_kernel.installation import Installation
from pss_kernel.registry import Registry
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._provision import create_tenant
from pss_kernel.testing import TestKit

_PROXY = "203.0.113.9"
_GUEST = "198.51.100.7"


class Said(msgspec.Struct):
    """A body."""

    text: str


def _plugin() -> Plugin:
    plugin = Plugin(
        "talk",
        version="1",
        package="pss_kernel.testing",  # a package without migrations
        permissions=[Permission("talk:talk", "Talk", guest=True)],
    )

    @plugin.get("/talk/{length:int}", permission="talk:talk")
    async def talk(uow: UnitOfWork, length: int) -> dict[str, str]:
        """Say much."""
        return {"said": "blah" * length}

    @plugin.post("/talk", permission="talk:talk")
    async def listen(uow: UnitOfWork, data: Said) -> Said:
        """Say the same."""
        return data

    @plugin.post("/whispers", permission="talk:talk", confidential=True)
    async def whisper(uow: UnitOfWork, data: Said) -> dict[str, str]:
        """Say a secret at length."""
        return {"said": data.text * 2000}

    return plugin


@dataclass
class Scene:
    """An installation with limits on, and two airlines with domains of their own."""

    installation: Installation
    one: Tenant
    other: Tenant

    @asynccontextmanager
    async def client(
        self, host: str | None = None, address: str = _GUEST, **configured: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A caller at an address; ``configured`` is what the installation is set to."""
        config = msgspec.structs.replace(self.installation.config, **configured)
        beside = Installation(config, self.installation.registry, self.installation.cells)
        beside.directory = self.installation.directory
        application: Any = create_app(beside)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(application, client=(address, 1)),
            base_url=f"http://{host or self.one.domains[0]}",
        ) as opened:
            yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(installation: Installation) -> Scene:
    """Made once: nobody changes it but by settings of an own tenant."""
    config = msgspec.structs.replace(
        installation.config, rate_limits="on", trusted_proxies=f"{_PROXY}/32"
    )
    beside = Installation(config, Registry([_plugin()]), installation.cells)
    return Scene(beside, await _tenant(beside, {}), await _tenant(beside, {}))


async def _tenant(installation: Installation, identity: dict[str, Any]) -> Tenant:
    code = f"x{secrets.token_hex(5)}"
    await create_tenant(
        installation,
        code,
        name=code,
        currency="EUR",
        time_zone="UTC",
        domains=[f"{code}.example.com", f"www.{code}.example.com"],
    )
    await enable_plugins(installation, code, {"talk": {}, "identity": identity})
    return installation.directory.by_code(code)


class TestLimits:
    """One too many."""

    async def test_told_and_refused(self, scene: Scene) -> None:
        """Every answer tells what is left; the one too many, when it will be let in."""
        limits = {"limits": {"read_per_minute": 2}}
        tenant = await _tenant(scene.installation, limits)
        async with scene.client(tenant.domains[0]) as client:
            first = await client.get("/v1/talk/1")
            assert '"read";q=2;w=60, "client";q=3000;w=60' == first.headers["RateLimit-Policy"]
            assert '"read";r=1;t=30, "client";r=2999;t=1' == first.headers["RateLimit"]
            await client.get("/v1/tenant")
            refused = await client.get("/v1/talk/1")
            problem = refused.json()
            assert (429, "too-many-requests", True) == (
                refused.status_code,
                problem["code"],
                problem["retryable"],
            )
            assert refused.headers["RateLimit"].startswith('"read";r=0;t=')
            assert 28 <= int(refused.headers["Retry-After"]) <= 30
            assert (await client.post("/v1/talk", json={"text": "x"})).status_code == 201

    async def test_before_the_body(self, scene: Scene) -> None:
        """Who is refused has not been read."""
        tenant = await _tenant(scene.installation, {"limits": {"write_per_minute": 1}})

        async def unread() -> AsyncIterator[bytes]:
            raise AssertionError("It was read.")
            yield b""

        async with scene.client(tenant.domains[0]) as client:
            await client.post("/v1/talk", json={"text": "x"})
            json = {"Content-Type": "application/json"}
            refused = await client.post("/v1/talk", content=unread(), headers=json)
            assert 429 == refused.status_code

    async def test_the_door(self, scene: Scene) -> None:
        """An address that asks for nothing that is there is refused too; the probes never."""
        async with scene.client("nobody.example.com", client_requests_per_minute=2) as client:
            found = [(await client.get(path)).status_code for path in ("/v1/x", "/docs", "/v1/x")]
            assert [404, 200, 429] == found
            assert 200 == (await client.get("/health")).status_code

    async def test_behind_a_proxy(self, scene: Scene) -> None:
        """The client's address counts, not the proxy's; a stranger's word about it does not."""
        tenant = await _tenant(scene.installation, {"limits": {"client_per_minute": 1}})
        async with scene.client(tenant.domains[0], address=_PROXY) as client:
            said = [{"X-Forwarded-For": f"192.0.2.{number}"} for number in (1, 2, 1)]
            found = [(await client.get("/v1/talk/1", headers=one)).status_code for one in said]
            assert [200, 200, 429] == found
        async with scene.client(tenant.domains[0], address="198.51.100.66") as client:
            found = [(await client.get("/v1/talk/1", headers=one)).status_code for one in said]
            assert [200, 429, 429] == found

    async def test_away(self, scene: Scene) -> None:
        """With Redis away requests are served, and readiness says so."""
        away = "redis://127.0.0.1:1/"
        async with scene.client(redis_url=away) as client:
            assert 200 == (await client.get("/v1/talk/1")).status_code
            answer = await client.get("/ready")
            assert (200, "ok", ["redis"]) == (
                answer.status_code,
                answer.json()["status"],
                answer.json()["degraded"],
            )


class TestHosts:
    """Whose host it is, or nobody's."""

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            ("{domain}", 200),
            ("{upper}", 200),
            ("{domain}:8443", 200),
            ("{domain}.", 404),
            ("evil.{domain}", 404),
            ("user@{domain}", 400),
            ("{domain}:x@evil.example", 400),
            ("{domain}:80:80", 400),
            ("{domain}, evil.example", 400),
            ("{domain}/x", 400),
            ("", 400),
            ("[::1]", 404),
            ("[::1", 400),
        ],
    )
    async def test_one_host(self, scene: Scene, host: str, status: int) -> None:
        """The right tenant, or none."""
        domain = scene.one.domains[0]
        given = host.format(domain=domain, upper=domain.upper())
        async with scene.client() as client:
            answer = await client.get("/v1/tenant", headers={"Host": given})
        assert status == answer.status_code, answer.text
        if status == 200:
            assert scene.one.code == answer.json()["code"]

    async def test_two_hosts(self, scene: Scene) -> None:
        """Nobody chooses between them."""
        hosts = [("Host", scene.one.domains[0]), ("Host", scene.other.domains[0])]
        async with scene.client() as client:
            answer = await client.get("/v1/tenant", headers=hosts)
        assert (400, "invalid-host") == (answer.status_code, answer.json()["code"])

    @pytest.mark.parametrize("address", [_GUEST, _PROXY])
    async def test_what_a_proxy_says_of_hosts(self, scene: Scene, address: str) -> None:
        """It is not looked at, whoever sends it."""
        other = scene.other.domains[0]
        said = {"X-Forwarded-Host": other, "Forwarded": f"host={other}", "X-Host": other}
        async with scene.client(address=address) as client:
            answer = await client.get("/v1/tenant", headers=said)
        assert scene.one.code == answer.json()["code"]


class TestSizes:
    """What is too large is not looked at."""

    @pytest.mark.parametrize(
        ("path", "headers", "status", "code"),
        [
            ("/v1/tenant?x=" + "y" * 8000, {}, 414, "target-too-long"),
            ("/v1/tenant", {f"X-{n}": "y" for n in range(101)}, 431, "headers-too-large"),
            ("/v1/tenant", {"X-Long": "y" * 32_000}, 431, "headers-too-large"),
        ],
    )
    async def test_heads(
        self, scene: Scene, path: str, headers: dict[str, str], status: int, code: str
    ) -> None:
        """A problem document says which part it is."""
        async with scene.client() as client:
            answer = await client.get(path, headers=headers)
        assert (status, code) == (answer.status_code, answer.json()["code"])
        assert "application/problem+json" == answer.headers["Content-Type"]
        assert answer.json()["request_id"] == answer.headers["PSS-Request-Id"]

    async def test_bodies(self, scene: Scene) -> None:
        """Where secrets are dealt with there is little to say."""
        body = {"text": "x" * 70_000}
        async with scene.client() as client:
            assert 201 == (await client.post("/v1/talk", json=body)).status_code
            refused = await client.post("/v1/whispers", json=body)
        assert (413, "too-large") == (refused.status_code, refused.json()["code"])

    @pytest.mark.parametrize(
        ("kind", "status"),
        [
            ("application/json", 201),
            ("application/json; charset=utf-8", 201),
            ("application/merge-patch+json", 201),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("multipart/form-data; boundary=x", 415),
            ("application/jsonp", 415),
        ],
    )
    async def test_types(self, scene: Scene, kind: str, status: int) -> None:
        """A body of JSON says that it is one."""
        async with scene.client() as client:
            answer = await client.post(
                "/v1/talk", content=b'{"text": "x"}', headers={"Content-Type": kind}
            )
        assert status == answer.status_code


class TestPagesOfOthers:
    """CORS."""

    async def test_own_domains(self, scene: Scene) -> None:
        """A page of one of the airline's domains may call it, and read what it needs."""
        for domain in scene.one.domains:
            origin = f"https://{domain}"
            async with scene.client() as client:
                answer = await client.get("/v1/talk/1", headers={"Origin": origin})
            assert origin == answer.headers["Access-Control-Allow-Origin"]
            assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
            assert "Access-Control-Allow-Credentials" not in answer.headers

    async def test_preflight(self, scene: Scene) -> None:
        """Answered without asking the route."""
        asked = {
            "Origin": f"https://{scene.one.domains[0]}",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        }
        async with scene.client() as client:
            answer = await client.options("/v1/talk", headers=asked)
        assert (204, b"") == (answer.status_code, answer.content)
        assert asked["Origin"] == answer.headers["Access-Control-Allow-Origin"]
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"authorization", "content-type", "idempotency-key"} <= set(allowed)

    async def test_others(self, scene: Scene) -> None:
        """Another airline's page, another scheme or port, nobody's: nothing allows them."""
        domain = scene.one.domains[0]
        for origin in (
            f"https://{scene.other.domains[0]}",
            f"http://{domain}",
            f"https://{domain}:8443",
            f"https://{domain}.evil.example",
            f"https://evil{domain}",
            f"https://{domain.upper()}",
            "null",
            "*",
        ):
            for method in ("GET", "OPTIONS"):
                asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
                async with scene.client() as client:
                    answer = await client.request(method, "/v1/talk/1", headers=asked)
                names = [name for name in answer.headers if name.startswith("access-control")]
                assert [] == names, origin
                assert "Origin" in answer.headers["Vary"]

    async def test_refusals_too(self, scene: Scene) -> None:
        """A page can read why it was refused."""
        origin = f"https://{scene.one.domains[0]}"
        async with scene.client() as client:
            answer = await client.get("/v1/nothing", headers={"Origin": origin})
        assert (404, origin) == (answer.status_code, answer.headers["Access-Control-Allow-Origin"])

    async def test_named_origins(self, scene: Scene) -> None:
        """The setting adds some."""
        tenant = await _tenant(
            scene.installation, {"web_origins": ["https://shop.example.org:8443"]}
        )
        async with scene.client(tenant.domains[0]) as client:
            origin = {"Origin": "https://shop.example.org:8443"}
            answer = await client.get("/v1/talk/1", headers=origin)
        assert origin["Origin"] == answer.headers["Access-Control-Allow-Origin"]


class TestAnswers:
    """Their headers and form."""

    @pytest.mark.parametrize("path", ["/v1/talk/1", "/v1/nothing", "/health", "/nothing"])
    async def test_strict_headers(self, scene: Scene, path: str) -> None:
        """On everything, and nothing that tells what serves it."""
        async with scene.client() as client:
            headers = (await client.get(path)).headers
        assert "default-src 'none'; frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert ("nosniff", "DENY", "no-referrer") == (
            headers["X-Content-Type-Options"],
            headers["X-Frame-Options"],
            headers["Referrer-Policy"],
        )
        assert "same-origin" == headers["Cross-Origin-Opener-Policy"]
        assert "same-site" == headers["Cross-Origin-Resource-Policy"]
        assert "camera=()" in headers["Permissions-Policy"]
        assert "pss" == headers["Server"]
        assert "Strict-Transport-Security" not in headers

    @pytest.mark.parametrize(("address", "said"), [(_PROXY, True), (_GUEST, False)])
    async def test_by_tls(self, scene: Scene, address: str, said: bool) -> None:
        """Where a trusted proxy says that it was TLS, the host is to be asked so from now on."""
        async with scene.client(address=address) as client:
            answer = await client.get("/v1/talk/1", headers={"X-Forwarded-Proto": "https"})
        assert said == ("Strict-Transport-Security" in answer.headers)

    async def test_the_page(self, scene: Scene) -> None:
        """The page for people may run its own script, and no other."""
        async with scene.client() as client:
            policy = (await client.get("/docs")).headers["Content-Security-Policy"]
        assert "script-src 'self' 'sha256-" in policy
        assert "unsafe" not in policy

    async def test_etags(self, scene: Scene) -> None:
        """What is known is not sent again; what has changed is."""
        async with scene.client() as client:
            first = await client.get("/v1/talk/1")
            etag = first.headers["ETag"]
            for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
                again = await client.get("/v1/talk/1", headers={"If-None-Match": known})
                assert (304, b"") == (again.status_code, again.content)
                assert etag == again.headers["ETag"]
                assert "no-store" == again.headers["Cache-Control"]
            other = await client.get("/v1/talk/2", headers={"If-None-Match": etag})
            assert 200 == other.status_code
            assert other.headers["ETag"] != etag
            assert "ETag" not in (await client.get("/v1/nothing")).headers
            assert "ETag" not in (await client.post("/v1/talk", json={"text": "x"})).headers

    async def test_compression(self, scene: Scene) -> None:
        """For those who take it, of what is worth it; the tag says which form it is."""
        async with scene.client() as client:
            asked = {"Accept-Encoding": "br, gzip;q=0.5"}
            async with client.stream("GET", "/v1/talk/1000", headers=asked) as answer:
                raw = b"".join([part async for part in answer.aiter_raw()])
            assert ("gzip", str(len(raw))) == (
                answer.headers["Content-Encoding"],
                answer.headers["Content-Length"],
            )
            assert answer.headers["ETag"].endswith('-gzip"')
            plain = await client.get("/v1/talk/1000", headers={"Accept-Encoding": "identity"})
            assert gzip.decompress(raw) == plain.content
            for named in ("gzip;q=0", "br", ""):
                found = await client.get("/v1/talk/1000", headers={"Accept-Encoding": named})
                assert "Content-Encoding" not in found.headers
                assert "Accept-Encoding" in found.headers["Vary"]
            known = {"If-None-Match": answer.headers["ETag"], "Accept-Encoding": "identity"}
            assert 304 == (await client.get("/v1/talk/1000", headers=known)).status_code
            assert "Content-Encoding" not in (await client.get("/v1/talk/1")).headers

    async def test_no_compression_of_secrets(self, scene: Scene) -> None:
        """Their size tells nothing (BREACH)."""
        async with scene.client() as client:
            answer = await client.post("/v1/whispers", json={"text": "secret"})
        assert 201 == answer.status_code
        assert "Content-Encoding" not in answer.headers


async def test_every_route_has_a_class(installation: Installation) -> None:
    """What deals in passwords and tokens is limited as such; guests' look-ups are, too."""
    routes = [route for one in installation.registry.plugins.values() for route in one.routes]
    strict = {"sign-in", "mail", "secret"}
    assert [] == [
        f"{one.method} {one.path}" for one in routes if one.confidential and one.limit not in strict
    ]
    named = {f"{one.method} {one.path}": one.limit for one in routes}
    assert ("lookup", "lookup", "shop") == (
        named["GET /orders"],
        named["POST /check-ins"],
        named["POST /offer-requests"],
    )


def test_the_kit_has_no_limits(kit: TestKit) -> None:
    """A test that asks a thousand times is not refused, unless it wants to be."""
    assert not kit.installation.limiter.on
