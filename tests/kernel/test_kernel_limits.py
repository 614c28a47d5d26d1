"""Token buckets: the same decisions in Redis and in a process, and what happens without Redis."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from pss_kernel import Actor, NotFound
from pss_kernel.config import Config
from pss_kernel.errors import TooManyRequests
from pss_kernel.limits import Bucket, Limiter, RateLimits, Take
from pss_kernel.limits._bucket import SECOND
from pss_kernel.limits._limiter import network_of
from pss_kernel.limits._memory import MemoryBuckets
from pss_kernel.limits._redis import RedisBuckets
from pss_kernel.limits._shared import Buckets

_BUCKETS = st.builds(
    Bucket,
    tenant=st.just("t"),
    name=st.sampled_from(["client", "read"]),
    subject=st.sampled_from(["a", "b"]),
    quota=st.sampled_from([1, 2, 3, 7, 60]),
    window=st.sampled_from([1, 60]),
)
_STEPS = st.lists(
    st.tuples(
        st.integers(0, 90 * SECOND),  # microseconds since the step before
        st.lists(
            st.builds(Take, _BUCKETS, st.sampled_from([-1, 0, 1, 1, 1, 5])),
            min_size=1,
            max_size=3,
            unique_by=lambda take: take.bucket.key,
        ),
    ),
    min_size=1,
    max_size=12,
)


class _Clock:
    def __init__(self) -> None:
        self.now = 1_790_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def code() -> str:
    """A tenant of this test's own, so that its keys are."""
    return f"x{secrets.token_hex(6)}"


@pytest_asyncio.fixture(loop_scope="session")
async def shared(redis_url: str) -> AsyncIterator[RedisBuckets]:
    """Buckets in Redis."""
    made = RedisBuckets(redis_url)
    yield made
    await made.close()


async def _clear(redis_url: str, code: str) -> int:
    async with Redis.from_url(redis_url) as client:
        keys = [key async for key in client.scan_iter(match=f"pss:{code}:*", count=1000)]
        return int(await client.delete(*keys)) if keys else 0


def test_a_bucket() -> None:
    """A burst of the whole quota, then one token after each interval; the wait is true."""
    clock = _Clock()
    buckets = MemoryBuckets(clock)
    take = [Take(Bucket("t", "read", "a", quota=3, window=60))]
    assert [2, 1, 0] == [buckets.take(take).remaining(0) for _ in range(3)]
    refused = buckets.take(take)
    assert (False, 20 * SECOND) == (refused.allowed, refused.wait(0))
    clock.now += refused.wait(0) - 1
    assert not buckets.take(take).allowed
    clock.now += 1
    assert buckets.take(take).allowed
    assert not buckets.take(take).allowed


def test_all_or_nothing() -> None:
    """Where one bucket is empty, nothing is taken from the others."""
    buckets = MemoryBuckets(_Clock())
    small, large = Bucket("t", "read", "a", 1), Bucket("t", "client", "a", 5)
    assert buckets.take([Take(large), Take(small)]).allowed
    for _ in range(9):
        assert not buckets.take([Take(large), Take(small)]).allowed
    assert 3 == buckets.take([Take(large)]).remaining(0)


def test_a_process_forgets() -> None:
    """Full buckets first, then those not used for the longest; the others go on."""
    clock = _Clock()
    buckets = MemoryBuckets(clock, most=10)
    busy = Take(Bucket("t", "read", "busy", 1))
    for number in range(50):
        buckets.take([busy])
        buckets.take([Take(Bucket("t", "read", str(number), 1))])
        assert len(buckets) <= 10 + 1
        clock.now += 1
    assert not buckets.take([busy]).allowed


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=_STEPS)
@pytest.mark.asyncio(loop_scope="session")
async def test_both_decide_alike(shared: RedisBuckets, redis_url: str, steps: Any) -> None:
    """Any timeline of wishes has the same answers from both."""
    code, clock = f"x{secrets.token_hex(6)}", _Clock()
    own = MemoryBuckets(clock)
    for later, takes in steps:
        clock.now += later
        named = [
            Take(Bucket(code, t.bucket.name, t.bucket.subject, t.bucket.quota, t.bucket.window), c)
            for t in takes
            for c in [t.cost]
        ]
        assert own.take(named) == await shared.take(named, clock.now)
    await _clear(redis_url, code)


