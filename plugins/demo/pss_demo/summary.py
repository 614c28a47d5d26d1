"""What a run leaves behind as ``summary.json``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

__all__ = ["AirlineSummary", "OrderFacts", "Refusal", "Step", "Summary", "totals_of", "write"]


class Step(msgspec.Struct, frozen=True):
    """One thing that was done: ``what`` was tried, ``outcome`` what came of it."""

    what: str
    outcome: str
    seconds: float


class Refusal(msgspec.Struct, frozen=True):
    """Something that had to be refused and was: ``code`` is the answer's stable code."""

    what: str
    code: str
    detail: str


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One order that was made, and how it ended."""

    id: str
    booking_reference: str
    status: str
    total: str
    currency: str
    route: list[str]
    passengers: list[str]
    tickets: list[str] = []


class AirlineSummary(msgspec.Struct, kw_only=True):
    """All that happened with one airline."""

    tenant: str
    name: str = ""
    steps: list[Step] = []
    refusals: list[Refusal] = []
    orders: list[OrderFacts] = []
    files: list[str] = []
    totals: dict[str, int | float | str] = {}


class Summary(msgspec.Struct, kw_only=True):
    """The whole run. ``problem`` is a sentence when it did not succeed."""

    succeeded: bool = False
    problem: str | None = None
    started_at: datetime
    seconds: float = 0.0
    address: str = ""
    server_log: str = ""
    airlines: list[AirlineSummary] = []
    steps: list[Step] = []


def totals_of(airline: AirlineSummary) -> dict[str, int | float | str]:
    """Count what the airline's part of the run came to."""
    ticketed = [order for order in airline.orders if order.tickets]
    return {
        "steps": len(airline.steps),
        "refusals": len(airline.refusals),
        "orders": len(airline.orders),
        "tickets": sum(len(order.tickets) for order in ticketed),
        "boarding_pass_files": len(airline.files),
        "seconds": round(sum(step.seconds for step in airline.steps), 3),
        "paid": ", ".join(f"{order.total} {order.currency}" for order in ticketed),
    }


def write(path: Path, value: object) -> None:
    """Write it as JSON for people and machines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
