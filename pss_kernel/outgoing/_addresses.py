"""Which addresses a URL that a tenant has set may lead to (OWASP ASVS 5.0, V13.2.4 and V13.2.5).

A server inside the operator's network may not be reached by naming it in a setting. The name is
resolved once; what was looked at is what is connected to, so that a name server which answers
differently the next time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket

from pss_kernel.errors import Invalid, UpstreamRefused
from pss_kernel.outgoing._target import NoAnswer

__all__ = ["MEND", "Address", "Addresses"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_HOST = re.compile(r"(?=.*[a-z])[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
MEND = (
    "Correct the URL; an operator who wants it reached names it in PSS_OUTGOING_ALLOW, "
    "as docs/outgoing.md says."
)


class Addresses:
    """Public ones, and those that the operator allows beside them."""

    def __init__(self, allowed: str) -> None:
        """``allowed``: networks and host names, separated by commas. Raises Invalid."""
        self._networks = []
        self._hosts = set()
        for one in filter(None, (word.strip().lower() for word in allowed.split(","))):
            if _HOST.fullmatch(one):
                self._hosts.add(one)
                continue
            try:
                self._networks.append(ipaddress.ip_network(one))
            except ValueError as error:
                raise Invalid(
                    f"The environment variable PSS_OUTGOING_ALLOW is wrong: {error}.",
                    code="invalid-configuration",
                    mend="Give networks and host names, with commas: 10.1.2.0/24,idp.example.",
                ) from error

    def named_host(self, host: str) -> bool:
        """Whether the operator has named the host, or the address that it is written as."""
        try:
            return self.named(ipaddress.ip_address(host))
        except ValueError:
            return host.lower() in self._hosts

    def named(self, address: Address) -> bool:
        """Whether the operator has named the address."""
        return any(address in one for one in self._networks if one.version == address.version)

    def allows(self, address: Address) -> bool:
        """Whether a tenant's URL may lead there."""
        if self.named(address):
            return True
        inner = _embedded(address)
        if inner is not None:
            return self.allows(inner)
        return address.is_global and not address.is_multicast

    async def of(self, host: str, port: int) -> list[Address]:
        """The addresses of a host. Raises UpstreamRefused where one of them is not allowed."""
        try:
            found: list[Address] = [ipaddress.ip_address(host)]
        except ValueError:
            loop = asyncio.get_running_loop()
            try:
                rows = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise NoAnswer("the name has no address") from error
            found = list(dict.fromkeys(ipaddress.ip_address(row[4][0]) for row in rows))
        if host.lower() in self._hosts:
            return found
        if not found or not all(self.allows(one) for one in found):
            raise UpstreamRefused(
                f"{host} is not at a public address.", code="upstream-address", mend=MEND
            )
        return found


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
