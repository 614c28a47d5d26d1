"""Where a request comes from, as far as that can be believed."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING

from pss_kernel.errors import Invalid

if TYPE_CHECKING:
    from litestar.types import Scope

__all__ = ["Proxies"]

_UNKNOWN = "0.0.0.0"  # noqa: S104 - no address to listen at: what is said of a caller without one
_LONGEST = 50
"""Hops that are looked at in ``X-Forwarded-For``."""


class Proxies:
    """The proxies in front of the application, whose word about the client is taken."""

    def __init__(self, networks: str) -> None:
        try:
            self._networks = [
                ipaddress.ip_network(one.strip(), strict=False)
                for one in networks.split(",")
                if one.strip()
            ]
        except ValueError as error:
            raise Invalid(
                f"The environment variable PSS_TRUSTED_PROXIES is wrong: {error}.",
                code="invalid-configuration",
            ) from error

    def client_of(self, scope: Scope) -> str:
        """The address of the client: the nearest one that is no trusted proxy's."""
        client = scope.get("client")
        nearest = _address(client[0] if client else "")
        if nearest is None:
            return _UNKNOWN
        if not self._trusts(nearest):
            return str(nearest)
        hops = b",".join(
            value for name, value in scope["headers"] if name == b"x-forwarded-for"
        ).split(b",")
        for hop in reversed(hops[-_LONGEST:]):
            found = _address(hop.decode("latin-1").strip())
            if found is None:
                break
            nearest = found
            if not self._trusts(found):
                break
        return str(nearest)

    def believes(self, scope: Scope) -> bool:
        """Whether the request came through a trusted proxy."""
        client = scope.get("client")
        nearest = _address(client[0] if client else "")
        return nearest is not None and self._trusts(nearest)

    def _trusts(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
        return any(address in network for network in self._networks)


@lru_cache(maxsize=4096)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
