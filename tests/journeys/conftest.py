"""Both airlines behind one server of its own process, and clients of them."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from pss_outside.airlines import AURELIS, PIPIT, trimmed
from pss_outside.processes import made_keys, server
from pss_outside.traveller import Traveller, connected

_DAYS = 7  # of flights: enough for a return trip whose way out is in three days


@dataclass(frozen=True)
class Airline:
    """An airline as its guests and its staff reach it, and journeys that it sells."""

    code: str
    designator: str
    currency: str
    guest: Traveller
    staff: Traveller
    market: tuple[str, str]
    key: str


@dataclass(frozen=True)
class Running:
    """The server under test."""

    address: str
    keys: dict[str, str]
    data_dir: Path


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """``pss serve --demo`` with both airlines, and a key for each."""
    with tempfile.TemporaryDirectory(prefix="pss-journeys-") as name:
        folder = Path(name)
        os.chmod(folder, 0o711)  # noqa: PTH101, S103 - for the unprivileged database server to pass
        tenants = trimmed(folder / "tenants", days=_DAYS)
        with server(folder / "var", tenants) as address:
            keys = made_keys(folder / "var", (AURELIS, PIPIT))
            yield Running(address, keys, folder / "var")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def airlines(running: Running) -> AsyncIterator[tuple[Airline, Airline]]:
    """Aurelis and Pipit."""
    facts = [(AURELIS, "Q1", "EUR", ("VIE", "LHR")), (PIPIT, "J1", "JPY", ("NRT", "CTS"))]
    async with AsyncExitStack() as stack:
        opened = []
        for code, designator, currency, market in facts:
            key = running.keys[code]
            guest = await stack.enter_async_context(connected(running.address, code))
            staff = await stack.enter_async_context(connected(running.address, code, key))
            opened.append(Airline(code, designator, currency, guest, staff, market, key))
        yield (opened[0], opened[1])


@pytest.fixture
def aurelis(airlines: tuple[Airline, Airline]) -> Airline:
    """The network airline."""
    return airlines[0]


@pytest.fixture
def pipit(airlines: tuple[Airline, Airline]) -> Airline:
    """The low-cost airline."""
    return airlines[1]
