"""What it costs to know who asks, whether they may, how often, and to answer a repetition.

A request through the whole application, in one process and without a socket, beside the bare
handler: the same answer from Litestar alone. Microseconds of processor time where everything
happens in this process; of the clock where a database or Redis is asked.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from figure import Figure, show
from litestar import Litestar, get

from pss_api import create_app
from pss_kernel import Permission, Plugin, UnitOfWork, Work
from pss_kernel.auth import Actor, rights_of
from pss_kernel.config import IDENTITY, Config
from pss_kernel.identity.accounts.store import account_of
from pss_kernel.identity.sessions.opening import open_session
from pss_kernel.ids import new_id
from pss_kernel.installation import Installation, open_installation
from pss_kernel.limits import RateLimits
from pss_kernel.limits._tenant import limits_of
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit

__all__ = ["figures"]

_CALLS = int(os.environ.get("PSS_BENCH_CALLS", "3000"))
_WRITES = _CALLS // 6
_LIMITS = [name for name in RateLimits.__struct_fields__ if name.endswith("_per_minute")]
_BEST_OF = 3
_CLOCK = time.perf_counter


class Told(msgspec.Struct, frozen=True):
    """What every handler here answers."""

    what: str


plugin = Plugin(
    "bench",
    version="1.0",
    package="pss_kernel.testing",  # has no tables
    permissions=[
        Permission("bench:look", "Look", guest=True),
        Permission("bench:read", "Read", level="user"),
        Permission("bench:write", "Write", level="agent"),
    ],
)


@plugin.get("/bench/open", permission="bench:look")
async def show_open(work: Work) -> Told:
    """Answer a guest without asking the database."""
    return Told("open")


@plugin.get("/bench/kept", permission="bench:read")
async def show_kept(work: Work) -> Told:
    """Answer who has the permission, without asking the database."""
    return Told("kept")


@plugin.post("/bench/written", permission="bench:write")
async def write(uow: UnitOfWork) -> Told:
    """Answer from a unit of work."""
    return Told("written")


_ACCOUNT = """
INSERT INTO account (account_id, email, email_key, name, state, roles, created_by)
VALUES ($1, 'agent@example.org', 'agent@example.org', 'Agent', 'active', '{agent,desk}', 'system')
"""
_ROLE = """
INSERT INTO pss.role (tenant, name, grants) VALUES ($1, 'desk', '{"permissions": ["bench:read"]}')
"""
_REDIS = os.environ.get("PSS_TEST_REDIS_URL", "redis://127.0.0.1:6379/0")


def figures() -> list[Figure]:
    """All of them; about half a minute."""
    with tempfile.TemporaryDirectory(prefix="pss-bench-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Figure]:
    @get("/bench")
    async def bare() -> Told:
        return Told("bare")

    async with AsyncExitStack() as stack:

        async def opened(**facts: Any) -> Installation:
            config = Config(data_dir=folder, log_level="critical", **facts)
            found = await stack.enter_async_context(open_installation(config, Registry([plugin])))
            await found.directory.refresh()
            return found

        free = await opened(rate_limits="off")
        limited = await opened(rate_limits="on")
        shared = await opened(rate_limits="on", redis_url=_REDIS)
        tenant = await TestKit(free).make_tenant(
            code="bench",
            plugins=["bench"],
            settings={IDENTITY: {"limits": dict.fromkeys(_LIMITS, 1_000_000)}},
        )
        for one in (limited, shared):
            await one.directory.refresh()
        key = await TestKit(free).api_key(tenant, ["bench:*"])
        token = await _token(free, tenant)
        for one in (limited, shared):
            await one.directory.refresh()
        plain = Litestar([bare], openapi_config=None, logging_config=None)
        limit = await _spent(_asking(plain, "/bench"), _CALLS)
        requests = {
            "guest_us": (free, "/v1/bench/open", None),
            "api_key_us": (free, "/v1/bench/kept", key),
            "access_token_us": (free, "/v1/bench/kept", token),
            "api_key_limited_us": (limited, "/v1/bench/kept", key),
        }
        found = [
            Figure(
                name,
                await _spent(_asking(create_app(one), path, bearer), _CALLS),
                "us",
                limit,
                "the bare handler",
            )
            for name, (one, path, bearer) in requests.items()
        ]
        found += await _decisions(free, limited, shared, tenant, token)
        return [*found, *await _writes(free, key)]


async def _token(installation: Installation, tenant: Tenant) -> str:
    """An access token of somebody with a built-in role and one of the tenant's own."""
    account_id = new_id("acc")
    async with installation.cell(tenant).owner() as owner:
        await owner.execute(_ROLE, tenant.code)
    async with installation.unit_of_work(tenant, plugin=IDENTITY) as uow:
        await uow.hot(_ACCOUNT, account_id)
        account = await account_of(uow, account_id)
        signed_in = await open_session(uow, account, {"pwd", "otp"})
    await installation.directory.refresh()
    return signed_in.access_token


