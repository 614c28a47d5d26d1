"""What a database role for each plugin costs: a hook that asks the database, with and without."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
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

_IN_ONE = 20  # calls in one unit of work
_ROUNDS = 60
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
            return [
                *await _costs(installation, lax, strict),
                *await _trips(installation, lax, strict),
            ]


async def _costs(installation: Installation, lax: Tenant, strict: Tenant) -> list[Figure]:
    roles = installation.database.roles
    switches = [
        f"SELECT set_config('role', '{roles.plugin(strict.code, one)}', true)"
        for one in ("echo", "notes")
    ]
    begin = lax.binding_as(lax.role)
    without_reset = begin[begin.rindex("BEGIN") :]
    async with installation.database.owner() as owner:
        raw, raw_switching, called, called_strict, idle = await _fastest(
            [
                partial(_transaction, owner, begin, []),
                partial(_transaction, owner, begin, switches),
                partial(_hook_calls, installation, lax),
                partial(_hook_calls, installation, strict),
                partial(_hook_calls, installation, strict, asks=False),
            ],
            each=_IN_ONE,
        )
        plain, reset = await _fastest(
            [partial(_one, owner, one) for one in (without_reset, begin)], each=_IN_ONE
        )
    both = "statement and two changes of role on asyncpg"
    return [
        Figure("transaction, session reset before", reset, "µs", plain, "without resetting"),
        Figure("hook call, one statement", called, "µs", raw, "the statement on asyncpg"),
        Figure("the same with strict_plugins", called_strict, "µs", raw_switching, both),
        Figure("hook call, no statement, strict_plugins", idle, "µs"),
    ]


async def _trips(installation: Installation, lax: Tenant, strict: Tenant) -> list[Figure]:
    name = "round trips of a hook call and its caller's next statement"
    return [
        Figure(name, await _round_trips(installation, lax), ""),
        Figure("the same with strict_plugins", await _round_trips(installation, strict), ""),
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


async def _fastest(runs: Sequence[Callable[[], Awaitable[None]]], *, each: int = 1) -> list[float]:
    """Microseconds of each at its best (the other times were disturbed), by turns."""
    best = [float("inf")] * len(runs)
    for _ in range(_ROUNDS):
        for place, run in enumerate(runs):
            begun = time.perf_counter()
            await run()
            best[place] = min(best[place], time.perf_counter() - begun)
    return [one / each * 1e6 for one in best]


async def _hook_calls(installation: Installation, tenant: Tenant, *, asks: bool = True) -> None:
    async with installation.unit_of_work(tenant, plugin="notes") as uow:
        await _calls(uow, _IN_ONE, asks=asks)


async def _round_trips(installation: Installation, tenant: Tenant) -> float:
    async with installation.unit_of_work(tenant, plugin="notes") as uow:
        await _calls(uow, 1, asks=True)
    with recorded(installation) as statements:
        async with installation.unit_of_work(tenant, plugin="notes") as uow:
            before = len(statements)
            await _calls(uow, 1, asks=True)
            return float(len(statements) - before)


async def _transaction(owner: asyncpg.Connection, begin: str, switches: list[str]) -> None:
    await owner.execute(begin)
    for _ in range(_IN_ONE):
        for place, value in enumerate(("a", "b")):
            if switches:
                await owner.execute(switches[place])
            rows: list[Any] = await owner.fetch(_ASK, value)
            assert value == rows[0][0]
    await owner.execute("COMMIT")


async def _one(owner: asyncpg.Connection, begin: str) -> None:
    """Transactions of one statement."""
    for _ in range(_IN_ONE):
        await owner.execute(begin)
        await owner.fetch(_ASK, "a")
        await owner.execute("COMMIT")


if __name__ == "__main__":
    show(figures())
