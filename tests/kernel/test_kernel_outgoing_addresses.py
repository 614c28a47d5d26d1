"""Where a URL of a tenant may lead: nowhere inside the operator's network."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pss_kernel import CallLimits, UpstreamUnavailable
from pss_kernel.config import Config
from pss_kernel.errors import Invalid, UpstreamRefused
from pss_kernel.outgoing import Outgoing, OutgoingClient
from pss_kernel.outgoing._addresses import Addresses

ANY = "0.0.0.0"  # noqa: S104 - called, not bound
ONCE = CallLimits(attempts=1, connect_seconds=1, read_seconds=1)


def client_of(outgoing: Outgoing, url: str, *, internal: bool = False) -> OutgoingClient:
    return outgoing.client("one", "notes", "x", base_url=url, internal=internal, limits=ONCE)


@pytest.fixture
async def listening() -> AsyncIterator[Any]:
    """A server that nobody of a tenant's may reach; it notes who comes."""

    class Listening:
        port = 0
        visits = 0

    found = Listening()

    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.visits += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        found.port = server.sockets[0].getsockname()[1]
        yield found


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", ANY, "224.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fd00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a00:1::", "2001:db8::1"),
    ],
)
def test_refused_addresses(address: str) -> None:
    """Nothing private, local, special, or that stands for such an address."""
    assert not Addresses("").allows(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"])
def test_public_addresses(address: str) -> None:
    """What is on the internet may be called."""
    assert Addresses("").allows(ipaddress.ip_address(address))


def test_allowed_by_the_operator() -> None:
    """Networks and names, and nothing beside them."""
    allowed = Addresses("10.1.0.0/16, idp.internal.example,fd00::/8")
    assert allowed.allows(ipaddress.ip_address("10.1.2.3"))
    assert allowed.allows(ipaddress.ip_address("::ffff:10.1.2.3"))
    assert allowed.allows(ipaddress.ip_address("fd00::1"))
    assert not allowed.allows(ipaddress.ip_address("10.2.0.1"))
    assert allowed.named_host("IDP.internal.example")
    assert not allowed.named_host("internal.example")
    with pytest.raises(Invalid, match="PSS_OUTGOING_ALLOW"):
        Addresses("10.1.2.3/8")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", ANY])
async def test_own_machine_is_not_reached(listening: Any, host: str) -> None:
    """However it is written, a tenant's URL does not lead to this machine."""
    outgoing = Outgoing(Config(data_dir=Path()))
    for scheme in ("http", "https"):
        client = client_of(outgoing, f"{scheme}://{host}:{listening.port}")
        with pytest.raises(UpstreamRefused):
            await client.get("/x")
        assert "closed" == client.target.circuit.state
    assert 0 == listening.visits
    assert (
        await client_of(outgoing, f"http://127.0.0.1:{listening.port}", internal=True).get("/x")
    ).ok
    await outgoing.stop()
    assert 1 == listening.visits


@pytest.mark.parametrize(
    "url",
    [
        "http://93.184.216.34",
        "ftp://example.com",
        "file:///etc/passwd",
        "https://",
        "//example.com",
    ],
)
async def test_only_https(url: str) -> None:
    """A tenant's URL is https."""
    outgoing = Outgoing(Config(data_dir=Path()))
    with pytest.raises(UpstreamRefused):
        await client_of(outgoing, url).get("/x")


@pytest.mark.parametrize("path", ["@evil.example/x", ".evil.example/x", ":99/x"])
async def test_a_path_leads_nowhere_else(path: str) -> None:
    """What continues the target's URL can't make it another host."""
    outgoing = Outgoing(Config(data_dir=Path()))
    with pytest.raises(UpstreamRefused):
        await client_of(outgoing, "https://93.184.216.34").get(path)


async def test_resolved_once(listening: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was looked at is the one that is connected to (DNS rebinding)."""
    loop = asyncio.get_running_loop()
    asked: list[str] = []

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.99"
        return [(2, 1, 6, "", (address, port))]

    monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)
    outgoing = Outgoing(Config(data_dir=Path(), outgoing_allow="partner.example"))
    client = client_of(outgoing, f"http://partner.example:{listening.port}")
    assert (await client.get("/x")).ok
    await outgoing.stop()
    assert (["partner.example"], 1) == (asked, listening.visits)


async def test_a_name_with_one_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that has a public address as well is not called either."""
    loop = asyncio.get_running_loop()

    async def resolve(_host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", (one, port)) for one in ("93.184.216.34", "10.0.0.1")]

    monkeypatch.setattr(loop, "getaddrinfo", resolve, raising=False)
    with pytest.raises(UpstreamRefused):
        await client_of(Outgoing(Config(data_dir=Path())), "https://both.example").get("/x")


async def test_a_certificate_is_checked(tmp_path: Path) -> None:
    """A server whose certificate nobody vouches for is not talked to, internal or not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(tmp_path))
    visits = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visits.append(await reader.read(1))
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        outgoing = Outgoing(Config(data_dir=Path()))
        client = client_of(outgoing, f"https://localhost:{port}", internal=True)
        with pytest.raises(UpstreamUnavailable, match="ConnectError"):
            await client.get("/x")
    await outgoing.stop()
    assert [] == visits


def _self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    pem = serialization.Encoding.PEM
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    return path
