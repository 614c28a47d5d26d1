"""The gate: every scan is answered and recorded, every passenger boards once."""

from pss_kernel import Permission, Plugin

from .contracts import PassengerBoarded
from .settings import Settings

__all__ = ["plugin"]

plugin = Plugin(
    "boarding",
    version="0.1.0",
    summary="Boarding at the gate: scans, counts, no-shows",
    requires=["inventory>=0.1", "reservation>=0.1", "ticketing>=0.1", "dcs>=0.1"],
    settings=Settings,
    permissions=[
        Permission("boarding:board", "Scan boarding passes and board passengers", level="agent"),
        Permission(
            "boarding:read", "Read counts, boarded passengers, scans and no-shows", level="agent"
        ),
    ],
    emits=[PassengerBoarded],
    modules=["routes"],
)
