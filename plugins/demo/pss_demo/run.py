"""The whole run: the server, then each airline."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

from pss_kernel.config import Config
from pss_kernel.registry import Registry
from pss_sdk import Client, StaffClient

from .booking import book_and_pay
from .choice import Airline, Window
from .last_seat import compete_for_last_seat
from .narrator import Narrator
from .scene import Scene
from .server import running_server
from .staff import StaffFacts, staff_facts
from .summary import AirlineSummary, Summary, totals_of, write
from .travel import travel

__all__ = ["AIRLINES", "demonstrate"]

AIRLINES = [
    Airline(
        tenant="aurelis",
        markets=[("LHR", "ATH"), ("CDG", "OTP"), ("AMS", "ATH"), ("FRA", "SOF")],
        nonstop_markets=[("VIE", "LHR"), ("VIE", "FRA"), ("VIE", "CDG")],
        connection=True,
    ),
    Airline(
        tenant="pipit",
        markets=[("NRT", "CTS"), ("KIX", "OKA"), ("NRT", "FUK")],
        nonstop_markets=[("KIX", "CTS"), ("NRT", "OKA"), ("NRT", "CTS")],
        connection=False,
    ),
]


async def demonstrate(
    config: Config,
    registry: Registry,
    narrator: Narrator,
    summary: Summary,
    *,
    port: int,
    tenants: Path,
    output: Path,
) -> None:
    """Run everything and fill the summary as it goes. Raises what stops it."""
    log = Path(summary.server_log)
    narrator.legend()
    narrator.chapter("A server of its own, over real HTTP")
    summary.steps = narrator.steps
    async with AsyncExitStack() as until_done:
        with narrator.step("The server starts and loads both airlines' files") as telling:
            server = running_server(
                port=port,
                data_dir=config.data_dir,
                tenants=tenants,
                log=log,
                progress=telling.progress,
            )
            summary.address = await until_done.enter_async_context(server)
            telling.outcome = f"{summary.address}, log in {log}"
        with narrator.step("The airlines' staff get API keys, good for an hour"):
            codes = [airline.tenant for airline in AIRLINES]
            facts = await staff_facts(config, registry, codes)
        for airline in AIRLINES:
            await _show(airline, facts[airline.tenant], narrator, summary, output / airline.tenant)


async def _show(
    airline: Airline, facts: StaffFacts, narrator: Narrator, summary: Summary, folder: Path
) -> None:
    part = AirlineSummary(tenant=airline.tenant)
    summary.airlines.append(part)
    address, code = summary.address, airline.tenant
    async with (
        Client(address, tenant=code) as guest,
        StaffClient(address, tenant=code, key=facts.key) as staff,
    ):
        tenant = await guest.tenant()
        part.name = tenant.name
        narrator.chapter(f"{tenant.name} ({tenant.currency}, {tenant.time_zone})")
        part.steps, part.refusals = narrator.steps, narrator.refusals
        window = Window.around(
            datetime.now(UTC),
            opens_hours=facts.opens_hours,
            closes_minutes=facts.closes_minutes,
            service_hours=facts.service_hours,
        )
        scene = Scene(airline, tenant, guest, staff, window, narrator, folder, part)
        try:
            order = await book_and_pay(scene)
            await travel(scene, order)
            await compete_for_last_seat(scene)
        finally:
            part.totals = totals_of(part)
            write(folder / "summary.json", part)
