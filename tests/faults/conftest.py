"""An airline of this folder's own, whose database, network and workers may be ill-treated."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from pss_kernel.config import Config
from pss_kernel.installation import Installation, open_installation
from pss_kernel.observability import configure_logging
from pss_kernel.registry import Registry
from pss_kernel.tenancy import Tenant
from pss_kernel.testing import LOOPBACK, TestKit
from pss_outside.airlines import AURELIS, trimmed
from pss_outside.processes import free_port, network
from pss_outside.rules import broken_rules, rules_are_kept
from pss_outside.traveller import Traveller

_DAYS = 4  # of flights
_VOIDED = {"failed": {"declined", "voided"}, "captured": {"captured"}}


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder that the unprivileged database server can reach."""
    with tempfile.TemporaryDirectory(prefix="pss-faults-") as name:
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - for the server's own user to pass through
        yield Path(name)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def installation(folder: Path) -> AsyncIterator[Installation]:
    """Takes the place of the test kit's: a database server that only these tests stop."""
    config = Config(
        data_dir=folder / "var", log_level="critical", pool_size=24, outgoing_allow=LOOPBACK
    )
    configure_logging(config)
    async with open_installation(config, Registry.discover()) as opened:
        yield opened


class CardNetwork:
    """The sandbox card network, which can be killed and comes back with its charges."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._stack = ExitStack()
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, on its address and its charges."""
        self._running = self._stack.enter_context(network(self._folder, self.port))

    def kill(self) -> None:
        """End it without a chance to tidy up."""
        assert self._running is not None
        self._running.kill()
        self._running.wait()

    def close(self) -> None:
        """End it."""
        self._stack.close()


@pytest.fixture(scope="session")
def cards(folder: Path) -> Iterator[CardNetwork]:
    """The card network of the airline."""
    made = CardNetwork(folder)
    try:
        made.start()
        yield made
    finally:
        made.close()


@dataclass
class Airline:
    """Aurelis, seen by a guest and by staff; what waits is delivered when it is told to."""

    installation: Installation
    tenant: Tenant
    cards: CardNetwork
    guest: Traveller
    staff: Traveller
    checked: set[str] = field(default_factory=set)

    @property
    def kit(self) -> TestKit:
        """The test kit on this installation."""
        return TestKit(self.installation)

    async def sql(self, statement: str, *arguments: Any) -> list[Any]:
        """Look into, or turn the clock of, this airline's tables and the control schema."""
        async with self.installation.database.owner() as owner:
            await owner.execute(f"SET search_path = {self.tenant.schema}, pss")
            rows: list[Any] = await owner.fetch(statement, *arguments)
            return rows

    async def leases_end(self) -> None:
        """Let the time pass after which the work of a dead process is anybody's."""
        await self.sql("UPDATE payment SET attempt_at = now() - interval '1 second'")
        await self.sql("UPDATE refund SET attempt_at = now() - interval '1 second'")
        await self.sql(
            "UPDATE outbox SET acquired_at = acquired_at - interval '2 minutes',"
            " next_attempt_at = now() WHERE acquired_at IS NOT NULL OR attempts_count > 0"
        )
        await self.sql("UPDATE job SET leased_until = NULL, next_run_at = now()")

    async def sweep(self) -> None:
        """Do what a worker does, once: jobs that are due and events that wait."""
        for job in ("settle_payments", "settle_refunds"):
            await self.kit.run_job(self.tenant, "payment", job)
        await self.kit.deliver(self.tenant)
        await self.kit.run_job(self.tenant, "reservation", "expire_holds")

    async def keeps_the_rules(self, *, by_itself: bool = False) -> None:
        """Settle what is on its way, then check every rule that is never broken.

        ``by_itself``: a worker runs, so nothing is done here but waiting.
        """

        async def found() -> dict[str, Any]:
            if not by_itself:
                await self.leases_end()
                await self.sweep()
            async with self.installation.database.owner() as owner:
                return await broken_rules(owner, self.tenant.schema)

        await rules_are_kept(found)
        assert [] == await self._other_than_the_network()

    async def _other_than_the_network(self) -> list[Any]:
        """Payments on which the airline's books and the card network do not agree."""
        rows = await self.sql("SELECT id, status, amount_minor FROM payment")
        unknown = [row for row in rows if row["id"] not in self.checked]
        differing = []
        async with httpx.AsyncClient(
            base_url=self.cards.url, headers={"Merchant": self.tenant.code}, timeout=10
        ) as client:
            for row in unknown:
                answer = await client.get("/charges", params={"payment_id": row["id"]})
                charges = answer.json()["data"]
                allowed = _VOIDED.get(row["status"], set())
                taken = row["amount_minor"] if row["status"] == "captured" else 0
                if any(one["status"] not in allowed for one in charges) or (
                    taken != sum(one["captured_minor"] for one in charges)
                ):
                    differing.append((tuple(row), charges))
                self.checked.add(row["id"])
        return differing

    async def nonstop(
        self, destination: str, *party: str, days: int = 2, seats: int | None = None
    ) -> dict[str, Any]:
        """Find an offer from Vienna, on a flight with so many economy seats left for sale."""
        day = (datetime.now(UTC) + timedelta(days=days)).date()
        wanted = ("VIE", destination, day)
        kinds = party or ("adult",)
        found = await self.guest.offers(wanted, passengers=kinds, cabin="economy")
        offer = next(one for one in found if 1 == len(one["slices"][0]["segments"]))
        if seats is not None:
            await self.authorise(offer["slices"][0]["segments"][0]["flight_id"], seats)
        return offer

    async def authorise(self, flight_id: str, seats: int) -> None:
        """Let only so many economy seats of a flight be sold, in whichever class."""
        path = f"/flights/{flight_id}/authorisations"
        shown = (await self.staff.get(path))["data"]
        classes = next(one["authorised"] for one in shown if one["cabin"] == "economy")
        answer = await self.staff.http.put(
            f"/v1{path}", json={"cabin": "economy", "authorised": dict.fromkeys(classes, seats)}
        )
        assert 200 == answer.status_code, answer.text

    async def book(self, offer: dict[str, Any], count: int) -> list[dict[str, Any]]:
        """Make so many orders of an offer, at once."""
        return await asyncio.gather(*(self.guest.book(offer) for _ in range(count)))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def airline(
    installation: Installation, folder: Path, cards: CardNetwork
) -> AsyncIterator[Airline]:
    """Aurelis with a few days of flights, in process, on real PostgreSQL; no worker runs."""
    kit = TestKit(installation)
    settings = {
        "payment_sandbox": f'url = "{cards.url}"\ntimeout_seconds = 1.5',
        "payment": "lease_seconds = 1",
    }
    tenants = trimmed(
        folder / "tenants",
        days=_DAYS,
        airlines=(AURELIS,),
        settings=settings,
        through_fares=False,
    )
    tenant = await kit.apply(tenants / AURELIS)
    async with AsyncExitStack() as stack:
        guest = await stack.enter_async_context(kit.http(tenant))
        staff = await stack.enter_async_context(kit.http(tenant, ["*"]))
        yield Airline(installation, tenant, cards, Traveller(guest), Traveller(staff))
