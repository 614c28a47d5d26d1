"""What secrets and personal data cost: microseconds, beside AES-GCM by itself in the same run.

The limit of a secret is one ``AESGCM.decrypt`` of the same bytes. The limit of a person's fields in
a unit of work is the same unit of work without them: what remains is the round trip for the key.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from figure import Figure

from pss_kernel import UnitOfWork, new_id
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.registry import Registry, _load
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import TestKit

__all__ = ["figures"]

# The plugin with secrets that the kernel's tests have.
sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "installed"))

_TIMES = int(os.environ.get("PSS_BENCH_KEYS", "20000"))
_TRANSACTIONS = 400
_PEOPLE = 4
_TOKEN = "sk_live_" + "x" * 32
_FACTS = {
    "born_on": "1980-05-17",
    "email": "ada.keller@example.org",
    "phone": "+43 1 2345678",
    "documents": [{"type": "passport", "number": "P1234567", "issuing_country": "AT"}],
}


def figures() -> list[Figure]:
    """All figures of this module, on a throwaway installation."""
    with tempfile.TemporaryDirectory(prefix="pss-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # for the database server's own user to pass through
        return asyncio.run(_measured(folder))


async def _measured(folder: Path) -> list[Figure]:
    registry = Registry([_load(EntryPoint("guarded", "pss_guarded:plugin", "pss.plugins"))])
    async with open_installation(Config(data_dir=folder, log_level="error"), registry) as opened:
        tenant = await TestKit(opened).make_tenant(settings={"guarded": {"token": _TOKEN}})
        return [*_secret(opened, tenant), *await _people(opened, tenant)]


def _secret(installation: Installation, tenant: Tenant) -> list[Figure]:
    from pss_guarded import Settings  # noqa: PLC0415 - to be found once this module has run

    token = installation.settings_of(tenant, Settings).token
    assert token is not None
    key, nonce, where = AESGCM(os.urandom(32)), os.urandom(12), os.urandom(60)
    sealed = key.encrypt(nonce, _TOKEN.encode(), where)
    raw = _micros(lambda: key.decrypt(nonce, sealed, where))
    opened = _micros(token.reveal)
    return [Figure("secret_open_us", opened, "us", raw, "AESGCM.decrypt")]


async def _people(installation: Installation, tenant: Tenant) -> list[Figure]:
    def fresh() -> dict[str, dict[str, Any]]:
        return {new_id("pax"): {"facts": _FACTS} for _ in range(_PEOPLE)}

    async with installation.unit_of_work(tenant) as uow:
        known = await uow.seal(fresh())
    key, nonce, where = AESGCM(os.urandom(32)), os.urandom(12), os.urandom(60)
    facts = msgspec.json.encode(_FACTS)
    ciphertext = key.encrypt(nonce, facts, where)
    raw_seal = _micros(lambda: key.encrypt(nonce, facts, where)) * _PEOPLE
    raw_open = _micros(lambda: key.decrypt(nonce, ciphertext, where)) * _PEOPLE

    async def nothing(uow: UnitOfWork) -> None:
        await uow.hot("SELECT 1")

    async def write(uow: UnitOfWork) -> None:
        await uow.hot("INSERT INTO visitor (visitor_id, name) VALUES ($1, 'x')", new_id("vis"))

    async def seal(uow: UnitOfWork) -> None:
        await write(uow)
        await uow.seal(fresh())

    async def unseal(uow: UnitOfWork) -> None:
        await uow.hot("SELECT 1")
        await uow.unseal(known)

    empty = await _transactions(installation, tenant, nothing)
    writing = await _transactions(installation, tenant, write)
    sealing = await _transactions(installation, tenant, seal)
    opening = await _transactions(installation, tenant, unseal)
    bare = "the same transaction without"
    return [
        Figure("people_seal_transaction_us", sealing, "us", writing, bare),
        Figure("people_unseal_transaction_us", opening, "us", empty, bare),
        Figure("people_seal_us", sealing - writing, "us", raw_seal, f"{_PEOPLE} x AESGCM.encrypt"),
        Figure("people_unseal_us", opening - empty, "us", raw_open, f"{_PEOPLE} x AESGCM.decrypt"),
    ]


def _micros(work: Callable[[], object]) -> float:
    """The median of several runs, for one call."""
    runs = []
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(_TIMES // 5):
            work()
        runs.append((time.perf_counter() - begun) / (_TIMES // 5) * 1e6)
    return statistics.median(runs)


async def _transactions(
    installation: Installation, tenant: Tenant, work: Callable[[UnitOfWork], Awaitable[None]]
) -> float:
    """The median of unit of work after unit of work, in microseconds."""
    now = installation.directory.by_code(tenant.code)
    taken = []
    for _ in range(_TRANSACTIONS):
        begun = time.perf_counter()
        async with installation.unit_of_work(now) as uow:
            await work(uow)
        taken.append((time.perf_counter() - begun) * 1e6)
    return statistics.median(taken)


if __name__ == "__main__":
    for one in figures():
        sys.stdout.write(
            f"{one.name:30}{one.value:10.1f} {one.unit}  limit {one.limit or 0:10.1f}"
            f"  ratio {one.ratio or 0:6.2f}  {one.limit_name}\n"
        )