async def _decisions(
    free: Installation,
    limited: Installation,
    shared: Installation,
    tenant: Tenant,
    token: str,
) -> list[Figure]:
    """Each step alone."""
    tenant = free.directory.by_code(tenant.code)
    actor = Actor("key", "bench", frozenset({"bench:*"}), address="192.0.2.1")
    roles = ("agent", "desk")

    async def read_again() -> None:
        await free.tokens.read(token)

    async def read_first() -> None:
        free.tokens._verified.clear()
        await free.tokens.read(token)

    async def rights() -> None:
        rights_of(free.registry, tenant, roles).scopes  # noqa: B018 - what is measured

    async def taken() -> None:
        await limited.limiter.admit(tenant.code, limits_of(limited, tenant), actor, "read")

    async def taken_together() -> None:
        await shared.limiter.admit(tenant.code, limits_of(shared, tenant), actor, "read")

    return [
        Figure("token_first_seen_us", await _spent(read_first, _CALLS), "us"),
        Figure("token_seen_before_us", await _spent(read_again, _CALLS), "us"),
        Figure("rights_of_roles_us", await _spent(rights, _CALLS), "us"),
        Figure("limit_in_process_us", await _spent(taken, _CALLS), "us"),
        Figure(
            "limit_in_redis_us",
            await _spent(taken_together, _WRITES, clock=_CLOCK),
            "us",
        ),
    ]


async def _writes(installation: Installation, key: str) -> list[Figure]:
    """A POST with an Idempotency-Key beside the same without, by the clock."""
    app = create_app(installation)
    path = "/v1/bench/written"
    plain = _asking(app, path, key, method="POST")

    async def kept() -> None:
        await _asking(app, path, key, method="POST", idempotency=str(uuid4()))()

    again = _asking(app, path, key, method="POST", idempotency=str(uuid4()))
    limit = await _spent(plain, _WRITES, clock=_CLOCK)
    return [
        Figure(name, await _spent(call, _WRITES, clock=_CLOCK), "us", limit, beside)
        for name, call in (("idempotent_us", kept), ("idempotent_repeated_us", again))
        for beside in ("the same POST without a key",)
    ]


def _asking(
    app: Any,
    path: str,
    bearer: str | None = None,
    *,
    method: str = "GET",
    idempotency: str | None = None,
) -> Callable[[], Awaitable[None]]:
    """One request, straight into the application."""
    headers = [(b"host", b"bench.localhost"), (b"accept", b"*/*")]
    if bearer is not None:
        headers.append((b"authorization", f"Bearer {bearer}".encode()))
    if idempotency is not None:
        headers.append((b"idempotency-key", idempotency.encode()))
    wanted = {200, 201}

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def ask() -> None:
        status = 0

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": list(headers),
            "client": ("192.0.2.1", 5000),
            "server": ("bench.localhost", 80),
            "state": {},
        }
        await app(scope, receive, send)
        assert status in wanted, status

    return ask


async def _spent(
    call: Callable[[], Awaitable[Any]],
    times: int,
    *,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Microseconds of one call, the best of several runs."""
    best = float("inf")
    for _ in range(_BEST_OF):
        began = clock()
        for _ in range(times):
            await call()
        best = min(best, clock() - began)
    return best / times * 1e6


if __name__ == "__main__":
    show(figures())
