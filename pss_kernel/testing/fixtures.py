"""The pytest fixtures of the test kit."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.observability import configure_logging
from pss_kernel.registry import Registry
from pss_kernel.testing._kit import LOOPBACK, TestKit

__all__ = ["deliver", "http", "installation", "kit", "make_tenant", "run_job", "unit_of_work"]


# Every database of a test run is thrown away, those of the processes that it starts too.
os.environ.setdefault("PSS_EMBEDDED_FSYNC", "off")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installation() -> AsyncIterator[Installation]:
    """One embedded installation for the whole run of this process, thrown away at its end."""
    with tempfile.TemporaryDirectory(prefix="pss-test-") as folder:
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - root's folder, for the unprivileged server to pass
        config = Config(
            data_dir=Path(folder),
            log_level="warning",
            pool_size=24,
            outgoing_allow=LOOPBACK,
            rate_limits="off",
        )
        configure_logging(config)
        async with open_installation(config, Registry.discover()) as opened:
            yield opened


@pytest.fixture
def kit(installation: Installation) -> TestKit:
    """Everything below in one object."""
    return TestKit(installation)


@pytest.fixture
def make_tenant(kit: TestKit) -> Any:
    """A fresh tenant: ``await make_tenant(plugins=[…], settings={…})``."""
    return kit.make_tenant


@pytest.fixture
def unit_of_work(kit: TestKit) -> Any:
    """A bound transaction: ``async with unit_of_work(tenant) as uow:``."""
    return kit.unit_of_work


@pytest_asyncio.fixture(loop_scope="session")
async def http(kit: TestKit) -> AsyncIterator[Any]:
    """A client: ``await http(tenant, scopes=["*"])``; without scopes, a guest."""
    async with AsyncExitStack() as stack:

        async def client(tenant: Any, scopes: list[str] | None = None) -> Any:
            return await stack.enter_async_context(kit.http(tenant, scopes))

        yield client


@pytest.fixture
def deliver(kit: TestKit) -> Any:
    """Event handlers run until nothing waits: ``await deliver(tenant)``."""
    return kit.deliver


@pytest.fixture
def run_job(kit: TestKit) -> Any:
    """A job runs now: ``await run_job(tenant, "plugin", "job")``."""
    return kit.run_job
