"""The connections that HTTP calls are made over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext

import httpcore
import httpx
import structlog

from pss_kernel.errors import UpstreamRefused
from pss_kernel.outgoing._addresses import Addresses
from pss_kernel.outgoing._backend import GuardedBackend
from pss_kernel.outgoing._masked import masked
from pss_kernel.outgoing._target import NoAnswer, Target

__all__ = ["Connections"]

_log = structlog.get_logger("pss.outgoing")


@cache
def _tls() -> SSLContext:
    """Read the certificate authorities once per process, which takes long.

    ``SSL_CERT_FILE`` names others than those that come with certifi.
    """
    return httpx.create_ssl_context()


class Connections:
    """Pools of connections: one to public addresses, one to those the operator vouches for."""

    def __init__(self, addresses: Addresses, *, guarded: bool) -> None:
        self._addresses = addresses
        self._guarded = guarded
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def check_scheme(self, scheme: str, host: str, target: str) -> None:
        """Raises UpstreamRefused for what would go over the internet unencrypted."""
        if scheme == "https" or not self._guarded or self._addresses.named_host(host):
            return
        raise UpstreamRefused(
            f"The URL of {target} does not begin with https.",
            code="upstream-address",
            mend="Use https: what is sent there is nobody else's business.",
        )

    async def exchange(
        self,
        target: Target,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None,
        form: Mapping[str, str] | None,
        content: bytes | None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send one request; status, headers and body of its answer. Raises NoAnswer."""
        limits, client = target.limits, self._opened()
        request = client.build_request(
            method,
            url,
            params=params,
            data=form,
            content=content,
            headers=headers,
            timeout=httpx.Timeout(limits.read_seconds, connect=limits.connect_seconds),
        )
        began = time.monotonic()
        try:
            response = await client.send(request, stream=True)
            try:
                body = await _whole(response, limits.largest_answer)
            finally:
                await response.aclose()
        except httpx.RequestError as error:
            raise NoAnswer(type(error).__name__) from error
        _log.debug(
            "outgoing_call",
            method=method,
            url=masked(url),
            status=response.status_code,
            milliseconds=round((time.monotonic() - began) * 1000),
            **target.facts,
        )
        return response.status_code, response.headers, body

    def _opened(self) -> httpx.AsyncClient:
        """The pool's client; it keeps no cookies, follows nothing and trusts no environment."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            transport = httpx.AsyncHTTPTransport(
                verify=_tls(),
                trust_env=False,
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            )
            if self._guarded:
                # The place for it is httpcore's; httpx has no argument that leads there.
                transport._pool = httpcore.AsyncConnectionPool(  # noqa: SLF001 - as above
                    ssl_context=_tls(),
                    max_connections=None,
                    max_keepalive_connections=64,
                    keepalive_expiry=5.0,
                    network_backend=GuardedBackend(self._addresses),
                )
            self._client = httpx.AsyncClient(
                transport=transport,
                trust_env=False,
                follow_redirects=False,
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                headers={"User-Agent": "pss"},
            )
            self._loop = loop
        return self._client

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()


async def _whole(response: httpx.Response, limit: int) -> bytes:
    """The body, as it was sent: nothing here unpacks what somebody else has packed."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise NoAnswer("an encoded answer, which was not asked for")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > limit:
            raise NoAnswer(f"an answer of more than {limit:,} bytes")
    return bytes(body)
