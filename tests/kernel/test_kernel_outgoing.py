"""Calls to others, against real servers that hang, break off, dribble and refuse."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from pss_kernel import CallLimits, OutgoingClient, UpstreamUnavailable
from pss_kernel.config import Config
from pss_kernel.correlation import correlated
from pss_kernel.errors import PluginTooSlow, UpstreamBusy, UpstreamOpen
from pss_kernel.observability import configure_logging
from pss_kernel.outgoing import Outgoing
from pss_kernel.outgoing._within import CallWithinUnit
from pss_kernel.resilience import Call
from pss_kernel.testing import TestKit

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_CHANGES = {"outgoing_opened", "outgoing_half_open", "outgoing_closed"}
QUICK = CallLimits(connect_seconds=0.5, read_seconds=0.3, total_seconds=1.0, open_seconds=0.2)


def answer(status: int = 200, body: bytes = b"{}", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server:
    """Plays somebody else: does what the next of its turns says, and the last one for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.turns: list[Talk | bytes] = [answer()]
        self.requests: list[bytes] = []
        self.inside = self.most_inside = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            turn = self.turns.pop(0) if len(self.turns) > 1 else self.turns[0]
            self.inside += 1
            self.most_inside = max(self.most_inside, self.inside)
            try:
                if isinstance(turn, bytes):
                    writer.write(turn)
                else:
                    await turn(reader, writer)
            finally:
                self.inside -= 1
        writer.close()


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing until the other side has gone."""
    await reader.read(1)


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte now and then, so that no read ever waits for long."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not reader.at_eof():
        writer.write(b"x")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.02)


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    played = Server()
    async with await asyncio.start_server(played.talk, "127.0.0.1", 0) as listening:
        played.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        yield played


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    """Every log line of the test."""
    configure_logging(Config(data_dir=Path(), log_level="debug"))
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving() as played:
        yield played


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    made = Outgoing(Config(data_dir=Path()))
    yield made
    await made.stop()


def client_of(
    outgoing: Outgoing,
    server: Server,
    limits: CallLimits = QUICK,
    *,
    tenant: str = "one",
    target: str = "partner",
) -> OutgoingClient:
    return outgoing.client(
        tenant, "notes", target, base_url=server.url, internal=True, limits=limits
    )


async def refused(client: OutgoingClient) -> str:
    """The code that a call ends with."""
    with pytest.raises(UpstreamUnavailable) as problem:
        await client.get("/x")
    return problem.value.code


async def test_an_answer(outgoing: Outgoing, server: Server) -> None:
    """Status, headers and body come as they are, whatever the status; the request id goes out."""
    server.turns = [answer(404, b'{"a": 1}', "X-Kind: y")]
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with correlated("req_abcdefgh", parent):
        found = await client_of(outgoing, server).get("/x", params={"q": "1"})
    assert (404, False, "y", {"a": 1}) == (
        *(found.status, found.ok, found.headers["x-kind"]),
        found.decode(dict),
    )
    (request,) = server.requests
    assert request.startswith(b"GET /x?q=1 HTTP/1.1\r\n")
    assert b"PSS-Request-Id: req_abcdefgh\r\n" in request
    assert b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-" in request


@pytest.mark.parametrize("turn", [hang, dribble])
async def test_never_longer_than_its_time(outgoing: Outgoing, server: Server, turn: Talk) -> None:
    """Silence, and an answer that never ends, take as long as the limits say and no longer."""
    server.turns = [turn]
    began = time.monotonic()
    assert "upstream-unavailable" == await refused(client_of(outgoing, server))
    assert 0.3 <= time.monotonic() - began < 2.5


async def test_not_longer_than_the_budget_around_it(
    kit: TestKit, outgoing: Outgoing, server: Server
) -> None:
    """What has less time left than the limits give is told in time, and not cut off."""
    server.turns = [hang]
    tenant = await kit.make_tenant(plugins=["notes"])
    long = CallLimits(read_seconds=30, total_seconds=30)
    began = time.monotonic()
    async with Call(kit.installation, tenant, "notes", budget=0.4):
        assert "upstream-unavailable" == await refused(client_of(outgoing, server, long))
    assert time.monotonic() - began < 2
    with pytest.raises(PluginTooSlow):
        async with Call(kit.installation, tenant, "notes", budget=0.05):
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    "turn", [reset, answer(500), answer(503), answer(429), b"nonsense\r\n\r\n"]
)
async def test_repeated_until_it_answers(
    outgoing: Outgoing, server: Server, turn: Talk | bytes
) -> None:
    """A request with a key is sent again, with the same key, where nothing useful came."""
    server.turns = [turn, turn, answer()]
    found = await client_of(outgoing, server).post("/x", json={}, key="k1")
    assert 200 == found.status
    assert 3 == len(server.requests)
    assert all(b"Idempotency-Key: k1\r\n" in one for one in server.requests)


async def test_not_repeated_without_a_key(outgoing: Outgoing, server: Server) -> None:
    """A POST without a key is sent once; the answer that it got is given."""
    server.turns = [answer(500, b"no")]
    found = await client_of(outgoing, server).post("/x", json={})
    assert (500, b"no", 1) == (found.status, found.content, len(server.requests))
    server.turns = [reset]
    with pytest.raises(UpstreamUnavailable):
        await client_of(outgoing, server).post("/x", json={})
    assert 2 == len(server.requests)


async def test_asked_to_come_later(outgoing: Outgoing, server: Server) -> None:
    """Retry-After is waited for; one that is longer than there is time ends the call at once."""
    server.turns = [answer(503, b"", "Retry-After: 1"), answer()]
    patient = CallLimits(total_seconds=5)
    began = time.monotonic()
    assert (await client_of(outgoing, server, patient).get("/x")).ok
    assert time.monotonic() - began >= 1
    server.turns = [answer(429, b"", "Retry-After: Wed, 21 Oct 2099 07:28:00 GMT")]
    began = time.monotonic()
    assert 429 == (await client_of(outgoing, server, patient).get("/x")).status
    assert time.monotonic() - began < 2
    assert 3 == len(server.requests)


async def test_opens_half_opens_closes(
    outgoing: Outgoing, server: Server, eventually: Any, logged: list[Any]
) -> None:
    """A target that keeps failing is left alone, then tried by one call, then used again."""
    server.turns = [answer(500)]
    client = client_of(outgoing, server, CallLimits(failures=3, attempts=1, open_seconds=0.3))
    for _ in range(3):
        assert 500 == (await client.get("/x")).status
    assert "open" == client.target.circuit.state
    assert "upstream-open" == await refused(client)
    assert 3 == len(server.requests)
    await eventually(lambda: client.target.circuit.state == "half-open")
    server.turns = [hang]
    trying = asyncio.create_task(client.get("/x"))
    await eventually(lambda: server.inside == 1)
    assert "upstream-open" == await refused(client)  # one tries, the others wait
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    assert "half-open" == client.target.circuit.state  # it has found out nothing
    server.turns = [answer(500)]
    assert 500 == (await client.get("/x")).status
    assert "open" == client.target.circuit.state
    await eventually(lambda: client.target.circuit.state == "half-open")
    server.turns = [answer()]
    assert (await client.get("/x")).ok
    assert "closed" == client.target.circuit.state
    assert [
        *("outgoing_opened", "outgoing_half_open", "outgoing_opened"),
        *("outgoing_half_open", "outgoing_closed"),
    ] == [one["event"] for one in logged if one["event"] in _CHANGES]


async def test_others_are_not_affected(outgoing: Outgoing, server: Server) -> None:
    """An open circuit is one tenant's and one target's."""
    server.turns = [reset]
    limits = CallLimits(failures=1, attempts=1, open_seconds=60)
    ill = client_of(outgoing, server, limits)
    assert ["upstream-unavailable", "upstream-open"] == [await refused(ill) for _ in range(2)]
    server.turns = [answer()]
    assert (await client_of(outgoing, server, limits, tenant="two").get("/x")).ok
    assert (await client_of(outgoing, server, limits, target="other").get("/x")).ok
    assert "upstream-open" == await refused(ill)


async def test_a_caller_without_time_opens_nothing(
    kit: TestKit, outgoing: Outgoing, server: Server
) -> None:
    """Whoever had no time to wait has not found out that nobody answers."""
    server.turns = [hang]
    tenant = await kit.make_tenant(plugins=["notes"])
    client = client_of(outgoing, server, CallLimits(failures=1, attempts=1))
    async with Call(kit.installation, tenant, "notes", budget=0.2):
        assert "upstream-unavailable" == await refused(client)
    assert "closed" == client.target.circuit.state


async def test_so_many_at_once(outgoing: Outgoing, server: Server, eventually: Any) -> None:
    """A slow target holds up a bounded number of calls; a further one is refused at once."""
    gate = asyncio.Event()

    async def slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.write(answer())

    server.turns = [slow]
    client = client_of(outgoing, server, CallLimits(concurrent=2, waiting=1, read_seconds=10))
    tasks = [asyncio.create_task(client.get("/x")) for _ in range(3)]
    await eventually(lambda: server.inside == 2 and client.target.room.waiting == 1)
    with pytest.raises(UpstreamBusy):
        await client.get("/x")
    gate.set()
    assert [200, 200, 200] == [one.status for one in await asyncio.gather(*tasks)]
    assert 2 == server.most_inside
    assert (0, 0) == (client.target.room.inside, client.target.room.waiting)


async def test_waiting_for_room_ends(outgoing: Outgoing, server: Server) -> None:
    """Whoever gets no room within the time is refused, and nothing is sent for them."""
    client = client_of(outgoing, server, CallLimits(concurrent=1, total_seconds=0.3))
    async with client.target.room:
        assert "upstream-busy" == await refused(client)
    assert [] == server.requests
    assert (await client.get("/x")).ok


async def test_too_long_an_answer(outgoing: Outgoing, server: Server) -> None:
    """An answer beyond the limit counts as none, and so does one that would have to be unpacked."""
    server.turns = [answer(200, b"x" * 2000)]
    small = CallLimits(largest_answer=1000, attempts=1)
    assert "upstream-unavailable" == await refused(client_of(outgoing, server, small))
    server.turns = [answer(200, b"\x1f\x8b", "Content-Encoding: gzip")]
    assert "upstream-unavailable" == await refused(client_of(outgoing, server, small))
    assert b"Accept-Encoding: identity\r\n" in server.requests[-1]


async def test_no_redirect_is_followed(outgoing: Outgoing, server: Server) -> None:
    """A redirect is an answer like any other."""
    async with serving() as elsewhere:
        server.turns = [answer(307, b"", f"Location: {elsewhere.url}/y")]
        found = await client_of(outgoing, server).get("/x", headers={"Authorization": "secret"})
    assert (307, []) == (found.status, elsewhere.requests)


async def test_no_cookie_is_kept(outgoing: Outgoing, server: Server) -> None:
    """What one tenant's call was given is not sent with another's."""
    server.turns = [answer(200, b"", "Set-Cookie: session=one; Path=/")]
    await client_of(outgoing, server).get("/x")
    await client_of(outgoing, server, tenant="two").get("/x")
    assert b"cookie" not in server.requests[-1].lower()


async def test_not_within_a_unit_of_work(kit: TestKit, outgoing: Outgoing, server: Server) -> None:
    """A call with a unit of work open is a mistake; between two of them it is what Work is for."""
    tenant = await kit.make_tenant(plugins=["notes"])
    work = kit.installation.work(tenant, plugin="notes")
    async with work:
        async with work.begin() as uow:
            client = uow.outgoing("partner", base_url=server.url, internal=True)
            with pytest.raises(CallWithinUnit):
                await asyncio.create_task(client.get("/x"))
        assert [] == server.requests
        assert (await client.get("/x")).ok
        assert ("notes", tenant.code) == (client.target.plugin, client.target.tenant)
        async with work.begin():
            pass
        assert (await work.outgoing("partner", base_url=server.url, internal=True).get("/x")).ok


async def test_state_is_seen_by_every_process(kit: TestKit, pss: Any, server: Server) -> None:
    """What a process knows of its targets is in the database, for 'pss outgoing status'."""
    tenant = await kit.make_tenant(plugins=["notes"])
    outgoing = Outgoing(kit.installation.config)
    server.turns = [reset]
    limits = CallLimits(failures=2, open_seconds=60)
    client = client_of(outgoing, server, limits, tenant=tenant.code)
    assert "upstream-unavailable" == await refused(client)
    assert "upstream-open" == await refused(client)
    outgoing.start(kit.installation.database)
    await outgoing.flush(kit.installation.database)
    code, out, _ = await asyncio.to_thread(pss, "outgoing", "status", "--tenant", tenant.code)
    assert 0 == code
    (row,) = [line for line in out.splitlines() if line.startswith("partner")]
    assert [tenant.code, "notes", "open"] == row.split()[1:4]
    assert ["2", "1", "1", "1", "0", "0"] == row.split()[6:12]
    await outgoing.stop()
    _, out, _ = await asyncio.to_thread(pss, "outgoing", "status", "--tenant", tenant.code)
    assert "Nobody has been called in the last minutes.\n" == out


async def test_log_lines_keep_secrets(
    outgoing: Outgoing, server: Server, logged: list[Any]
) -> None:
    """Nothing of a query, a header or a body gets into a log line or an error."""
    server.turns = [answer(500)]
    await client_of(outgoing, server).post(
        "/x?key=s3cret", json="s3cret", headers={"Authorization": "s3cret"}
    )
    server.turns = [reset]
    with pytest.raises(UpstreamUnavailable) as problem:
        await client_of(outgoing, server).get("/x", params={"key": "s3cret"})
    assert f"{server.url}/x?***" in repr(logged)
    assert "s3cret" not in repr(logged) + repr(problem.value) + repr(problem.value.__cause__)


async def test_anything_else_that_answers(outgoing: Outgoing) -> None:
    """What speaks no HTTP has the same room, time and circuit."""
    target = outgoing.target("one", "notes", "mail", CallLimits(failures=2, open_seconds=60))
    said = iter([ConnectionResetError(), None])

    async def once() -> str:
        error = next(said)
        if error is not None:
            raise error
        return "sent"

    assert "sent" == await target.call(once, repeatable=True)

    async def never() -> None:
        raise ConnectionRefusedError

    with pytest.raises(UpstreamUnavailable):
        await target.call(never, repeatable=True)
    with pytest.raises(UpstreamOpen):
        await target.call(once)
    with pytest.raises(UpstreamOpen):
        target.call_blocking(lambda: "sent")
    assert (4, 1, 2, 2) == (
        *(target.counted.calls, target.counted.failed),
        *(target.counted.refused, target.counted.repeated),
    )
