"""What a database role for each plugin costs: a hook that asks the database, with and without."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import asyncpg
from figure import Figure, show
from statements import recorded

sys.path.insert(0, str(Path(__file__).parents[1] / "kernel" / "installed"))

from pss_kernel import Tenant, UnitOfWork
from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.registry import Registry, _load
from pss_kernel.testing import TestKit

_CALLS = 2000
_IN_ONE = 20  # calls in one unit of work
_ROUNDS = 5  # the best one counts: the others were disturbed
_ASK = "SELECT $1::text"


def figures() -> list[Figure]:
    """Round trips and microseconds of a hook call, beside the same statements without us."""
    return asyncio.run(_measured())


async def _measured() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="pss-strict-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        names = ("notes", "echo")
        registry = Registry(
            _load(EntryPoint(one, f"pss_{one}:plugin", "pss.plugins")) for one in names
        )
        async with open_installation(Config(data_dir=Path(name)), registry) as installation:
            kit = TestKit(installation)
            lax, strict = [
                await kit.make_tenant(plugins=["echo"], strict_plugins=one) for one in (False, True)
            ]
            raw, raw_switching = await _raw(installation, lax, strict)
            plain, bound = await _beginning(installation, lax)
            return [
                Figure(
                    "transaction bound to a tenant, with what its session had set reset",
                    bound,
                    "µs",
                    plain,
                    "the same bound without resetting",
                ),
                Figure(
                    "hook call that asks the database once",
                    await _hook_call(installation, lax),
                    "µs",
                    raw,
                    "the statement on asyncpg",
                ),
                Figure(
                    "the same with strict_plugins",
                    await _hook_call(installation, strict),
                    "µs",
                    raw_switching,
                    "statement and two changes of role on asyncpg",
                ),
                Figure(
                    "round trips of such a call and its caller's next statement",
                    await _round_trips(installation, lax),
                    "",
                ),
                Figure(
                    "the same with strict_plugins", await _round_trips(installation, strict), ""
                ),
                Figure(
                    "hook call that asks the database nothing, strict_plugins",
                    await _hook_call(installation, strict, asks=False),
                    "µs",
                ),
            ]


async def _calls(uow: UnitOfWork, number: int, *, asks: bool) -> None:
    """A hook's implementation by another plugin, and then the caller's own statement."""
    from pss_notes.contracts import title_of  # noqa: PLC0415 - its folder was added above
    from pss_notes.scripted import scripts  # noqa: PLC0415

    async def title(inner: UnitOfWork, _body: str) -> str:
        if asks:
            await inner.hot(_ASK, "a")
        return "title"

    scripts["echo title"] = title
    try:
        for _ in range(number):
            await uow.call(title_of, body="b")
            if asks:
                await uow.hot(_ASK, "b")
    finally:
        scripts.clear()


async def _hook_call(installation: Installation, tenant: Tenant, *, asks: bool = True) -> float:
    """Microseconds of a call with the statement that follows it."""
    best = float("inf")
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        for _ in range(_CALLS // _IN_ONE // _ROUNDS):
            async with installation.unit_of_work(tenant, plugin="notes") as uow:
                await _calls(uow, _IN_ONE, asks=asks)
        best = min(best, time.perf_counter() - begun)
    return best / (_CALLS // _IN_ONE // _ROUNDS * _IN_ONE) * 1e6


async def _round_trips(installation: Installation, tenant: Tenant) -> float:
    async with installation.unit_of_work(tenant, plugin="notes") as uow:
        await _calls(uow, 1, asks=True)
    with recorded(installation) as statements:
        async with installation.unit_of_work(tenant, plugin="notes") as uow:
            before = len(statements)
            await _calls(uow, 1, asks=True)
            return float(len(statements) - before)


async def _raw(installation: Installation, lax: Tenant, strict: Tenant) -> tuple[float, float]:
    """The same statements on a connection of the driver's, without and with changes of role."""
    roles = installation.database.roles
    changes = [
        f"SELECT set_config('role', '{roles.plugin(strict.code, one)}', true)"
        for one in ("echo", "notes")
    ]
    found: list[float] = []
    async with installation.database.owner() as owner:
        for tenant, switches in ((lax, []), (strict, changes)):
            best = float("inf")
            for _ in range(_ROUNDS):
                begun = time.perf_counter()
                for _ in range(_CALLS // _IN_ONE // _ROUNDS):
                    await _transaction(owner, tenant.binding_as(tenant.role), switches)
                best = min(best, time.perf_counter() - begun)
            found.append(best / (_CALLS // _IN_ONE // _ROUNDS * _IN_ONE) * 1e6)
    return found[0], found[1]


async def _beginning(installation: Installation, tenant: Tenant) -> tuple[float, float]:
    """A transaction of one statement, bound without and with resetting the session before."""
    with_reset = tenant.binding_as(tenant.role)
    found: list[float] = []
    async with installation.database.owner() as owner:
        for begin in (with_reset[with_reset.rindex("BEGIN") :], with_reset):
            best = float("inf")
            for _ in range(_ROUNDS):
                begun = time.perf_counter()
                for _ in range(_CALLS // _ROUNDS):
                    await owner.execute(begin)
                    await owner.fetch(_ASK, "a")
                    await owner.execute("COMMIT")
                best = min(best, time.perf_counter() - begun)
            found.append(best / (_CALLS // _ROUNDS) * 1e6)
    return found[0], found[1]


async def _transaction(owner: asyncpg.Connection, begin: str, switches: list[str]) -> None:
    await owner.execute(begin)
    for _ in range(_IN_ONE):
        for place, value in enumerate(("a", "b")):
            if switches:
                await owner.execute(switches[place])
            rows: list[Any] = await owner.fetch(_ASK, value)
            assert value == rows[0][0]
    await owner.execute("COMMIT")


if __name__ == "__main__":
    show(figures())
