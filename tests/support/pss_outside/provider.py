"""An identity provider that may lie: a real server, whose tokens are what the test says."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

__all__ = ["LyingProvider", "lying_provider"]

CLIENT = "the-airline"


class LyingProvider:
    """Answers discovery, keys and codes; ``change`` and ``sign`` decide what a token says.

    It checks PKCE, the client's secret and that a code is used once, as an honest one does.
    """

    def __init__(self) -> None:
        self.url = ""
        self.metadata: dict[str, Any] = {}
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.published = [self.key]
        self.asked: list[str] = []
        self.userinfo: dict[str, Any] = {}
        self.change: Callable[[dict[str, Any]], Any] = lambda _: None
        self.sign: Callable[[dict[str, Any]], str] = self.signed
        self._codes: dict[str, dict[str, Any]] = {}

    def signed(
        self, claims: dict[str, Any], key: Any = None, algorithm: str = "RS256", **header: Any
    ) -> str:
        key = key or self.key
        header = {"alg": algorithm, "kid": self.key.kid, **header}
        return jwt.encode(header, claims, key, algorithms=[algorithm])

    def authorise(self, authorization_url: str, **claims: Any) -> dict[str, str]:
        """Let somebody in, as its page would; what comes back in the address."""
        asked = {name: one[0] for name, one in parse_qs(urlsplit(authorization_url).query).items()}
        assert (CLIENT, "code", "S256") == (
            *(asked["client_id"], asked["response_type"], asked["code_challenge_method"]),
        )
        code = f"code-{len(self._codes)}"
        now = int(time.time())
        given = {"email": "ada@example.com", "email_verified": True, "sub": "ada", **claims}
        self._codes[code] = asked | {
            "claims": {
                "iss": self.url,
                "aud": CLIENT,
                "iat": now,
                "exp": now + 300,
                "nonce": asked["nonce"],
                **{name: value for name, value in given.items() if value is not None},
            }
        }
        return {"code": code, "state": asked["state"]}

    async def answer(self, path: str, head: str, body: str) -> tuple[int, Any]:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return 200, {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys",
                "userinfo_endpoint": f"{self.url}/userinfo",
                **self.metadata,
            }
        if path == "/keys":
            return 200, {"keys": [one.as_dict(private=False) for one in self.published]}
        if path == "/userinfo":
            return 200, self.userinfo
        asked = {name: one[0] for name, one in parse_qs(body).items()}
        begun = self._codes.pop(asked.get("code", ""), None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        secret = base64.b64encode(f"{CLIENT}:s3cret".encode()).decode()
        if (
            begun is None
            or begun["code_challenge"] != challenge
            or begun["redirect_uri"] != asked["redirect_uri"]
            or f"basic {secret.lower()}" not in head.lower()
        ):
            return 400, {"error": "invalid_grant"}
        claims = begun["claims"]
        self.change(claims)
        return 200, {
            "access_token": "opaque",
            "token_type": "Bearer",
            "id_token": self.sign(claims),
        }

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [
                one for one in head.lower().split("\r\n") if one.startswith("content-length")
            ]
            body = await reader.readexactly(int(lengths[0].split(":")[1])) if lengths else b""
            _, target, _ = head.split(" ", 2)
            status, value = await self.answer(urlsplit(target).path, head, body.decode())
            content = json.dumps(value).encode()
            writer.write(
                f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
                + content
            )
        writer.close()


@contextlib.asynccontextmanager
async def lying_provider() -> AsyncIterator[LyingProvider]:
    """Run one on a free port."""
    provider = LyingProvider()
    async with await asyncio.start_server(provider.talk, "127.0.0.1", 0) as server:
        provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield provider
