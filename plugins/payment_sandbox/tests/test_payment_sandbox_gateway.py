"""The gateway against the network, and against networks that misbehave."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pss_kernel import CallLimits, Money
from pss_kernel.config import Config
from pss_kernel.outgoing import Outgoing
from pss_payment.contracts import Outcome
from pss_payment_sandbox.gateway import SandboxGateway

EUR = Money("123.45", "EUR")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def gateway_to(
    url: str, seconds: float = 3.0, attempts: int = 3
) -> AsyncIterator[SandboxGateway]:
    outgoing = Outgoing(Config(data_dir=Path()))
    limits = CallLimits(
        read_seconds=seconds, total_seconds=seconds, attempts=attempts, failures=1000
    )
    client = outgoing.client(
        *("aurelis", "payment_sandbox", "card-network"),
        base_url=url,
        internal=True,
        limits=limits,
        headers={"Merchant": "aurelis"},
    )
    yield SandboxGateway(client)
    await outgoing.stop()


@contextlib.asynccontextmanager
async def misbehaving(talk: Talk) -> AsyncIterator[str]:
    """Serve one that talks as it likes; gives its address."""
    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
    return head + body


async def authorise(gateway: SandboxGateway, payment_id: str, card: str = "tok_visa") -> Outcome:
    return await gateway.authorise(payment_id, EUR, card, return_url=None, metadata={})


def a_payment() -> str:
    return f"pay_{uuid.uuid4().hex}"


async def test_authorise_capture_refund(network: Any) -> None:
    """The whole life of a good payment, each step repeatable with its key."""
    payment = a_payment()
    async with gateway_to(network.url) as gateway:
        assert await gateway.lookup(payment) is None
        first = await authorise(gateway, payment)
        assert first == await authorise(gateway, payment)
        assert first == await gateway.lookup(payment)
        assert first.reference is not None
        for _ in range(2):
            assert first == await gateway.capture(first.reference, EUR, f"{payment}:capture")
        for _ in range(2):
            assert first == await gateway.refund(first.reference, EUR, "rfd_1" + payment)
        again = await gateway.refund(first.reference, EUR, "rfd_2" + payment)
        assert Outcome(status="declined", decline_reason="refund-exceeds-capture") == again


async def test_void(network: Any) -> None:
    """A voided authorisation is found as declined; a captured one is not voided."""
    payment = a_payment()
    async with gateway_to(network.url) as gateway:
        reference = (await authorise(gateway, payment)).reference or ""
        assert (await gateway.void(reference, f"{payment}:void")).status == "approved"
        found = await gateway.lookup(payment)
        assert found is not None
        assert (found.status, found.decline_reason) == ("declined", "voided")
        captured = (await authorise(gateway, a_payment())).reference or ""
        await gateway.capture(captured, EUR, f"{captured}:capture")
        refused = await gateway.void(captured, f"{captured}:void")
        assert refused.decline_reason == "charge-captured"


async def test_declined(network: Any) -> None:
    """A decline carries the network's reason."""
    async with gateway_to(network.url) as gateway:
        outcome = await authorise(gateway, a_payment(), "tok_insufficient_funds")
    assert (outcome.status, outcome.decline_reason) == ("declined", "insufficient-funds")


async def test_timeout_is_unknown_then_found(network: Any) -> None:
    """No answer in time is unknown; looking the payment up finds the authorisation."""
    payment = a_payment()
    async with gateway_to(network.url, seconds=0.3) as gateway:
        assert (await authorise(gateway, payment, "tok_timeout")).status == "unknown"
        found = await gateway.lookup(payment)
    assert found is not None
    assert found.status == "approved"


async def test_nobody_listens(unused_tcp_port: int) -> None:
    """A network that is down gives unknown outcomes, never declines."""
    async with gateway_to(f"http://127.0.0.1:{unused_tcp_port}") as gateway:
        assert (await authorise(gateway, a_payment())).status == "unknown"
        assert (await gateway.capture("ch_1", EUR, "k")).status == "unknown"
        found = await gateway.lookup(a_payment())
    assert Outcome(status="unknown") == found


async def test_broken_connection_is_tried_again_with_the_same_key() -> None:
    """A connection that breaks off is retried, and the idempotency key stays the same."""
    keys: list[bytes] = []
    body = b'{"id": "ch_1", "status": "authorised"}'

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        keys.extend(
            line for line in request.split(b"\r\n") if line.lower().startswith(b"idempotency")
        )
        if len(keys) == 3:
            writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()
        await writer.wait_closed()

    async with misbehaving(talk) as url, gateway_to(url) as gateway:
        outcome = await authorise(gateway, "pay_1")
    assert Outcome(status="approved", reference="ch_1") == outcome
    assert keys == [b"Idempotency-Key: pay_1:authorise"] * 3


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 409, 422, 429, 500, 502, 503])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b"\xff", b'{"id": 1}'])
async def test_what_cannot_be_understood_is_unknown(status: int, body: bytes) -> None:
    """Neither a proxy's page nor half an answer counts as a decline."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        head = b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        writer.write(head % (status, len(body)) + body)
        writer.close()
        await writer.wait_closed()

    async with misbehaving(talk) as url, gateway_to(url) as gateway:
        assert Outcome(status="unknown") == await authorise(gateway, "pay_1")
        assert Outcome(status="unknown") == await gateway.lookup("pay_1")


@given(st.binary(max_size=200))
async def test_any_bytes_give_an_outcome(answer: bytes) -> None:
    """Whatever a server sends, the gateway gives an outcome."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async with misbehaving(talk) as url, gateway_to(url, 1.0, 1) as gateway:
        assert (await authorise(gateway, "pay_1")).status == "unknown"