async def test_keys_end_by_themselves(shared: RedisBuckets, redis_url: str, code: str) -> None:
    """Each key names the tenant, tells nothing of whom it is about, and has an end."""
    await shared.take([Take(Bucket(code, "client", "198.51.100.7", 2, 60))])
    async with Redis.from_url(redis_url, decode_responses=True) as client:
        (key,) = [one async for one in client.scan_iter(match=f"pss:{code}:*", count=1000)]
        assert f"{{{code}}}" in key
        assert "198.51" not in key
        assert 29_000 < await client.pttl(key) <= 31_000
    await _clear(redis_url, code)


_RACER = """
import asyncio, sys
from pss_kernel.limits import Bucket, Take
from pss_kernel.limits._redis import RedisBuckets

async def race(url, code):
    buckets = RedisBuckets(url)
    rows = [("client", "a", 1000), ("read", "a", 50)]
    takes = [Take(Bucket(code, *one, 1_000_000)) for one in rows]
    print("ready", flush=True)
    sys.stdin.readline()
    found = await asyncio.gather(*(buckets.take(takes) for _ in range(200)))
    print(sum(one.allowed for one in found), flush=True)
    await buckets.close()

asyncio.run(race(*sys.argv[1:]))
"""


async def test_two_processes(shared: RedisBuckets, redis_url: str, code: str) -> None:
    """400 requests at once from two processes: exactly as many pass as one bucket holds."""
    racers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _RACER, redis_url, code),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(2)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert b"ready\n" == await racer.stdout.readline()
    passed = [int((await racer.communicate(b"\n"))[0]) for racer in racers]
    assert 50 == sum(passed)
    left = await shared.take([Take(Bucket(code, "client", "a", 1000, 1_000_000), 0)])
    assert 950 == left.remaining(0)
    await _clear(redis_url, code)


