"""What the fixtures are made of, usable without pytest as well."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import text

from pss_kernel.auth import Actor, create_api_key
from pss_kernel.installation import Installation
from pss_kernel.messaging._deliver import deliver
from pss_kernel.messaging._envelope import Envelope
from pss_kernel.messaging._jobs import run_job
from pss_kernel.messaging._waiting import give_back
from pss_kernel.persistence import UnitOfWork
from pss_kernel.tenancy import Tenant
from pss_kernel.tenancy._enablement import enable_plugins
from pss_kernel.tenancy._file import load_tenant
from pss_kernel.tenancy._plan import apply_tenant
from pss_kernel.tenancy._provision import create_tenant

__all__ = ["LOOPBACK", "TestKit"]

LOOPBACK = "127.0.0.0/8,::1/128,localhost"
"""For ``outgoing_allow``: what plugins call in tests runs on this machine."""


_SYSTEM = Actor("system", "test")
_TAKE = text("""
DELETE FROM pss.outbox WHERE id IN (
  SELECT id FROM pss.outbox
  WHERE (convert_from(payload, 'UTF8')::jsonb ->> 'tenant') = :tenant
  ORDER BY id LIMIT 100)
RETURNING id, payload
""")
_ROUNDS = 20


class TestKit:
    """Tenants, units of work, HTTP clients and event delivery for tests."""

    __test__ = False  # for pytest: not a class of tests

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self._numbers = itertools.count(1)
        self._run = secrets.token_hex(3)

    async def make_tenant(
        self,
        *,
        plugins: list[str] | None = None,
        settings: dict[str, dict[str, Any]] | None = None,
        currency: str = "EUR",
        time_zone: str = "Europe/Vienna",
        code: str | None = None,
        strict_plugins: bool = False,
    ) -> Tenant:
        """A fresh tenant with these plugins (and what they require) enabled."""
        code = code or f"x{self._run}_{next(self._numbers)}"
        wanted: dict[str, dict[str, Any] | None] = {name: {} for name in plugins or []}
        wanted |= settings or {}
        await create_tenant(
            self.installation,
            code,
            name=f"Test {code}",
            currency=currency,
            time_zone=time_zone,
            strict_plugins=strict_plugins,
        )
        await enable_plugins(self.installation, code, wanted)
        return self.installation.directory.by_code(code)

    async def apply(self, folder: Path, *, code: str | None = None) -> Tenant:
        """A tenant from its folder, with all its files; ``code`` overrides the file's own."""
        definition = load_tenant(folder, self.installation.registry)
        if code is not None:
            definition = msgspec.structs.replace(definition, code=code, domains=[])
        await apply_tenant(self.installation, definition)
        return self.installation.directory.by_code(definition.code)

    def unit_of_work(
        self, tenant: Tenant, actor: Actor = _SYSTEM
    ) -> AbstractAsyncContextManager[UnitOfWork]:
        """A transaction bound to the tenant; commits when the block ends."""
        return self.installation.unit_of_work(tenant, actor)

    @asynccontextmanager
    async def http(
        self, tenant: Tenant, scopes: list[str] | None = None
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client on the real application, as a guest or with a key of these scopes."""
        # The kernel does not need the application; a test of routes does.
        from pss_api import create_app  # noqa: PLC0415

        headers = {"PSS-Tenant": tenant.code}
        if scopes is not None:
            headers["Authorization"] = f"Bearer {await self.api_key(tenant, scopes)}"
        # Litestar and httpx describe the same ASGI in types of their own.
        application: Any = create_app(self.installation)
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://test.invalid", headers=headers
        ) as client:
            yield client

    async def api_key(self, tenant: Tenant, scopes: list[str]) -> str:
        """A new API key of the tenant."""
        async with self.installation.cell(tenant).owner() as owner:
            key = await create_api_key(
                owner, tenant=tenant.code, name="test", scopes=scopes, mode=tenant.mode
            )
        await self.installation.directory.refresh()
        return key

    async def deliver(self, tenant: Tenant, *, times: int = 1) -> int:
        """Give waiting events to their handlers until none is left; how many there were.

        ``times`` delivers each one again and again, as a broker may.
        """
        total = 0
        for _ in range(_ROUNDS):
            await give_back(self.installation, tenant.cell)
            async with self.installation.cell(tenant).relay_engine.begin() as connection:
                rows = (await connection.execute(_TAKE, {"tenant": tenant.code})).all()
            if not rows:
                return total
            for row in sorted(rows, key=lambda one: one.id):
                envelope = msgspec.json.decode(row.payload, type=Envelope)
                for _ in range(times):
                    await deliver(self.installation, envelope)
                total += 1
        raise AssertionError(f"Events of {tenant.code} keep causing events.")

    async def run_job(self, tenant: Tenant, plugin: str, name: str) -> None:
        """Run a recurring job now."""
        jobs = self.installation.registry[plugin].jobs
        (job,) = [one for one in jobs if one.name == name]
        current = self.installation.directory.by_code(tenant.code)
        async with asyncio.timeout(timedelta(minutes=1).total_seconds()):
            await run_job(self.installation, current, job)
