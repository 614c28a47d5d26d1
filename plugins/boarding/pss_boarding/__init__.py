"""The gate: every scan is answered and recorded, every passenger boards once."""

from pss_kernel import Permission, Plugin

from .contracts import PassengerBoarded
from .privacy import PERSONAL
from .settings import Settings
from .stations import AT_STATION

__all__ = ["plugin"]

plugin = Plugin(
    "boarding",
    version="0.1.0",
    summary="Boarding at the gate: scans, counts, no-shows",
    requires=["inventory>=0.1", "reservation>=0.1", "ticketing>=0.1", "dcs>=0.1"],
    settings=Settings,
    permissions=[
        Permission(
            "boarding:board",
            "Scan boarding passes and board passengers",
            level="agent",
            rules=(AT_STATION,),
        ),
        Permission(
            "boarding:read",
            "Read counts, boarded passengers, scans and no-shows",
            level="agent",
            rules=(AT_STATION,),
        ),
    ],
    emits=[PassengerBoarded],
    personal=PERSONAL,
    modules=["routes"],
)
