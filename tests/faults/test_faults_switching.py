"""A plugin switched on and off, and its settings changed, while twenty airlines sell."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from pss_kernel.installation import Installation
from pss_kernel.tenancy._directory import SEEN_EVERYWHERE_SECONDS
from pss_kernel.tenancy._enablement import disable_plugin, enable_plugins
from pss_kernel.testing import TestKit
from pss_outside.processes import bare_server, until, worker
from pss_outside.rules import broken_rules, rules_are_kept
from pss_outside.sellers import Refusal, Seller

pytestmark = [pytest.mark.xdist_group("faults"), pytest.mark.timeout(300)]

_HERON = Path(__file__).parents[2] / "docs" / "examples" / "heron"
_TENANTS = 20
_SWITCHED = 4
_ROUNDS = 3
_MOST_JOURNEYS = 14
_SLACK_SECONDS = 14.0  # for a machine that does other things; the delays are told
_MARKETS = (("LIS", "OPO"), ("LIS", "FAO"))


@dataclass
class Switched:
    """What happened to the plugin at one airline: when it served, by the database's clock."""

    tenant: str
    served: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    delays: dict[str, list[float]] = field(default_factory=dict)


def _tell(sentence: str) -> None:
    """A figure, for those who run this with ``-rP``."""
    sys.stdout.write(f"{sentence}\n")


def _menu(name: str) -> dict[str, Any]:
    return {"menu": [{"code": "VGML", "name": name}], "closes_hours": 0}


def _folder(into: Path, url: str) -> Path:
    """Heron with meals, few days of flights, seats enough, and the card network of these tests."""
    folder = into / "heron"
    shutil.copytree(_HERON, folder)
    file = folder / "tenant.toml"
    text = file.read_text()
    for before, after in (
        ("horizon_days = 30", "horizon_days = 7"),
        ("authorised = [100, 70, 40]", "authorised = [200, 200, 200]"),
        ("[plugins.payment_sandbox]", f'[plugins.payment_sandbox]\nurl = "{url}"'),
        ('domains = ["heron.localhost"]', "domains = []"),
    ):
        assert 1 == text.count(before), before
        text = text.replace(before, after)
    text += '\n[plugins.meals]\nmenu = [{ code = "VGML", name = "First" }]\ncloses_hours = 0\n'
    file.write_text(text)
    return folder


@pytest_asyncio.fixture(loop_scope="session")
async def airlines(installation: Installation, cards: Any, tmp_path: Path) -> list[str]:
    """Twenty airlines of the same files."""
    kit = TestKit(installation)
    began = time.monotonic()
    folder = _folder(tmp_path, cards.url)
    codes = [f"sw{number:02}" for number in range(_TENANTS)]
    for code in codes:
        await kit.apply(folder, code=code)
    _tell(f"{_TENANTS} tenants applied in {time.monotonic() - began:.1f} s")
    return codes


