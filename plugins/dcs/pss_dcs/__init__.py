"""Departure control: seats, check-in, bags and bar-coded boarding passes."""

from pss_kernel import Own, Permission, Plugin

from .contracts import PassengerCheckedIn, PassengerOffloaded
from .privacy import PERSONAL
from .settings import Settings

__all__ = ["plugin"]

AT_STATION = Own("station", "the airport where the passenger boards")

plugin = Plugin(
    "dcs",
    version="0.1.0",
    summary="Seat maps, check-in, bag tags and boarding passes",
    requires=["inventory>=0.1", "pricing>=0.1", "reservation>=0.1", "ticketing>=0.1"],
    settings=Settings,
    permissions=[
        Permission("dcs:shop", "See seat maps", guest=True),
        Permission("dcs:check-in", "Check in and show boarding passes", level="agent", guest=True),
        Permission("dcs:read", "Read the manifest of a flight", level="agent", rules=(AT_STATION,)),
        Permission("dcs:offload", "Take a check-in back", level="agent", rules=(AT_STATION,)),
    ],
    emits=[PassengerCheckedIn, PassengerOffloaded],
    personal=PERSONAL,
    modules=["routes", "hooks", "handlers", "services", "files", "decoders"],
)
