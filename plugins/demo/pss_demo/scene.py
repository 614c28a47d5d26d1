"""All that one airline's part of the demonstration works with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pss_sdk import Client, Order, StaffClient
from pss_sdk.models import Tenant

from .choice import Airline, Window
from .narrator import Narrator
from .summary import AirlineSummary, OrderFacts

__all__ = ["Scene"]


@dataclass(slots=True)
class Scene:
    """``guest`` calls as a passenger without an account, ``staff`` with the airline's key."""

    airline: Airline
    tenant: Tenant
    guest: Client
    staff: StaffClient
    window: Window
    narrator: Narrator
    folder: Path
    summary: AirlineSummary

    def record(self, order: Order) -> None:
        """Keep an order for the summary; its latest state counts."""
        facts = OrderFacts(
            id=order.id,
            booking_reference=order.booking_reference,
            status=order.status,
            total=order.total.amount,
            currency=order.total.currency,
            route=[part.route for part in order.slices],
            passengers=[passenger.name for passenger in order.passengers],
            tickets=[document.number for document in order.documents],
        )
        others = [one for one in self.summary.orders if one.id != order.id]
        self.summary.orders = [*others, facts]

    def save(self, name: str, content: bytes) -> None:
        """Write a file into the airline's folder and list it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)
        self.summary.files.append(name)