@pytest_asyncio.fixture(loop_scope="session")
async def servers(
    installation: Installation, folder: Path, airlines: list[str]
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Two server processes and a worker, on one database."""
    environment = {"PSS_POOL_SIZE": "8", "PSS_LOG_LEVEL": "warning"}
    data_dir = installation.config.data_dir
    async with AsyncExitStack() as stack:
        stack.enter_context(worker(data_dir, folder / "switching-worker.log", environment))
        clients = []
        for number in (1, 2):
            log = folder / f"switching-{number}.log"
            address = stack.enter_context(bare_server(data_dir, log, environment))
            client = httpx.AsyncClient(base_url=address, timeout=30)
            clients.append(await stack.enter_async_context(client))
        yield clients


class Operator:
    """Switches the plugin at one airline and waits until each server shows it."""

    def __init__(
        self, installation: Installation, servers: list[httpx.AsyncClient], code: str
    ) -> None:
        self._installation = installation
        self._servers = servers
        self._code = code
        self.switched = Switched(code)

    async def switch(self, rounds: int) -> None:
        """Off, on with another menu, and the menu changed; so many times."""
        began = await self._since()
        for number in range(rounds):
            await self._seen("disable", self._off(), self._is_off)
            ended = await self._since()
            self.switched.served.append((began, ended))
            for kind in ("enable", "settings"):
                name = f"{kind} {number}"
                await self._seen(kind, self._on(name), lambda c, n=name: self._shows(c, n))
                if kind == "enable":
                    began = await self._since()
        self.switched.served.append((began, None))

    async def _off(self) -> None:
        await disable_plugin(self._installation, self._code, "meals")

    async def _on(self, name: str) -> None:
        await enable_plugins(self._installation, self._code, {"meals": _menu(name)})

    async def _seen(
        self,
        kind: str,
        change: Awaitable[None],
        shown: Callable[[httpx.AsyncClient], Awaitable[bool]],
    ) -> None:
        """Make the change and measure how long each server takes to show it after its commit."""
        changing = asyncio.ensure_future(change)
        if kind == "disable":  # committed long before it is done: it waits for who is inside
            await until(lambda: changing.done() or not self._serves(), seconds=30)
        else:
            await changing
        began = time.monotonic()

        async def delay(client: httpx.AsyncClient) -> float:
            await until(lambda: shown(client), seconds=SEEN_EVERYWHERE_SECONDS + _SLACK_SECONDS)
            return time.monotonic() - began

        delays = await asyncio.gather(*(delay(one) for one in self._servers))
        await changing
        self.switched.delays.setdefault(kind, []).extend(delays)

    def _serves(self) -> bool:
        return self._installation.directory.serves(self._code, "meals")

    async def _is_off(self, client: httpx.AsyncClient) -> bool:
        answer = await self._menu(client)
        return (404, "plugin-not-enabled") == (answer.status_code, answer.json().get("code"))

    async def _shows(self, client: httpx.AsyncClient, name: str) -> bool:
        answer = await self._menu(client)
        return answer.is_success and [name] == [one["name"] for one in answer.json()["data"]]

    async def _menu(self, client: httpx.AsyncClient) -> httpx.Response:
        answer = await client.get("/v1/meals", headers={"PSS-Tenant": self._code})
        assert answer.status_code in {200, 404}, answer.text
        return answer

    async def _since(self) -> datetime:
        async with self._installation.database.owner() as owner:
            moment: datetime = await owner.fetchval(
                "SELECT since FROM pss.tenant_plugin WHERE tenant = $1 AND plugin = 'meals'",
                self._code,
            )
        return moment


async def test_switched_under_load(
    installation: Installation,
    airlines: list[str],
    servers: list[httpx.AsyncClient],
) -> None:
    """No request fails but those for the plugin while it is off; no event is lost or doubled."""
    operators = [Operator(installation, servers, code) for code in airlines[:_SWITCHED]]
    sellers = [
        Seller(code, _MARKETS[number % 2], servers[:: 1 if number % 2 else -1])
        for number, code in enumerate(airlines)
    ]
    stop = asyncio.Event()
    selling = [asyncio.create_task(one.sell_until(stop, most=_MOST_JOURNEYS)) for one in sellers]
    try:
        await asyncio.gather(*(one.switch(_ROUNDS) for one in operators))
    finally:
        stop.set()
        await asyncio.gather(*selling)
    for kind in ("disable", "enable", "settings"):
        delays = [delay for one in operators for delay in one.switched.delays[kind]]
        _tell(f"{kind}: seen by each server within {max(delays):.3f} s ({len(delays)} times)")
    done = sum((one.done for one in sellers), Counter())
    _tell(f"{dict(done)} while that was so")

    off = [one for seller in sellers for one in seller.refusals if not _documented(one)]
    assert [] == off
    refused_at = {one.tenant for seller in sellers for one in seller.refusals}
    assert refused_at <= set(airlines[:_SWITCHED])
    assert {True} == {one.done["requests"] > 0 for one in sellers}
    assert (True, True) == (done["paid"] > 0, done["cancelled"] > 0)

    await _all_is_delivered(installation, airlines)
    switched = {one.switched.tenant: one.switched.served for one in operators}
    assert {} == await _lost_events(installation, airlines, switched)
    for code in airlines:
        await rules_are_kept(lambda code=code: _broken(installation, code))


def _documented(one: Refusal) -> bool:
    """What callers are told about a plugin that is off: 404 by its routes, 422 by its hook."""
    if one.request.startswith("GET /meals"):
        return (404, ("plugin-not-enabled",)) == (one.status, one.codes)
    if one.request == "POST /orders/services":
        return (422, ("invalid", "not-offered")) == (one.status, one.codes)
    return False


async def _all_is_delivered(installation: Installation, codes: list[str]) -> None:
    async def settled() -> bool:
        async with installation.database.owner() as owner:
            return bool(
                await owner.fetchval(
                    "SELECT NOT EXISTS (SELECT FROM pss.outbox WHERE "
                    "convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = ANY($1)) "
                    "AND NOT EXISTS (SELECT FROM pss.event_waiting WHERE tenant = ANY($1))",
                    codes,
                )
            )

    await until(settled, seconds=60)
    async with installation.database.owner() as owner:
        dead = await owner.fetch(
            "SELECT convert_from(payload, 'UTF8') FROM pss.outbox_dead "
            "WHERE convert_from(payload, 'UTF8')::jsonb ->> 'tenant' = ANY($1)",
            codes,
        )
    assert [] == dead


async def _lost_events(
    installation: Installation,
    codes: list[str],
    switched: dict[str, list[tuple[datetime, datetime | None]]],
) -> dict[tuple[str, str], list[Any]]:
    """Events that a consumer should have had, and for which it has no row in the inbox.

    A second row can't be there (it is the inbox's key), and effects are in its transaction.
    """
    lost: dict[tuple[str, str], list[Any]] = {}
    registry = installation.registry
    handlers = [one for kind in registry.consumed for one in registry.handlers(kind)]
    async with installation.database.owner() as owner:
        for code in codes:
            await owner.execute(f"SET search_path = t_{code}")
            for handler in handlers:
                served = switched.get(code) if handler.plugin == "meals" else None
                for began, ended in served or [(None, None)]:
                    rows = await owner.fetch(
                        "SELECT event_id, occurred_at FROM event e WHERE event_type = $1 "
                        "AND occurred_at >= coalesce($3::timestamptz, '-infinity') "
                        "AND occurred_at < coalesce($4::timestamptz, 'infinity') AND NOT EXISTS ("
                        "SELECT FROM inbox i WHERE (i.consumer, i.event_id) = ($2, e.event_id))",
                        *(handler.event.event_type, handler.name, began, ended),
                    )
                    if rows:
                        lost.setdefault((code, handler.name), []).extend(map(tuple, rows))
    return lost


async def _broken(installation: Installation, code: str) -> dict[str, list[Any]]:
    async with installation.database.owner() as owner:
        return await broken_rules(owner, f"t_{code}")