@contextmanager
def _redis_server(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(
        ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_redis_goes_and_comes(tmp_path: Path, eventually: Callable[..., Any]) -> None:
    """Killed, silent or back again: every request is decided at once, the change is said once."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    redis = RedisBuckets(f"redis://127.0.0.1:{port}/")
    buckets = Buckets(redis, patience=0.5, away_seconds=0.0)
    takes = [Take(Bucket("t", "client", "a", 100, 3600))]

    async def shared_again() -> bool:
        await buckets.take(takes)
        return not buckets.degraded

    try:
        with structlog.testing.capture_logs() as said:
            with _redis_server(port, tmp_path):
                await eventually(lambda: _answers(port))
                assert 99 == (await buckets.take(takes)).remaining(0)
                assert not buckets.degraded
            for left in (99, 98, 97):  # gone: this process counts for itself
                assert left == (await buckets.take(takes)).remaining(0)
            assert buckets.degraded
            with _redis_server(port, tmp_path) as running:
                await eventually(shared_again)
                running.send_signal(signal.SIGSTOP)  # it is there, and says nothing
                assert (await buckets.take(takes)).allowed
                assert buckets.degraded
                running.send_signal(signal.SIGCONT)
                await eventually(shared_again)
        events = [one["event"] for one in said]
        assert ["limits_not_shared"] * 2 == events
    finally:
        await buckets.close()


async def test_redis_is_left_alone_for_a_while() -> None:
    """While it is away only one request in a while tries it."""
    asked = 0

    class Away(RedisBuckets):
        async def take(self, *_: Any) -> Any:
            nonlocal asked
            asked += 1
            raise ConnectionRefusedError

    buckets = Buckets(Away("redis://127.0.0.1:1/"), away_seconds=3600)
    for _ in range(50):
        assert (await buckets.take([Take(Bucket("t", "client", "a", 100))])).allowed
    assert 1 == asked
    assert not await buckets.look()
    await buckets.close()


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1:2:3", "2001:db8::/64"),
        ("", ""),
    ],
)
def test_whose_address(address: str, network: str) -> None:
    """Who has an IPv6 address has its /64."""
    assert network == network_of(address)


class TestLimiter:
    """Which buckets a request draws from."""

    @pytest.fixture
    def limiter(self) -> Limiter:
        """One that counts in this process."""
        return Limiter(Config(data_dir=Path()))

    async def test_guests_share_an_address(self, limiter: Limiter) -> None:
        """Guests are limited by their address, those who are known by what they are, too."""
        limits = RateLimits(read_per_minute=2)
        here, there = Actor("guest", address="198.51.100.7"), Actor("guest", address="198.51.100.8")
        key = Actor("key", "k1", address="198.51.100.7")
        for _ in range(2):
            await limiter.admit("t", limits, here, "read")
        with pytest.raises(TooManyRequests) as refused:
            await limiter.admit("t", limits, here, "read")
        assert 30 == refused.value.retry_after
        for actor in (there, key):
            await limiter.admit("t", limits, actor, "read")
        await limiter.admit("other", limits, here, "read")
        await limiter.admit("t", limits, here, "write")

    async def test_a_key_from_everywhere(self, limiter: Limiter) -> None:
        """A key's own limit holds wherever it is used from."""
        limits = RateLimits(caller_per_minute=2)
        for number in range(2):
            await limiter.admit("t", limits, Actor("key", "k", address=f"10.0.0.{number}"), "read")
        with pytest.raises(TooManyRequests, match="'caller'"):
            await limiter.admit("t", limits, Actor("key", "k", address="10.0.0.9"), "read")

    async def test_the_tenant_and_its_ceiling(self) -> None:
        """All of a tenant together: as it has set, but never beyond the installation's limit."""
        config = Config(data_dir=Path(), tenant_requests_per_minute=2)
        limiter = Limiter(config)
        guests = [Actor("guest", address=f"10.0.0.{number}") for number in range(3)]
        for guest in guests[:2]:
            await limiter.admit("t", RateLimits(), guest, "read")
        with pytest.raises(TooManyRequests, match="'tenant'"):
            await limiter.admit("t", RateLimits(), guests[2], "read")

    async def test_the_door(self) -> None:
        """One address, whatever it asks for; the others are let in."""
        limiter = Limiter(Config(data_dir=Path(), client_requests_per_minute=2))
        for _ in range(2):
            limiter.at_the_door("2001:db8::1")
        with pytest.raises(TooManyRequests):
            limiter.at_the_door("2001:db8::2")
        limiter.at_the_door("2001:db8:0:1::1")

    async def test_off(self) -> None:
        """Nothing is counted."""
        limiter = Limiter(Config(data_dir=Path(), rate_limits="off"))
        limits = RateLimits(read_per_minute=1)
        for _ in range(5):
            assert await limiter.admit("t", limits, Actor("guest"), "read") is None
            assert limiter.at_the_door("10.0.0.1") is None

    async def test_guesses(self, limiter: Limiter) -> None:
        """Wrong ones count, right ones don't, and neither do those that fail otherwise."""
        limits = RateLimits(wrong_guesses_per_client=2)

        async def guess(error: type[Exception] | None, address: str = "10.0.0.1") -> None:
            async with limiter.guessing("t", limits, address, "ABCDEF"):
                if error is not None:
                    raise error

        for _ in range(5):
            await guess(None)
            with pytest.raises(ZeroDivisionError):
                await guess(ZeroDivisionError)
        for _ in range(2):
            with pytest.raises(NotFound):
                await guess(NotFound)
        with pytest.raises(TooManyRequests) as refused:
            await guess(None)
        assert 1799 <= refused.value.retry_after <= 1800
        await guess(None, address="10.0.0.2")

    async def test_guesses_about_one_reference(self, limiter: Limiter) -> None:
        """From however many addresses; in whatever case it is written."""
        limits = RateLimits(wrong_guesses_per_reference=3)
        for number, subject in enumerate(["ABCDEF", "abcdef", " ABCDEF"]):
            with pytest.raises(NotFound):
                async with limiter.guessing("t", limits, f"10.0.0.{number}", subject):
                    raise NotFound
        with pytest.raises(TooManyRequests):
            async with limiter.guessing("t", limits, "10.0.0.9", "ABCDEF"):
                pass

    async def test_many_guesses_at_once(self, limiter: Limiter, eventually: Any) -> None:
        """No more are looked at than the limit has, though none has ended when the last begins."""
        limits = RateLimits(wrong_guesses_per_client=5)
        looked, everyone = 0, asyncio.Event()

        async def guess() -> None:
            nonlocal looked
            async with limiter.guessing("t", limits, "10.0.0.1", secrets.token_hex(3)):
                looked += 1
                await everyone.wait()
                raise NotFound

        guesses = [asyncio.create_task(guess()) for _ in range(50)]
        await eventually(lambda: sum(one.done() for one in guesses) == 45)
        everyone.set()
        found = await asyncio.gather(*guesses, return_exceptions=True)
        assert (5, 45) == (looked, sum(isinstance(one, TooManyRequests) for one in found))
