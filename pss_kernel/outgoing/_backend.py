"""Connecting to public addresses only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpcore

from pss_kernel.errors import UpstreamRefused
from pss_kernel.outgoing._addresses import MEND, Addresses

__all__ = ["GuardedBackend"]


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to what was looked at, under the host's own name in TLS."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers, all within the time."""
        try:
            async with asyncio.timeout(timeout):
                found = await self._addresses.of(host, port)
                for place, address in enumerate(found, start=1):
                    try:
                        return await self._inner.connect_tcp(
                            str(address),
                            port,
                            timeout=timeout,
                            local_address=local_address,
                            socket_options=socket_options,
                        )
                    except httpcore.ConnectError:
                        if place == len(found):
                            raise
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        raise httpcore.ConnectError(f"{host} has no address")  # pragma: no cover - of raises first

    async def connect_unix_socket(
        self,
        path: str,  # noqa: ARG002 - httpcore's signature
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - as above
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - as above
    ) -> httpcore.AsyncNetworkStream:
        """Refuse: nothing of this machine is called through a socket file."""
        raise UpstreamRefused("A socket file is no address.", code="upstream-address", mend=MEND)

    async def sleep(self, seconds: float) -> None:
        """As httpcore wants it."""
        await self._inner.sleep(seconds)
